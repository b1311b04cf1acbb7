// A process that holds a lane, or is the one pod of all, and says every 20 ms whether it believes so. Argument: JSON { redisUrl,
// prefix, kind: 'hold' | 'run', isCareless }. A careless one believes for 5 s what it saw, as one does that looks and then acts.

import { createRunLease } from '../../../src/engine/run-lease.ts';
import { defineLane } from '../../../src/index.ts';
import { holdLane } from '../../../src/path/owner-hold.ts';
import { openRedis } from '../../../src/store/connect.ts';
import { createSingleLocks } from '../../../src/store/ownership/locks-single.ts';
import { systemClock } from '../../../src/words/clock.ts';
import { createEventHub } from '../../../src/words/events.ts';
import { createKeys } from '../../../src/words/keys.ts';

const { redisUrl, prefix, kind, isCareless } = JSON.parse(process.argv[2] ?? '{}');
const redis = openRedis(redisUrl, 'pod');
const keys = createKeys(prefix);
const lane = defineLane({ name: 'publish', ownership: 'exclusive', pods: 'one' });
const clock = systemClock;

function tell(look: () => boolean): void {
  let seen = false;
  setInterval(() => {
    seen = isCareless && seen ? seen : look();
    process.stdout.write(`${JSON.stringify({ isHeld: seen, at: Date.now() })}\n`);
  }, 20);
  setInterval(() => {
    seen = look();
  }, 5_000);
}

if (kind === 'hold') {
  const locks = createSingleLocks({ redis, keys });
  const hold = await holdLane({ locks, lane, by: 'fault', clock }, { as: 'manual', reason: 'a fault' });
  tell(() => hold.isHeld);
} else {
  const [runKey, sequenceKey] = [keys.run(lane), keys.owner({ tag: 'publish', name: 'publish' })];
  const events = createEventHub();
  const quiet = { onHeld() {}, onLost() {} };
  const pod = `pod-${process.pid}`;
  const run = createRunLease({ name: { lane: 'publish' }, pod, redis, runKey, sequenceKey, clock, events, ...quiet });
  run.start();
  tell(() => run.isOurs);
}
