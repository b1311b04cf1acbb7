// An upstream's agents in words, one line per thing: `agents` and `why` say the same.

import { toInstant } from '../words/clock.ts';
import { formatDuration } from '../words/duration.ts';

/** 'cooldown', 'quota: 429 for a day', 'operator: their captcha': why a window does not open sooner. */
export function sayCause({ source, reason }: { source: string | null; reason: string | null }): string | null {
  if (source === null) return reason;
  const name = source === 'policy' ? 'cooldown' : source;
  return reason ? `${name}: ${reason}` : name;
}

/** 'in 1h2m, at 2030-01-31T08:00:00.000Z'. */
export function sayOpening(at: number, nowAt: number): string {
  return at <= nowAt ? 'is open' : `opens in ${formatDuration(at - nowAt)}, at ${toInstant(at) ?? 'no date'}`;
}

/** How one that is missing is brought. */
export function sayAdd(upstream: string, agent: string): string {
  return `lanekeeper agents ${upstream} add ${agent} --reason ...`;
}
