// One of those who fight for the group: takes it as a hold, for a term, or by force, feeds it for a while, and gives it back or lets it
// run out. Writes down whatever it asks and is answered. Argument: JSON { redisUrl, prefix, who, seed, file }.

import { createProducer, defineLane, defineUpstream, type Lane, LanekeeperError } from '../../../src/index.ts';
import { releaseLane, takeLane } from '../../../src/path/owner-orders.ts';
import { openRedis } from '../../../src/store/connect.ts';
import { createSingleLocks } from '../../../src/store/ownership/locks-single.ts';
import { createKeys } from '../../../src/words/keys.ts';
import { LEASE_MS } from '../../../src/words/owner.ts';
import { whoami } from '../../../src/words/whoami.ts';
import { createRandom, lasts } from '../harness/until.ts';
import { createScribe } from './history.ts';

const { redisUrl, prefix, who, seed, file } = JSON.parse(process.argv[2] ?? '{}');
const FEED_MS = 60;
const upstream = defineUpstream({ name: 'forum' });
const lanes = ['publish', 'reply'].map(
  (name) => defineLane({ name, upstream, agent: { cooldown: '100ms' }, ownership: 'exclusive' }) as Lane,
);
const redis = openRedis(redisUrl, 'pod');
const locks = createSingleLocks({ redis, keys: createKeys(prefix) });
const producer = await createProducer({ redis: redisUrl, prefix });
const random = createRandom(seed);
const say = createScribe(file, who);
const between = (low: number, high: number) => low + Math.floor(random() * (high - low));
const payload = { as: who };
let asks = 0;

function asked(isForced: boolean): string {
  asks++;
  const ask = `${who}-${process.pid}-${asks}`;
  say({ what: 'asked', ask, isForced });
  return ask;
}

/** What Redis refused is an answer; what it did not answer is none. */
async function answered<T>(ask: string, take: () => Promise<T>): Promise<T | undefined> {
  try {
    return await take();
  } catch (error) {
    if (error instanceof LanekeeperError && error.code === 'LK_OWNED') say({ what: 'refused', ask });
    return undefined;
  }
}

/** Until its time is over; false when an add was refused before: somebody else has the lane, or nobody. */
async function feed(add: () => Promise<unknown>, untilMono: number): Promise<boolean> {
  while (performance.now() < untilMono) {
    try {
      await add();
    } catch (error) {
      if (error instanceof LanekeeperError && error.code === 'LK_OWNED') return false;
    }
    await lasts(FEED_MS);
  }
  return true;
}

async function holdIt(lane: Lane): Promise<void> {
  const ask = asked(false);
  const hold = await answered(ask, () => producer.take(lane, { as: who, reason: 'a fight' }));
  if (!hold) return;
  const { token } = hold;
  let { untilAt } = hold;
  say({ what: 'granted', ask, token, fromAt: untilAt - LEASE_MS, untilAt, isForced: false });
  const add = async () => {
    if (hold.untilAt !== untilAt) {
      untilAt = hold.untilAt;
      say({ what: 'renewed', token, untilAt });
    }
    await hold.add(payload);
  };
  const isOurs = await feed(add, performance.now() + between(500, 5_000));
  if (!isOurs || !hold.isHeld) {
    say({ what: 'lost', token });
    return hold.release().catch(() => {});
  }
  say({ what: 'releasing', token });
  await hold.release().then(
    () => say({ what: 'released', token }),
    () => {},
  );
}

async function takeIt(lane: Lane, isForced: boolean): Promise<void> {
  const termMs = between(1_000, 4_000);
  const ask = asked(isForced);
  const order = { as: who, by: whoami(), reason: 'a fight', for: termMs, isForced };
  const taken = await answered(ask, () => takeLane({ locks, lane, lanes }, order));
  if (!taken) return;
  const { token, untilAt, displaced } = taken;
  say({ what: 'granted', ask, token, fromAt: untilAt - termMs, untilAt, isForced: displaced !== null });
  const isOurs = await feed(() => producer.add(lane, payload, { as: who }), performance.now() + between(500, termMs));
  if (!isOurs) return say({ what: 'lost', token });
  if (random() < 0.5) return;
  say({ what: 'releasing', token });
  await releaseLane({ locks, lane, lanes }, { as: who, by: whoami(), token }).then(
    () => say({ what: 'released', token }),
    () => {},
  );
}

process.send?.({});
for (;;) {
  const lane = lanes[between(0, lanes.length)] as Lane;
  const choice = random();
  if (choice < 0.4) await holdIt(lane);
  else await takeIt(lane, choice < 0.65);
  await lasts(between(20, 400));
}
