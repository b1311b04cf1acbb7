// The log: JSON lines on stderr, one per event worth telling, so that stdout belongs to what a command answers. A lasting
// error is said once and then counted: Redis refusing every write must not fill the disk as well.

import { type Logger, pino } from 'pino';
import { systemClock } from '../words/clock.ts';
import type { LogLevel } from '../words/config.ts';
import { EVENT_CATALOGUE, type EventHub } from '../words/events.ts';

export type { Logger };

/** The same complaint at most once in 10 s. */
const REPEAT_MS = 10_000;

/** A write per line would cost a lane of 15,000 jobs a second more than the jobs. A kill -9 loses the last 100 ms. */
const BUFFER = { minLength: 4_096, periodicFlush: 100 };

export function createLog(level: LogLevel, who: string): Logger {
  const destination = pino.destination({ dest: 2, sync: false, ...BUFFER });
  // Loggers flush when the process ends by itself; process.exit ends it at once.
  process.on('exit', () => destination.flushSync());
  return pino({ level, base: { who }, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

export function logEvents(log: Logger, events: EventHub): void {
  const lastSaid = new Map<string, { at: number; unsaid: number }>();
  events.onAny((name, data) => {
    const { level } = EVENT_CATALOGUE[name];
    if (!log.isLevelEnabled(level)) return;
    if (name !== 'redis.failing') return log[level](data as object, name as string);
    const key = JSON.stringify(data);
    const last = lastSaid.get(key);
    const nowAt = systemClock.mono();
    if (last && nowAt - last.at < REPEAT_MS) {
      last.unsaid++;
      return;
    }
    if (lastSaid.size > 100) lastSaid.clear();
    lastSaid.set(key, { at: nowAt, unsaid: 0 });
    log[level](last && last.unsaid > 0 ? { ...data, repeated: last.unsaid } : (data as object), name as string);
  });
}
