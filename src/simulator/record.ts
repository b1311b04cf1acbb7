// The record: what is kept of every request, and the book of them, the newest million. Instants are epoch ms with a
// fraction, counted on by a monotonic clock from one reading of the wall clock. Doubles of that size step by 1/4096 ms, so
// the difference of two of them is exact, and the judge can do without tolerance.

export type Outcome = 'open' | 'answered' | 'reset' | 'aborted';

/** Who turned a request away: a limit, the cooldown or its ban, the fence, `failWith`, or the request's own form. */
export type Refusal = 'concurrent' | 'rate' | 'cooldown' | 'ban' | 'fence' | 'failure' | 'input';

export interface RequestRecord {
  /** From 1 up, in order of arrival; a reset of the log does not start it again. */
  readonly n: number;
  readonly agent: string | null;
  readonly method: string;
  readonly path: string;
  /** With its question mark, or empty. */
  readonly query: string;
  /** Headers received. */
  readonly arrivedAt: number;
  /** Last byte handed over to be sent; null when the answer was never whole. */
  answeredAt: number | null;
  /** Connection gone before the answer was whole; null when it was whole. */
  closedAt: number | null;
  status: number | null;
  outcome: Outcome;
  readonly fence: string | null;
  /** Within which tokens may only grow: a named scope, an idempotency key, an agent, or everything. Null without a token. */
  readonly fenceScope: string | null;
  readonly idempotencyKey: string | null;
  readonly jobId: string | null;
  /** False for what no limit counts: the health endpoint and the front page. */
  readonly counted: boolean;
  /** It changed something that a user would see. */
  effect: boolean;
  /** An earlier request's answer was given again. */
  replayed: boolean;
  refusedBy: Refusal | null;
  /** Which side of a rollout answered. */
  version: string | null;
  /** Input plus output tokens of a model's answer. */
  tokensUsed: number;
}

/** The instant it stopped being under way; Infinity while it is. Never before its arrival. */
export function endedAt(record: RequestRecord): number {
  return Math.max(record.arrivedAt, Math.min(record.answeredAt ?? Infinity, record.closedAt ?? Infinity));
}

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

export function isWrite(method: string): boolean {
  return !READS.has(method);
}

/** Each agent's own records, in the order they had. Those of no agent are nobody's. */
export function partByAgent(log: readonly RequestRecord[]): RequestRecord[][] {
  const parts = new Map<string, RequestRecord[]>();
  for (const record of log) {
    if (record.agent === null) continue;
    const part = parts.get(record.agent);
    if (part) part.push(record);
    else parts.set(record.agent, [record]);
  }
  return [...parts.values()];
}

export interface RecordBook {
  /** In order of arrival, requests still under way included. */
  readonly all: readonly RequestRecord[];
  /** How many of the oldest are no longer here. */
  readonly dropped: number;
  add(record: RequestRecord): void;
}

/** Keeps at least the newest `max`, and at the most a tenth more: dropping one by one would move a million entries each time. */
export function createRecordBook(max: number): RecordBook {
  const all: RequestRecord[] = [];
  const slack = Math.max(1, Math.floor(max / 10));
  let dropped = 0;
  return {
    all,
    get dropped() {
      return dropped;
    },
    add(record) {
      all.push(record);
      if (all.length < max + slack) return;
      dropped += all.splice(0, all.length - max).length;
    },
  };
}
