// Whether this pod is the one that runs a lane with `pods: 'one'` now (engine/run-lease). It knows by its own monotonic clock.

export interface Turn {
  readonly isOurs: boolean;
  /** The last instant (monotonic) at which that is sure; minus infinity while it is not. */
  readonly untilMono: number;
  /** Of the sequence of its owners' tokens. Undefined while it is not. */
  readonly token: number | undefined;
}
