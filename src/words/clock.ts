// The only place that reads a clock. Instants are wall time in epoch ms; deadlines use `mono`, which no operator can set
// back and which keeps running while the process is stopped, so a pod that wakes after a SIGSTOP sees that its time is up.

export interface Clock {
  /** Wall time, epoch ms. For people, records and instants that leave the process. */
  now(): number;
  /** Monotonic ms since an arbitrary start. For everything that decides. */
  mono(): number;
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  mono: () => performance.now(),
});

/**
 * RFC 3339 for people and machines; null stays null, so that "unknown" is never drawn as 1970. Null too for what no calendar has:
 * plain producers may delay a job by 1e20 ms.
 */
export function toInstant(epochMs: number | null | undefined): string | null {
  const isKnown = typeof epochMs === 'number' && Math.abs(epochMs) <= 8.64e15;
  return isKnown ? new Date(epochMs).toISOString() : null;
}
