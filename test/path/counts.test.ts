// How many jobs are in each state and at each gate is what a look at each job says, whatever moved them there and away; and it costs
// the same for ten and for ten thousand.

import { describe, expect, vi } from 'vitest';
import { createMetrics } from '../../src/engine/metrics.ts';
import { defineLane, defineUpstream, handle, park, retry, UpstreamError } from '../../src/index.ts';
import { bringBack, moveAside, ownedLane } from '../../src/path/aside.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { countJobs, listJobs } from '../../src/path/inspect.ts';
import { JOB_STATES } from '../../src/path/job-state.ts';
import type { Lane } from '../../src/path/lane.ts';
import { setLimit } from '../../src/path/limit-orders.ts';
import { type LaneQueue, openLaneQueue } from '../../src/store/lane-queue.ts';
import { GATES } from '../../src/words/outcome.ts';
import { it, type World } from '../support/world.ts';
import { take } from './leases.ts';
import { plainQueue, RETRYING, untilState } from './looking.ts';
import { adminOf, privateRedis } from './private-redis.ts';

const HOUR = 3_600_000;

/** A job comes to what it is told to, and is done when it comes again. */
function runner() {
  const came = new Set<string>();
  return ({ id, payload }: { id: string; payload: unknown }): unknown => {
    const [what, forMs = HOUR] = payload as [string, number?];
    if (came.has(id)) return 'done';
    came.add(id);
    const untilAt = Date.now() + forMs;
    if (what === 'parks') return park({ until: untilAt, reason: 'later' });
    if (what === 'limited')
      throw new UpstreamError('slow', { class: 'rate-limit', status: 429, retryAfterAt: untilAt });
    return what === 'fails' ? retry({ after: forMs }) : 'done';
  };
}

/** By a look at each job. */
async function lookedAt(queue: LaneQueue) {
  const jobs = await listJobs(queue, JOB_STATES, 10_000);
  const ofState = (state: string) => jobs.filter((job) => job.state === state).length;
  const ofGate = (gate: string) => jobs.filter((job) => job.gate === gate).length;
  return {
    ...Object.fromEntries(JOB_STATES.map((state) => [state, ofState(state)])),
    gates: Object.fromEntries(GATES.map((gate) => [gate, ofGate(gate)])),
  };
}

/** The gates at which somebody waits, once both countings agree. */
async function agreed(queue: LaneQueue, expected: Record<string, number>): Promise<void> {
  await vi.waitFor(async () => {
    const { isPaused: _, ...counted } = await countJobs(queue);
    expect(counted).toEqual(await lookedAt(queue));
    expect(Object.fromEntries(Object.entries(counted.gates).filter(([, count]) => count > 0))).toEqual(expected);
  }, RETRYING);
}

async function adder(world: World, lane: Lane) {
  const producer = await world.producer();
  return async (payload: unknown[], options = {}) => (await producer.add(lane, payload, options)).id;
}

