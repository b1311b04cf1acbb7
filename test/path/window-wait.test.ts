// What a job is told that waits for an agent's window: who decides and when, how many go before it, and what is missing.

import { describe, expect } from 'vitest';
import type { Lane } from '../../src/index.ts';
import { addAgent, clearAgent, markAgent, removeAgent } from '../../src/path/agent-orders.ts';
import { cancelJob } from '../../src/path/cancel.ts';
import { explainJob, showJob } from '../../src/path/inspect.ts';
import { readWindowWait } from '../../src/path/window-wait.ts';
import { it, type World } from '../support/world.ts';
import { forumOf, HOUR } from './forum.ts';
import { rejection } from './looking.ts';

function why(world: World, lane: Lane, id: string, pods = 1) {
  const queue = world.queue(lane);
  return explainJob(queue, lane, id, pods, async () => ({ window: await readWindowWait(queue, world.keys, id) }));
}

describe('a job for any agent', () => {
  it('waits for who opens next, behind those of all lanes that stand before it', async ({ world }) => {
    const { publish, reply, register, orders, nowAt } = await forumOf(world, ['a1', 'a2']);
    await register();
    await markAgent(orders, 'a1', nowAt + 3 * HOUR, 'banned');
    await markAgent(orders, 'a2', nowAt + HOUR, 'slow');
    const producer = await world.producer();
    await producer.add(reply, null, { priority: 1 });
    await producer.add(publish, null, { priority: 1 });
    await producer.add(publish, null, { priority: 9 });
    await producer.add(publish, null, { agent: 'a1' });
    const { id } = await producer.add(publish, null, { priority: 5 });
    const told = await why(world, publish, id);
    expect(told).toMatchObject({ state: 'parked', gate: 'cooldown', place: 3 });
    // Two go before it, one as each agent: then a2 comes round first, two hours after its window.
    expect(told.untilAt).toBe(nowAt + 3 * HOUR);
    expect(told.because).toMatch(
      /^the next is agent a2: it opens in \S+, at \S+Z \(operator: slow\); 2 ahead of it \(publish 1, reply 1\)$/,
    );
    expect(told.window).toMatchObject({
      agent: null,
      opening: { agent: 'a2', opensAt: nowAt + HOUR, source: 'operator' },
    });
    await clearAgent(orders, 'a1', 'lifted');
    const later = await why(world, publish, id);
    expect(later.because).toMatch(/^agent a1 is open; 2 ahead of it/);
  });

  it('waits for the second to open when one goes before it, and for the first when it is the next', async ({
    world,
  }) => {
    const { publish, register, orders, nowAt } = await forumOf(world, ['a1', 'a2']);
    await register();
    await markAgent(orders, 'a1', nowAt + 3 * HOUR, 'r');
    await markAgent(orders, 'a2', nowAt + HOUR, 'r');
    const producer = await world.producer();
    const [first, second] = await producer.addMany(publish, [{ payload: 1 }, { payload: 2 }]);
    expect(await why(world, publish, first?.id ?? '')).toMatchObject({ place: 1, untilAt: nowAt + HOUR });
    expect(await why(world, publish, second?.id ?? '')).toMatchObject({ place: 2, untilAt: nowAt + 3 * HOUR });
  });

  it('starts as soon as an add says, by line and calendar: as the next to open, then a cooldown later', async ({
    world,
  }) => {
    const { publish, register, orders, nowAt } = await forumOf(world, ['a1', 'a2']);
    await register();
    await markAgent(orders, 'a1', nowAt + 3 * HOUR, 'r');
    await markAgent(orders, 'a2', nowAt + 2 * HOUR, 'r');
    const producer = await world.producer();
    const startsAt = async (agent?: string) => ((await producer.add(publish, null, { agent })).startsAt ?? 0) - nowAt;
    expect([await startsAt(), await startsAt(), await startsAt(), await startsAt()]).toEqual([
      2 * HOUR,
      3 * HOUR,
      4 * HOUR,
      5 * HOUR,
    ]);
    expect([await startsAt('a1'), await startsAt('a1')]).toEqual([3 * HOUR, 5 * HOUR]);
  });

  it('says so when all agents act, and when nobody runs its lane', async ({ world }) => {
    const { publish, register, acts } = await forumOf(world, ['a1', 'a2']);
    await register();
    await acts('a1', 'publish', 'x');
    await acts('a2', 'publish', 'y');
    const { id } = await (await world.producer()).add(publish, null);
    const told = await why(world, publish, id);
    expect(told.because).toBe('all 2 agents act now; 0 ahead of it');
    expect(told.untilAt).toBe((told.window?.seenAt ?? 0) + 2 * HOUR);
    expect((await why(world, publish, id, 0)).because).toBe(`${told.because}; no running pod has this lane`);
  });

  it('of an upstream without agents waits for nobody knows what, and says how to bring one', async ({ world }) => {
    const { publish, register, orders } = await forumOf(world, []);
    await register();
    const { id, startsAt } = await (await world.producer()).add(publish, null);
    expect(startsAt).toBeNull();
    expect(await why(world, publish, id)).toMatchObject({
      gate: 'cooldown',
      untilAt: null,
      place: 1,
      because: 'forum has no agents: lanekeeper agents forum add NAME --reason ...',
    });
    await addAgent(orders, 'a1', undefined);
    expect(await why(world, publish, id)).toMatchObject({ untilAt: expect.any(Number), because: /^agent a1 is open/ });
  });

  it('says that state was lost, and waits until all is in order', async ({ world }) => {
    const { publish, register, nowAt } = await forumOf(world, ['a1']);
    await register();
    const { id } = await (await world.producer()).add(publish, null);
    await world.redis.hset(`${world.keys.upstream('forum')}agent-state`, 'closed', nowAt + HOUR);
    expect(await why(world, publish, id)).toMatchObject({
      untilAt: nowAt + HOUR,
      because: /^what was known of forum's agents was lost, and nobody acts before all is in order; agent a1/,
    });
  });
});

