// Judges what a second owner does: fence tokens that go down within a scope, and effects that happened twice.

import type { Docket } from './docket.ts';
import { toFenceToken } from './fences.ts';
import type { RequestRecord } from './record.ts';
import { isWithin, type Rules, type Span } from './rules.ts';

/** A token lower than one that arrived before it in its scope. Equal is the same owner again. */
export function judgeFences(log: readonly RequestRecord[], span: Span, docket: Docket): void {
  const highest = new Map<string, { token: bigint; n: number }>();
  for (const record of log) {
    if (record.fence === null) continue;
    const scope = record.fenceScope ?? 'everything';
    const token = toFenceToken(record.fence);
    const before = highest.get(scope);
    const isLower = token === undefined || (before !== undefined && token < before.token);
    if (isLower && isWithin(record.arrivedAt, span)) {
      docket.convict('fence', 'tokens only grow', () => ({
        at: record.arrivedAt,
        agent: record.agent,
        detail:
          token === undefined
            ? `token ${record.fence} in ${scope} is no whole number`
            : `token ${token} in ${scope} after ${before!.token}`,
        records: before ? [before.n, record.n] : [record.n],
      }));
    }
    if (token !== undefined && (before === undefined || token > before.token)) {
      highest.set(scope, { token, n: record.n });
    }
  }
}

const MARKS = { idempotencyKey: 'idempotency key', jobId: 'job' } as const;

/** A second effect of one method and path that carries the mark of the first. One with both marks is one offence. */
export function judgeEffects(log: readonly RequestRecord[], rules: Rules, docket: Docket): void {
  const first = new Map<string, number>();
  for (const record of log) {
    if (!record.effect) continue;
    let again: { mark: keyof typeof MARKS; earlier: number } | undefined;
    for (const mark of rules.effects) {
      if (record[mark] === null) continue;
      const name = `${mark} ${record.method} ${record.path} ${record[mark]}`;
      const earlier = first.get(name);
      if (earlier === undefined) first.set(name, record.n);
      else again ??= { mark, earlier };
    }
    if (!again || !isWithin(record.arrivedAt, rules)) continue;
    const { mark, earlier } = again;
    docket.convict('effect', 'each effect once', () => ({
      at: record.arrivedAt,
      agent: record.agent,
      detail: `${record.method} ${record.path} took effect again for ${MARKS[mark]} ${record[mark]}`,
      records: [earlier, record.n],
    }));
  }
}
