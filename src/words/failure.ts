// What can go wrong with an attempt, as ten words, and the one error that an upstream's answer becomes.

export const FAILURE_CLASSES = [
  'transient', // may work next time: a reset connection, a 5xx, an exception nobody classified
  'timeout', // no answer, or no end of the handler, in time
  'rate-limit', // too many requests: wait, and no attempt is used
  'quota', // an allowance is used up until it resets: wait, and no attempt is used
  'gone', // what the job is about is no longer there
  'schema-drift', // the answer, or what the upstream wants, no longer has the agreed form
  'auth', // who we are is not accepted
  'fatal', // trying again cannot help
  'stalled', // its pod died under it, again and again
  'refused', // it should not have been in the lane at all
] as const;

export type FailureClass = (typeof FAILURE_CLASSES)[number];

export class UpstreamError extends Error {
  readonly code = 'LK_UPSTREAM';
  readonly class: FailureClass;
  /** null when no answer came. */
  readonly status: number | null;
  /** Epoch ms from which the upstream will listen again, when it said so. */
  readonly retryAfterAt: number | null;
  /** The parsed JSON body, or its text; the first 64 KiB. */
  readonly body: unknown;

  constructor(
    message: string,
    facts: {
      class: FailureClass;
      status: number | null;
      retryAfterAt?: number | null;
      body?: unknown;
      cause?: unknown;
    },
  ) {
    super(message, { cause: facts.cause });
    this.name = 'UpstreamError';
    this.class = facts.class;
    this.status = facts.status;
    this.retryAfterAt = facts.retryAfterAt ?? null;
    this.body = facts.body ?? null;
  }
}
