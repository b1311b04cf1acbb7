// An exclusive lane is fed by its owner alone: whoever else adds hears who holds it, and nothing is written.

import { describe, expect } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { showJob } from '../../src/path/inspect.ts';
import { openProducer } from '../../src/path/producer.ts';
import { systemClock } from '../../src/words/clock.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { whoami } from '../../src/words/whoami.ts';
import { it, type World } from '../support/world.ts';
import { expire, take } from './leases.ts';
import { keysOf, plainQueue, rejection, untilState } from './looking.ts';

const lane = defineLane({ name: 'publish', ownership: 'exclusive' });
const forum = defineUpstream({ name: 'forum', agents: ['a'] });
const acting = defineLane({ name: 'act', upstream: forum, agent: { cooldown: '1h' }, ownership: 'exclusive' });
const echo = handle(lane, { run: () => 'done' });

const jobKeys = async (world: World) => (await keysOf(world)).filter((key) => !key.endsWith(':owner'));

describe.each([lane, acting])('an add to exclusive lane $name', (to) => {
  it('by its owner is in, and says who fed it', async ({ world }) => {
    const token = await take(world, to, 'manual');
    const { id } = await (await world.producer()).add(to, null, { as: 'manual' });
    const fed = await world.redis.hget(world.queue(to).jobKey(id), JOB_FIELDS.owner);
    expect(JSON.parse(fed ?? '')).toEqual({ token: String(token), as: 'manual', by: whoami() });
  });

  it('by another is refused with who holds it, since when, until when and why, and writes nothing', async ({
    world,
  }) => {
    await take(world, to, 'cron', { by: 'pod@far' });
    const producer = await world.producer();
    const before = await jobKeys(world);
    for (const options of [{ as: 'manual', key: 'k' }, { as: 'cron' }, { key: 'k' }]) {
      const { code, message } = await rejection(producer.add(to, null, options));
      expect(code).toBe('LK_OWNED');
      expect(message).toMatch(/owned by cron of pod@far since 2\S+Z, until 2\S+Z, for: a test/);
      expect(message).toContain('as' in options ? `you add as ${options.as} of ${whoami()}` : 'nobody said as whom');
    }
    const list = await rejection(producer.addMany(to, [{ payload: 1, key: 'a' }, { payload: 2 }], { as: 'manual' }));
    expect(list).toMatchObject({ code: 'LK_OWNED' });
    expect(list.message).toContain('0 of 2 items are in');
    expect(await jobKeys(world)).toEqual(before);
  });

  it('that nobody holds is refused with how to take it', async ({ world }) => {
    const producer = await world.producer();
    const never = await rejection(producer.add(to, null, { as: 'manual' }));
    expect(never.message).toContain(`lanekeeper take ${to.name} --as manual --reason`);
    await take(world, to, 'manual');
    await expire(world, to);
    const over = await rejection(producer.add(to, null, { as: 'manual' }));
    expect(over).toMatchObject({ code: 'LK_OWNED' });
    expect(over.message).toMatch(/nobody owns lane "\w+" now \(the last was manual of/);
  });
});

describe('a list', () => {
  it('is fed as a whole by its owner, in the same script as each add', async ({ world }) => {
    await take(world, lane, 'cron');
    const items = Array.from({ length: 40 }, (_, n) => ({ payload: n, key: `k${n}` }));
    const added = await (await world.producer()).addMany(lane, items, { as: 'cron' });
    expect(new Set(added.map(({ id }) => id)).size).toBe(40);
    await world.pod([echo]);
    for (const { id } of added) await untilState(world.queue(lane), id, 'done');
  });

  it('takes no owner of one item alone', async ({ world }) => {
    await take(world, lane, 'cron');
    const { message } = await rejection((await world.producer()).addMany(lane, [{ payload: 1, as: 'cron' }]));
    expect(message).toContain('[0] as: expected it with the whole list');
  });
});

describe('a hold', () => {
  it('feeds with its own token only', async ({ world }) => {
    const old = await take(world, lane, 'cron', { by: 'svc' });
    const producer = openProducer(world.redis, world.redisUrl, world.prefix, systemClock);
    world.defer(() => producer.close());
    const feeder = { as: 'cron', by: 'svc', token: old };
    await producer.addAs(feeder, lane, null, {});
    await take(world, lane, 'cron', { by: 'svc' });
    expect(await rejection(producer.addAs(feeder, lane, null, {}))).toMatchObject({ code: 'LK_OWNED' });
    expect(await rejection(producer.addManyAs(feeder, lane, [{ payload: 1 }], {}))).toMatchObject({ code: 'LK_OWNED' });
  });
});

describe('what is asked', () => {
  it('as what is no name is refused by name', async ({ world }) => {
    const producer = await world.producer();
    for (const as of ['', 'Manual', 'a b', '-x', 'x'.repeat(64), 7 as unknown as string]) {
      const { code, message } = await rejection(producer.add(lane, null, { as }));
      expect(code).toBe('LK_INPUT');
      expect(message).toMatch(/^as: expected a name of a-z, .* such as 'manual'/);
    }
  });

  it('as of an open lane is refused: nobody owns it', async ({ world }) => {
    const open = defineLane({ name: 'open' });
    const { message } = await rejection((await world.producer()).add(open, null, { as: 'cron' }));
    expect(message).toContain('lane "open" is open');
  });
});

describe('a plain producer', () => {
  it('adds, and its job is dead as refused, with what to do', async ({ world }) => {
    await take(world, lane, 'cron');
    await plainQueue(world, lane).add('x', { a: 1 }, { jobId: 'plain' });
    await world.pod([echo]);
    const dead = await untilState(world.queue(lane), 'plain', 'dead');
    expect(dead).toMatchObject({ class: 'refused', reason: expect.stringContaining('no owner fed it') });
  });

  it('of an open lane is run (twin)', async ({ world }) => {
    const open = defineLane({ name: 'publish' });
    await plainQueue(world, open).add('x', { a: 1 }, { jobId: 'plain' });
    await world.pod([handle(open, { run: () => 'done' })]);
    await untilState(world.queue(open), 'plain', 'done');
    expect(await showJob(world.queue(open), 'plain')).toMatchObject({ state: 'done' });
  });
});
