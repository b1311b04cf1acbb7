// Judges limits. At once: how many are under way when one arrives, itself included; one that ended at that very instant is
// not. Per time: how many arrived within the last `per`, itself included; one exactly `per` ago is not. Every interval that
// holds too many ends at some arrival, so looking back from each arrival looks at every interval there is.

import type { Docket } from './docket.ts';
import { describeLimit, isRate, type Limit } from './limits.ts';
import { endedAt, partByAgent, type RequestRecord } from './record.ts';
import { isWithin, type Span } from './rules.ts';
import type { Conviction } from './verdict.ts';

/** Most records named as the proof of one conviction. */
const PROOF = 1_000;

/** The most seen, of one agent if the limit is by agent. `log` is in order of arrival. */
export function judgeLimit(log: readonly RequestRecord[], limit: Limit, span: Span, docket: Docket | null): number {
  const terms = describeLimit(limit);
  let most = 0;
  for (const part of limit.by === 'agent' ? partByAgent(log) : [log]) {
    const agent = limit.by === 'agent' ? part[0]!.agent : null;
    const sweep = isRate(limit) ? createRateSweep(part, limit.per) : createConcurrencySweep(part);
    const allowed = isRate(limit) ? limit.count : limit.concurrent;
    part.forEach((record, index) => {
      const seen = sweep.arrive(index);
      if (!isWithin(record.arrivedAt, span)) return;
      if (seen > most) most = seen;
      if (seen <= allowed || !docket) return;
      docket.convict(isRate(limit) ? 'rate' : 'concurrent', terms, (): Omit<Conviction, 'rule' | 'terms'> => {
        const what = isRate(limit) ? 'arrivals in one interval' : 'at once';
        const whose = agent === null ? '' : ` of ${agent}`;
        const detail = `${seen} ${what}${whose} where ${allowed} are allowed`;
        return { at: record.arrivedAt, agent: record.agent, detail, records: sweep.proof(index, seen) };
      });
    });
  }
  return most;
}

interface Sweep {
  /** To be called once for each index, in order: how many are counted together with it. */
  arrive(index: number): number;
  proof(index: number, seen: number): number[];
}

function createRateSweep(log: readonly RequestRecord[], perMs: number): Sweep {
  let first = 0;
  return {
    arrive(index) {
      while (log[index]!.arrivedAt - log[first]!.arrivedAt >= perMs) first += 1;
      return index - first + 1;
    },
    proof: (index, seen) => log.slice(index + 1 - Math.min(seen, PROOF), index + 1).map((record) => record.n),
  };
}

function createConcurrencySweep(log: readonly RequestRecord[]): Sweep {
  // A request that took no time at all is under way beside those it finds, and never when another arrives: it is left out
  // here, so that every end that is passed belongs to one that had begun before.
  const lasting = log.filter((record) => endedAt(record) > record.arrivedAt);
  const ends = Float64Array.from(lasting, endedAt).sort();
  let ended = 0;
  let begun = 0;
  return {
    arrive(index) {
      const record = log[index]!;
      while (ended < ends.length && ends[ended]! <= record.arrivedAt) ended += 1;
      const seen = begun - ended + 1;
      if (endedAt(record) > record.arrivedAt) begun += 1;
      return seen;
    },
    proof(index, seen) {
      const at = log[index]!.arrivedAt;
      const proof = [log[index]!.n];
      for (let i = index - 1; i >= 0 && proof.length < Math.min(seen, PROOF); i--) {
        if (endedAt(log[i]!) > at) proof.push(log[i]!.n);
      }
      return proof.reverse();
    },
  };
}
