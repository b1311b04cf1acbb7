// Throttles a lasting error: said once, then counted. Redis refusing every write must not fill the disk as well. Complaints are
// one when the same work fails for the same reason, in whichever lane: 200 lanes that cannot fetch are one line, not 200.

import type { Logger } from 'pino';
import type { Events } from '../words/events.ts';

type Complaint = Events['redis.failing'];

/** The same complaint at most once in 10 s. */
const REPEAT_MS = 10_000;
/** Kinds told apart. There are seven works and few reasons; beyond, a reason must hold what changes each time. */
const MAX_KINDS = 20;

/** Whether it was said a short while ago. How often it came meanwhile, and for how much, is said when that is over. */
export function createRepeats(log: Logger): (complaint: Complaint) => boolean {
  const unsaid = new Map<string, { count: number; whats: Set<string>; last: Complaint }>();

  function sayLater(kind: string): void {
    setTimeout(() => {
      const { count, whats, last } = unsaid.get(kind) as NonNullable<ReturnType<typeof unsaid.get>>;
      unsaid.delete(kind);
      if (count === 0) return;
      log.error({ repeated: count, places: whats.size, ...last }, 'redis.failing.repeated');
      unsaid.set(kind, { count: 0, whats: new Set(), last });
      sayLater(kind);
    }, REPEAT_MS).unref();
  }

  return (complaint) => {
    let kind = `${complaint.what.split(' ')[0]}: ${withoutNumbers(complaint.reason)}`;
    if (!unsaid.has(kind) && unsaid.size >= MAX_KINDS) kind = 'others';
    const known = unsaid.get(kind);
    if (!known) {
      unsaid.set(kind, { count: 0, whats: new Set(), last: complaint });
      sayLater(kind);
      return false;
    }
    known.count++;
    known.last = complaint;
    if (known.whats.size < 1_000) known.whats.add(complaint.what);
    return true;
  };
}

/** Ids, ports and lines of a script differ from one to the next. */
function withoutNumbers(reason: string): string {
  return reason.replace(/[0-9a-f]{8,}|\d+/g, '#');
}
