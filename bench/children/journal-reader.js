// Reads the journal to its end, or follows it, in a process of its own: `journal-reader.js <read|follow|keep> <count> <tags>`. `keep` holds
// every line, which is what a reader must not do. Looks at its memory forty times on the way, each time after two collections, and checks
// that each entry came once and in the order of its stream.

import { followJournal, journalStreams, readJournal } from '../../dist/path/journal-reader.js';
import { connectRedis } from '../../dist/store/connect.js';
import { createKeys } from '../../dist/words/keys.js';

const [way, countText, tags] = process.argv.slice(2);
const { REDIS_URL, LANEKEEPER_PREFIX } = process.env;
const LOOKS = 40;

const count = Number(countText);
const redis = await connectRedis(REDIS_URL, 'pod');
const streams = journalStreams(createKeys(LANEKEEPER_PREFIX), tags.split(','));
const looks = [];
const last = new Map();
const kept = [];
let seen = 0;
let beganMs;
let lookedMs = 0;

/** Answers whether that was all. */
function take(entries) {
  beganMs ??= performance.now();
  for (const line of entries) {
    const before = last.get(line.tag) ?? -1;
    if (line.what !== 'attempt.finished' || !(line.attempt > before)) {
      throw new Error(`expected entry ${before} and then a later one of ${line.tag}, got ${JSON.stringify(line)}`);
    }
    last.set(line.tag, line.attempt);
    if (way === 'keep') kept.push(line);
  }
  seen += entries.length;
  while (looks.length < LOOKS && seen >= ((looks.length + 1) * count) / LOOKS) look();
  return seen >= count;
}

function look() {
  const beganMs = performance.now();
  gc();
  gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  looks.push({ heap: heapUsed + external, rss });
  lookedMs += performance.now() - beganMs;
}

process.send('ready');
if (way === 'follow') {
  const stop = new AbortController();
  for await (const { entries } of followJournal({ redis, streams }, stop.signal)) if (take(entries)) stop.abort();
} else {
  for (let after, isOver = false; !isOver; ) {
    const page = await readJournal({ redis, streams, after });
    after = page.cursor;
    isOver = take(page.entries) || !page.hasMore;
  }
}
if (seen !== count) throw new Error(`expected ${count} entries, got ${seen}`);
process.send({ looks, perSecond: (1_000 * count) / (performance.now() - beganMs - lookedMs), kept: kept.length });
redis.disconnect();
process.disconnect();
