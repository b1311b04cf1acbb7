// How large a limit is now, for Bottleneck: what somebody ordered, else the definition; and the stricter where pods' definitions
// differ. A count becomes a spacing: Bottleneck's reservoir is a fixed window, which lets through twice the count in a sliding one.

import type { Limit, LimitPlan } from '../words/limit.ts';

const DEFINITION_VALID_MS = 60_000;
/** A ticket may be sent for 1.5 % of its window, which then lets through so much less; 15 ms at least, or a busy pod burns it. */
const TICKET_SHARE = 0.015;
const TICKET_MIN_MS = 15;
const TICKET_MAX_MS = 250;

export interface Sizes {
  concurrent: number | undefined;
  spacingMs: number | undefined;
}

/** For how long a ticket may be sent. */
export function ticketForMs(perMs: number): number {
  return Math.min(Math.max(perMs * TICKET_SHARE, TICKET_MIN_MS), TICKET_MAX_MS);
}

/**
 * One ticket every so often, so that `count` + 1 requests never arrive within `perMs`, though one was sent at the end of its
 * ticket and took all the time to travel, and the next at the beginning and took none.
 */
export function spacingMs(count: number, perMs: number, travelMs: number): number {
  return (perMs + ticketForMs(perMs) + travelMs + 1) / count;
}

/** The count that such a spacing keeps. */
export function countOf(spacing: number, perMs: number, travelMs: number): number {
  return Math.round((perMs + ticketForMs(perMs) + travelMs + 1) / spacing);
}

/**
 * For how long nothing may start, so that what counts now and one ticket every `spacingMs` from then on are never more than
 * `count`: the ticket that makes it `count` again with the last `n` that count now starts when the first of those ends.
 */
export function drainMs(
  batches: readonly { endsInMs: number; count: number }[],
  count: number,
  spacing: number,
): number {
  let after = 0;
  let lasting = 0;
  for (const batch of [...batches].sort((a, b) => b.endsInMs - a.endsInMs)) {
    lasting += batch.count;
    after = Math.max(after, batch.endsInMs - Math.max(0, count - lasting) * spacing);
    if (lasting >= count) break;
  }
  return Math.ceil(after);
}

export function fitSizes(plan: LimitPlan, fields: Record<string, string>, nowAt: number): Sizes {
  const limits = [...plan.limits, ...definitions(fields, nowAt)].filter(({ byAgent }) => !byAgent);
  const sizeOf = ({ name, size }: Limit) => ordered(fields[`set:${name}`], nowAt) ?? size;
  const has = (kind: string) => plan.limits.some((limit) => limit.kind === kind);
  const slots = limits.filter(({ kind }) => kind === 'concurrent').map(sizeOf);
  const spacings = limits
    .filter(({ kind }) => kind === 'count')
    .map((limit) => spacingMs(sizeOf(limit), limit.perMs, plan.travelMs));
  return {
    concurrent: has('concurrent') ? Math.min(...slots) : undefined,
    spacingMs: has('count') ? Math.max(...spacings) : undefined,
  };
}

function definitions(fields: Record<string, string>, nowAt: number): Limit[] {
  return Object.entries(fields).flatMap(([field, json]) => {
    if (!field.startsWith('def:')) return [];
    const { at, limits } = JSON.parse(json) as { at: number; limits: Limit[] };
    return at > nowAt - DEFINITION_VALID_MS ? limits : [];
  });
}

function ordered(json: string | undefined, nowAt: number): number | undefined {
  if (json === undefined) return undefined;
  const { size, until } = JSON.parse(json) as { size: number; until: number | null };
  return until === null || until > nowAt ? size : undefined;
}
