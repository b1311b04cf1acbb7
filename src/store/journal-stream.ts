// A stream of the journal: how its entries are written, by pods in batches and by whoever gives an order one at a time.

import type { EventName } from '../words/events.ts';
import type { Redis } from './connect.ts';

/** Batches kept per tag, roughly: a day of one lane at one outcome a second each. */
const MAX_BATCHES = 100_000;

/** `gap`: so many entries were lost before these. */
export function writeBatch(
  redis: Redis,
  stream: string,
  who: string,
  texts: readonly string[],
  gap = 0,
): Promise<unknown> {
  const fields = ['who', who, 'batch', `[${texts.join()}]`, ...(gap > 0 ? ['dropped', String(gap)] : [])];
  return redis.xadd(stream, 'MAXLEN', '~', MAX_BATCHES, '*', ...fields);
}

/** Joined as text: spreading each entry into another object cost more than making text of it. */
export function toBatchText(what: EventName, age: number, data: object): string {
  const rest = JSON.stringify(data).slice(1);
  return `{"what":"${what}","age":${age}${rest === '}' ? '' : ','}${rest}`;
}
