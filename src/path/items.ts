// A list of jobs to be written, checked whole: one bad item refuses all, by index and field, before anything is written.

import { firstLine, LanekeeperError, quote, wrongOption } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import { type AddOptions, type Entry, toEntry } from './entry.ts';
import type { Lane } from './lane.ts';
import type { Feeder } from './owned.ts';

export interface ListOptions {
  /** Of the whole list: an item without a key of its own gets `<key>/<index>`. */
  key?: string | undefined;
  /** Who feeds an exclusive lane. */
  as?: string | undefined;
}

/** Who adds the list. */
export interface ListFeeder {
  by: string;
  feeder?: Feeder | undefined;
}

/** Above this, one call would hold the event loop and Redis for too long: 10,000 take about half a second. */
const MAX_ITEMS = 10_000;
const MAX_COMPLAINTS = 10;
/** What an item's key has for the list's: 256 less the slash and the index. */
const MAX_LIST_KEY = 250;

/** As with one job: whatever the list or its options are, what this throws is a LanekeeperError. */
export async function readItems(...given: Parameters<typeof checkItems>): Promise<Entry[]> {
  try {
    return await checkItems(...given);
  } catch (thrown) {
    if (thrown instanceof LanekeeperError) throw thrown;
    throw new LanekeeperError('LK_INPUT', `items: the list or its options threw: ${firstLine(thrown)}`, {
      cause: thrown,
    });
  }
}

async function checkItems(
  lane: Lane,
  keys: Keys,
  items: readonly unknown[],
  options: ListOptions,
  nowAt: number,
  from: ListFeeder,
): Promise<Entry[]> {
  const listKey = readListKey(options);
  if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS) {
    throw wrongOption('LK_INPUT', 'items', `a list of 1 to ${MAX_ITEMS}`, Array.isArray(items) ? items.length : items);
  }
  const entries: Entry[] = [];
  const problems: string[] = [];
  for (let index = 0; index < items.length; index++) {
    try {
      const item = items[index];
      if (typeof item !== 'object' || item === null)
        throw wrongOption('LK_INPUT', `[${index}]`, '{ payload, … }', item);
      const { payload, ...own } = item as { payload: unknown } & AddOptions;
      if (own.as !== undefined) throw wrongOption('LK_INPUT', `[${index}] as`, 'it with the whole list', own.as);
      const key = own.key ?? (listKey === undefined ? undefined : `${listKey}/${index}`);
      entries.push(
        await toEntry({
          lane,
          keys,
          payload,
          options: key === own.key && options.as === undefined ? own : { ...own, key, as: options.as },
          where: `[${index}] `,
          nowAt,
          ...from,
        }),
      );
    } catch (error) {
      problems.push(error instanceof LanekeeperError ? error.message : `[${index}] threw: ${firstLine(error)}`);
    }
  }
  problems.push(...findTwoOfOneKey(entries));
  if (problems.length === 0) return entries;
  const shown = problems.slice(0, MAX_COMPLAINTS).join('; ');
  const rest = problems.length > MAX_COMPLAINTS ? `; and ${problems.length - MAX_COMPLAINTS} more` : '';
  throw new LanekeeperError(
    'LK_INPUT',
    `${problems.length} of ${items.length} items refused, none added: ${shown}${rest}`,
  );
}

function readListKey(options: ListOptions): string | undefined {
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  if (!isObject || Object.keys(options).some((name) => name !== 'key' && name !== 'as')) {
    throw wrongOption('LK_INPUT', 'options of the list', '{ key, as }', options);
  }
  const { key } = options;
  const isGood = key === undefined || (typeof key === 'string' && key.length > 0 && key.length <= MAX_LIST_KEY);
  if (!isGood) throw wrongOption('LK_INPUT', 'key of the list', `a text of 1 to ${MAX_LIST_KEY} characters`, key);
  return key;
}

/** Two items may say the same twice; under one key two things may not be said. */
function findTwoOfOneKey(entries: readonly Entry[]): string[] {
  const first = new Map<string, Entry>();
  return entries.flatMap((entry, index) => {
    if (entry.key === undefined || !entry.reservation) return [];
    const before = first.get(entry.key);
    if (!before) first.set(entry.key, entry);
    return !before || before.content === entry.content
      ? []
      : [`[${index}] key ${quote(entry.key)}: expected one payload and agent for a key, got another before it`];
  });
}
