// Durations as people write them ('2h', '1m30s', '250ms') and as the engine keeps them: whole milliseconds.

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

export type Duration = string | number;

/** What a wrong duration is told to look like; every error about one ends with it. */
export const DURATION_FORM = "a duration such as '250ms', '30s', '5m', '2h' or '1h30m'";

/** 100 years: above it, an instant no longer fits what Redis and BullMQ keep exactly. */
const MAX_MS = 100 * 365 * UNIT_MS.d;

/** Milliseconds, or undefined when the text or number is no duration. A plain number is milliseconds. */
export function toDurationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 && value <= MAX_MS ? value : undefined;
  if (typeof value !== 'string' || !/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * UNIT_MS[unit as Unit];
  }
  return totalMs <= MAX_MS ? Math.round(totalMs) : undefined;
}

/** The shortest text a person reads at a glance: two units at the most. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  let rest = Math.round(ms / 1_000) * 1_000;
  const parts: string[] = [];
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const amount = Math.floor(rest / UNIT_MS[unit]);
    if (amount > 0) parts.push(`${amount}${unit}`);
    rest -= amount * UNIT_MS[unit];
    if (parts.length === 2) break;
  }
  return parts.join('');
}
