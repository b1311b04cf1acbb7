// What an attempt holds of its upstream's limits, as its requests see it. The desk (path/permit-desk) gives it out before the
// job is fetched.

/** The right to send one request. Exactly one of `unsent` and `ended` is called in the end. */
export interface Sending {
  /** By the monotonic clock: nothing is written after it. */
  readonly untilMono: number;
  /** It was not sent, and will not be: the right goes back. */
  unsent(): void;
  /** The first byte of an answer is here: it has surely arrived. */
  answered(): void;
  /** The last byte of the answer is here, or the connection was cut (then the upstream may notice a little later). */
  ended(wasCut: boolean): void;
}

export interface Permit {
  /**
   * Resolves when the next request may be sent, whose answer is awaited for at most `forMs`. An attempt's requests go one at a
   * time, or as many as its lane's `requests` says. Rejects when the signal is aborted, or the permit is lost.
   */
  toSend(forMs: number, signal: AbortSignal): Promise<Sending>;
  /** Nothing is to be sent for a while: others may have what it holds of the upstream, until something is. */
  stepAside(): void;
  /** The upstream said that nobody may go on for so long. Told to all pods; this attempt's own outcome is another matter. */
  hold(forMs: number, reason: string): void;
}