describe('the counts of a lane', () => {
  it('tell the parked by gate from the scheduled and from retries, and follow each out again', async ({ world }) => {
    const lane = defineLane({ name: 'counts', retry: { attempts: 2 } });
    const queue = world.queue(lane);
    const add = await adder(world, lane);
    await world.pod([handle(lane, { run: runner() })]);
    for (const what of ['done', 'fails', 'limited']) await add([what]);
    await add(['later'], { at: new Date(Date.now() + HOUR) });
    const parked = [await add(['parks']), await add(['parks'])];
    const soon = [await add(['parks', 2_000]), await add(['limited', 2_000])];
    await agreed(queue, { schedule: 3, limit: 2 });
    for (const id of soon) await untilState(queue, id, 'done');
    await agreed(queue, { schedule: 2, limit: 1 });
    await cancelJob(queue, world.keys, parked[0] as string);
    // Whoever left is counted no more, and its name goes with the next that parks.
    expect(await world.redis.zrange(queue.parkedKey('schedule'), '0', '-1')).toContain(soon[0]);
    const last = await add(['parks']);
    await agreed(queue, { schedule: 2, limit: 1 });
    expect(await world.redis.zrange(queue.parkedKey('schedule'), '0', '-1')).toEqual([parked[1], last]);
    expect(await countJobs(queue)).toMatchObject({ parked: 3, scheduled: 2, done: 3 });
    await world.redis.del(queue.parkedKey('limit'));
    expect(await countJobs(queue), 'twin: without the note').toMatchObject({ parked: 2, scheduled: 3 });
    // Whatever is noted, no more wait than there are.
    await plainQueue(world, lane).obliterate({ force: true });
    await agreed(queue, {});
  });

  it('follow those whom a larger limit calls', async ({ world }) => {
    const { redis, keys } = world;
    await redis.hset(keys.limits('api'), 'born', 1);
    const upstream = defineUpstream({ name: 'api', limits: [{ tokens: 100, per: '1h' }] });
    const lane = defineLane({ name: 'counts', upstream, tokens: 100 });
    const queue = world.queue(lane);
    const add = await adder(world, lane);
    await world.pod([handle(lane, { run: runner() })]);
    await untilState(queue, await add(['parks', 600_000]), 'parked');
    const later = [await add(['done']), await add(['done'])];
    await agreed(queue, { schedule: 1, limit: 2 });
    await setLimit({ redis, keys, upstream, queues: [queue], lanes: [], who: 'ann', reason: 'r' }, 'tokens-per-1h', {
      size: 1_000,
    });
    for (const id of later) await untilState(queue, id, 'done');
    await agreed(queue, { schedule: 1 });
  });

  it('know who waits for a window, of any agent or of one, and who of them parks meanwhile', async ({ world }) => {
    const upstream = defineUpstream({ name: 'forum', agents: ['a', 'b'] });
    const lane = defineLane({ name: 'counts', upstream, agent: { cooldown: '1s' } });
    const queue = world.queue(lane);
    const add = await adder(world, lane);
    const ids = [await add(['parks']), await add(['limited', 500]), await add(['parks']), await add(['parks'])];
    for (const agent of ['a', 'b', 'b']) ids.push(await add(['parks'], { agent }));
    await add(['later'], { at: new Date(Date.now() + HOUR) });
    await agreed(queue, { cooldown: 7 });
    for (const gone of [ids[3], ids[6]]) await cancelJob(queue, world.keys, gone as string);
    await agreed(queue, { cooldown: 5 });
    await world.pod([handle(lane, { run: runner() })]);
    await untilState(queue, ids[1] as string, 'done');
    await agreed(queue, { schedule: 4 });
    expect(await countJobs(queue)).toMatchObject({ scheduled: 1, done: 1 });
  });

  it('forget the line of an agent for whom nobody waits', async ({ world }) => {
    const upstream = defineUpstream({ name: 'forum', agents: ['a'] });
    const lane = defineLane({ name: 'counts', upstream, agent: { cooldown: '1h' } });
    await world.redis.sadd(world.keys.lined(lane), 'left', 'gone');
    const add = await adder(world, lane);
    await add(['parks'], { agent: 'a' });
    await agreed(world.queue(lane), { cooldown: 1 });
    await vi.waitFor(async () => {
      await world.redis.srem(world.keys.lined(lane), 'a');
      await add(['parks'], { agent: 'a' });
      expect(await world.redis.smembers(world.keys.lined(lane))).toEqual(['a']);
    }, RETRYING);
  });

  it('know who lies aside for its owner, and to which gate it comes back', async ({ world }) => {
    const lane = defineLane({ name: 'counts', ownership: 'exclusive', retry: { attempts: 2 } });
    const queue = world.queue(lane);
    const owned = ownedLane(lane, queue, world.keys);
    const add = await adder(world, lane);
    await take(world, lane, 'cron');
    const pod = await world.pod([handle(lane, { run: runner() })]);
    for (const what of ['parks', 'limited', 'fails']) await add([what], { as: 'cron' });
    await agreed(queue, { schedule: 1, limit: 1 });
    await pod.stop('over');
    await add(['done'], { as: 'cron' });
    await take(world, lane, 'manual');
    expect(await moveAside(owned)).toBe(4);
    await agreed(queue, { owner: 4 });
    await take(world, lane, 'cron');
    expect(await bringBack(owned)).toBe(4);
    await agreed(queue, { schedule: 1, limit: 1 });
    expect(await countJobs(queue)).toMatchObject({ waiting: 1, scheduled: 1 });
  });
});

describe('a scrape', () => {
  it('asks as much with ten parked as with ten thousand, and says the same numbers', async ({ world }) => {
    const redis = adminOf(world, await privateRedis(world));
    const lane = defineLane({ name: 'counts' });
    const queue = openLaneQueue(redis, world.keys, lane);
    world.defer(() => queue.close());
    const metrics = createMetrics('1');
    metrics.watchLanes([queue], async () => []);
    const park = async (from: number, to: number) => {
      for (const key of [queue.backend.toKey('delayed'), queue.parkedKey('limit'), queue.line]) {
        const step = key === queue.backend.toKey('delayed') ? 4_096 : 1;
        const atGate = (n: number) => step > 1 || n % 2 === (key === queue.line ? 0 : 1);
        const members = Array.from({ length: to - from }, (_, n) => n + from).filter(atGate);
        await redis.zadd(key, ...members.flatMap((n) => [(4e12 + n) * step, `j${n}`]));
      }
    };
    const commands = async () =>
      [...(await redis.info('commandstats')).matchAll(/cmdstat_(?!info)\S+:calls=(\d+)/g)].reduce(
        (sum, [, calls]) => sum + Number(calls),
        0,
      );
    const scrape = async () => {
      await metrics.registry.metrics();
      const before = await commands();
      const text = await metrics.registry.metrics();
      return { asked: (await commands()) - before, text };
    };
    await park(0, 10);
    const few = await scrape();
    await park(10, 10_000);
    const many = await scrape();
    expect(many.asked).toBe(few.asked);
    expect(few.text).toContain('lanekeeper_parked_jobs{lane="counts",gate="limit"} 5\n');
    expect(many.text).toContain('lanekeeper_parked_jobs{lane="counts",gate="limit"} 5000\n');
    expect(many.text).toContain('lanekeeper_parked_jobs{lane="counts",gate="cooldown"} 5000\n');
    expect(many.text).toContain('lanekeeper_lane_jobs{lane="counts",state="parked"} 10000\n');
    expect(many.text).toContain('lanekeeper_lane_jobs{lane="counts",state="scheduled"} 0\n');
    expect(many.text).not.toContain('state="delayed"');
  });
});
