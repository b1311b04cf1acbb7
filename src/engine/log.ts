// The log: JSON lines on stderr, one per event worth telling, so that stdout belongs to what a command answers. A lasting
// error is said once and then counted: Redis refusing every write must not fill the disk as well.

import { type Logger, pino } from 'pino';
import type { LogLevel } from '../words/config.ts';
import { EVENT_CATALOGUE, type EventHub, type Events } from '../words/events.ts';
import { createRepeats } from './repeats.ts';
import { createStderr } from './stderr.ts';

export type { Logger };

export function createLog(level: LogLevel, who: string): Logger {
  return pino({ level, base: { who }, timestamp: pino.stdTimeFunctions.isoTime }, createStderr());
}

/** Done attempts told one by one, a second. Beyond, nobody reads them, and telling costs a fifth of a no-op job. */
const DONE_LINES_PER_S = 200;

export function logEvents(log: Logger, events: EventHub): void {
  const isRepeated = createRepeats(log);
  const isTooMany = createDoneLimit(log);
  events.onAny((name, data) => {
    const { level } = EVENT_CATALOGUE[name];
    if (!log.isLevelEnabled(level)) return;
    if (name === 'redis.failing' && isRepeated(data as Events['redis.failing'])) return;
    if (name === 'attempt.finished' && isTooMany(data as Events['attempt.finished'])) return;
    log[level](data as object, name as string);
  });
}

/** What is not told one by one is told as a number, once a second and lane. What failed is always told. */
function createDoneLimit(log: Logger): (attempt: Events['attempt.finished']) => boolean {
  const unsaid = new Map<string, number>();
  let said = 0;
  let isDue = false;
  const tell = () => {
    isDue = false;
    said = 0;
    for (const [lane, done] of unsaid) log.info({ lane, done }, 'attempts.finished');
    unsaid.clear();
  };
  return ({ lane, outcome }) => {
    if (outcome !== 'done') return false;
    if (!isDue) setTimeout(tell, 1_000).unref();
    isDue = true;
    if (++said <= DONE_LINES_PER_S) return false;
    unsaid.set(lane, (unsaid.get(lane) ?? 0) + 1);
    return true;
  };
}