describe('a job for one agent', () => {
  it('waits for that one alone, behind its own', async ({ world }) => {
    const { publish, reply, register, orders, nowAt } = await forumOf(world, ['a1', 'a2']);
    await register();
    await markAgent(orders, 'a1', nowAt + HOUR, 'quota until noon');
    const producer = await world.producer();
    await producer.add(publish, null);
    await producer.add(publish, null, { agent: 'a2' });
    await producer.add(reply, null, { agent: 'a1' });
    const { id } = await producer.add(publish, null, { agent: 'a1' });
    const told = await why(world, publish, id);
    expect(told).toMatchObject({ place: 2, untilAt: nowAt + 3 * HOUR });
    expect(told.because).toMatch(/^agent a1 opens in \S+, at \S+Z \(operator: quota until noon\); 1 ahead of it$/);
  });

  it('follows an order at once, where what stands in the job does not (twin)', async ({ world }) => {
    const { publish, register, orders, nowAt } = await forumOf(world, ['a1']);
    await register();
    const { id } = await (await world.producer()).add(publish, null, { agent: 'a1' });
    await markAgent(orders, 'a1', nowAt + HOUR, 'r');
    expect(await why(world, publish, id)).toMatchObject({ untilAt: nowAt + HOUR });
    expect((await showJob(world.queue(publish), id)).untilAt).toBeLessThan(nowAt + HOUR);
  });

  it('says what that one does when it acts', async ({ world }) => {
    const { publish, register, acts } = await forumOf(world, ['a1']);
    await register();
    await acts('a1', 'reply', 'job-7');
    const { id } = await (await world.producer()).add(publish, null, { agent: 'a1' });
    const told = await why(world, publish, id);
    expect(told.because).toBe('agent a1 acts now: reply job-7 on p1; 0 ahead of it');
    expect(told.untilAt).toBe((told.window?.seenAt ?? 0) + 2 * HOUR);
  });

  it('that was removed waits for nobody knows how long, and says how to bring it back', async ({ world }) => {
    const { publish, register, orders } = await forumOf(world, ['a1', 'a2']);
    await register();
    const { id } = await (await world.producer()).add(publish, null, { agent: 'a1' });
    await removeAgent(orders, 'a1');
    expect(await why(world, publish, id)).toMatchObject({
      untilAt: null,
      place: 1,
      because: 'agent a1 is not registered with forum: lanekeeper agents forum add a1 --reason ...',
    });
    await addAgent(orders, 'a1', undefined);
    expect(await why(world, publish, id)).toMatchObject({ untilAt: expect.any(Number) });
  });
});

describe('a line', () => {
  it('is left at once by a job that is cancelled, of any agent and of one', async ({ world }) => {
    const { publish, register } = await forumOf(world, ['a1']);
    await register();
    const producer = await world.producer();
    const queue = world.queue(publish);
    for (const agent of [undefined, 'a1']) {
      const [first, second] = [
        await producer.add(publish, null, { agent }),
        await producer.add(publish, null, { agent }),
      ];
      expect(await why(world, publish, second.id)).toMatchObject({ place: 2 });
      expect(await cancelJob(queue, world.keys, first.id)).toMatchObject({ state: 'parked' });
      expect(await world.redis.zrange(world.keys.line(publish, agent), '0', '-1')).toEqual([second.id]);
      expect(await why(world, publish, second.id)).toMatchObject({ place: 1 });
    }
  });

  it('is not left by one whose removal BullMQ refuses, and kept by one that another tool removes (twin)', async ({
    world,
  }) => {
    const { publish, register } = await forumOf(world, ['a1']);
    await register();
    const { id } = await (await world.producer()).add(publish, null);
    const queue = world.queue(publish);
    await world.redis.set(`${queue.jobKey(id)}:lock`, 'somebody');
    expect(await rejection(cancelJob(queue, world.keys, id))).toMatchObject({ code: 'LK_STATE' });
    expect(await world.redis.zcard(world.keys.line(publish))).toBe(1);
    await world.redis.del(`${queue.jobKey(id)}:lock`);
    await queue.backend.remove(id, false);
    expect(await world.redis.zcard(world.keys.line(publish)), 'the next claim takes it out').toBe(1);
  });

  it('in which a job does not stand gives it no place', async ({ world }) => {
    const { publish, register } = await forumOf(world, ['a1']);
    await register();
    const { id } = await (await world.producer()).add(publish, null);
    await world.redis.del(world.keys.line(publish));
    expect(await why(world, publish, id)).toMatchObject({ place: null, because: 'agent a1 is open' });
  });
});
