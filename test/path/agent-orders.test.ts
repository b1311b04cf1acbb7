// Agents registered, removed, marked and cleared while everything runs, by the command's functions and by the book of a service:
// heard at once, journalled with who and why, refused in one line, and no job lost.

import { describe, expect, vi } from 'vitest';
import { handle, openAgents } from '../../src/index.ts';
import { type AgentOrders, addAgent, clearAgent, markAgent, removeAgent } from '../../src/path/agent-orders.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { it, type World } from '../support/world.ts';
import { forumOf, HOUR } from './forum.ts';
import { RETRYING, rejection, untilState } from './looking.ts';

async function bookOf({ redisUrl, prefix, defer }: World, upstream: Parameters<typeof openAgents>[0]['upstream']) {
  const book = await openAgents({ redis: redisUrl, prefix, upstream });
  defer(() => book.close());
  return book;
}

describe('an order', () => {
  it('to register brings an agent whose window is open; again it replaces its metadata and tells nothing', async ({
    world,
  }) => {
    const { orders, told, look } = await forumOf(world, []);
    const added = await addAgent(orders, 'a1', { pool: 1 }, 'one more');
    expect(added).toMatchObject({ agent: 'a1', order: 'add', isChanged: true, beforeAt: null, waiting: 0 });
    expect(added.afterAt).toBeLessThanOrEqual(added.orderedAt + 1);
    expect(await addAgent(orders, 'a1', { pool: 2 })).toMatchObject({ isChanged: false, afterAt: added.afterAt });
    expect((await look()).agents).toMatchObject([{ agent: 'a1', state: 'open', meta: { pool: 2 } }]);
    expect(await told()).toEqual([
      {
        what: 'agent.ordered',
        who: 'ann@desk',
        upstream: 'forum',
        agent: 'a1',
        order: 'add',
        reason: 'one more',
        beforeAt: null,
        afterAt: added.afterAt,
      },
    ]);
  });

  it('to mark keeps it until then; to clear lets it act now; each says what it was before', async ({ world }) => {
    const { orders, told, look, register, nowAt } = await forumOf(world, ['a1']);
    await register();
    expect(await markAgent(orders, 'a1', new Date(nowAt + 2 * HOUR).toISOString(), 'banned')).toMatchObject({
      afterAt: nowAt + 2 * HOUR,
      isActing: false,
    });
    const sooner = { beforeAt: nowAt + 2 * HOUR, afterAt: nowAt + 2 * HOUR };
    expect(await markAgent(orders, 'a1', nowAt + HOUR, 'less')).toMatchObject(sooner);
    expect((await look()).agents).toMatchObject([{ state: 'cooling', source: 'operator', reason: 'banned' }]);
    const cleared = await clearAgent(orders, 'a1', 'they lifted it');
    expect(cleared).toMatchObject({ beforeAt: nowAt + 2 * HOUR });
    expect((await look()).agents).toMatchObject([{ state: 'open', reason: 'they lifted it' }]);
    expect((await told()).map(({ order, reason }) => [order, reason])).toEqual([
      ['mark', 'banned'],
      ['mark', 'less'],
      ['clear', 'they lifted it'],
    ]);
  });

  it('to mark takes a duration too, from now by Redis', async ({ world }) => {
    const { orders, register } = await forumOf(world, ['a1']);
    await register();
    const { afterAt, orderedAt } = await markAgent(orders, 'a1', '2h', 'banned');
    expect((afterAt ?? 0) - orderedAt).toBeGreaterThan(2 * HOUR - 5_000);
    expect((afterAt ?? 0) - orderedAt).toBeLessThanOrEqual(2 * HOUR);
  });

  it('to remove says who waits, keeps them, and does not make it forget its cooldown', async ({ world }) => {
    const { orders, register, publish, nowAt } = await forumOf(world, ['a1']);
    await register();
    const { id } = await (await world.producer()).add(publish, null, { agent: 'a1' });
    await markAgent(orders, 'a1', nowAt + HOUR, 'banned');
    expect(await removeAgent(orders, 'a1', 'sold')).toMatchObject({ afterAt: null, waiting: 1 });
    expect(await untilState(world.queue(publish), id, 'parked')).toMatchObject({ gate: 'cooldown' });
    expect(await register()).toBe(false);
    expect(await world.redis.hexists(world.keys.agents('forum'), 'a1'), 'its definition brings it back').toBe(0);
    expect(await addAgent(orders, 'a1', undefined)).toMatchObject({
      isChanged: true,
      afterAt: nowAt + HOUR,
      waiting: 1,
    });
  });

  it('says of an agent that acts that it does', async ({ world }) => {
    const { orders, register, acts, nowAt } = await forumOf(world, ['a1']);
    await register();
    await acts('a1', 'publish', 'j');
    expect(await markAgent(orders, 'a1', nowAt + HOUR, 'banned')).toMatchObject({ isActing: true });
    expect(await removeAgent(orders, 'a1')).toMatchObject({ isActing: true });
  });

  it('counts who waits in a lane that no pod runs, when it is named (twin: not without)', async ({ world }) => {
    const { orders, publish } = await forumOf(world, ['a1']);
    await addAgent(orders, 'a1', undefined);
    await (await world.producer()).add(publish, null, { agent: 'a1' });
    expect(await addAgent({ ...orders, lanes: ['publish'] }, 'a1', undefined)).toMatchObject({ waiting: 1 });
    expect(await addAgent(orders, 'a1', undefined)).toMatchObject({ waiting: 0 });
  });

  it('is heard by a pod at once: what waited for an hour runs', async ({ world }) => {
    const { orders, publish, nowAt } = await forumOf(world, ['a1']);
    await world.pod([handle(publish, { run: (job) => job.agent })]);
    await vi.waitFor(() => expect(world.redis.hlen(world.keys.agents('forum'))).resolves.toBe(1), RETRYING);
    await markAgent(orders, 'a1', nowAt + HOUR, 'banned');
    const { id } = await (await world.producer()).add(publish, null, { agent: 'a1' });
    const queue = world.queue(publish);
    expect(await untilState(queue, id, 'parked')).toMatchObject({ gate: 'cooldown' });
    await clearAgent(orders, 'a1', 'they lifted it');
    expect(await untilState(queue, id, 'done')).toMatchObject({ result: 'a1', attempt: 1 });
  });

  it('to register an agent brings the jobs of a lane that had none', async ({ world }) => {
    const { orders, publish } = await forumOf(world, []);
    await world.pod([handle(publish, { run: (job) => job.agent })]);
    const { id, startsAt } = await (await world.producer()).add(publish, null);
    expect(startsAt).toBeNull();
    await addAgent(orders, 'late', undefined);
    expect(await untilState(world.queue(publish), id, 'done')).toMatchObject({ result: 'late' });
  });
});

describe('a wrong order', () => {
  const wrong: [string, (orders: AgentOrders) => Promise<unknown>, string, RegExp][] = [
    ['name', (to) => addAgent(to, 'a b', undefined), 'LK_INPUT', /^agent: expected 1 to 128 letters.*, got "a b"$/],
    ['option for a name', (to) => addAgent(to, '--x', undefined), 'LK_INPUT', /^agent: expected/],
    ['kind of name', (to) => removeAgent(to, 5), 'LK_INPUT', /^agent: expected .*, got 5$/],
    ['no name', (to) => clearAgent(to, undefined, 'r'), 'LK_INPUT', /^agent: expected .*, got nothing$/],
    ['metadata', (to) => addAgent(to, 'a3', 5n), 'LK_INPUT', /^meta: expected what JSON can say.*, got /],
    ['much metadata', (to) => addAgent(to, 'a3', 'x'.repeat(4_095)), 'LK_INPUT', /^meta: expected .*4096 bytes/],
    ['function', (to) => addAgent(to, 'a3', () => {}), 'LK_INPUT', /^meta: .*, got a function$/],
    ['instant', (to) => markAgent(to, 'a1', 'soon', 'r'), 'LK_INPUT', /^until: expected an instant such as/],
    [
      'past',
      (to) => markAgent(to, 'a1', 1_000, 'r'),
      'LK_INPUT',
      /^until: .*to come \(to let it act now, clear it\), got 1000$/,
    ],
    ['no reason', (to) => markAgent(to, 'a1', 9e12, undefined), 'LK_INPUT', /^reason: expected 1 to 500 characters/],
    ['two lines', (to) => clearAgent(to, 'a1', 'a\nb'), 'LK_INPUT', /^reason: .*, got "a\\nb"$/],
    ['empty reason', (to) => removeAgent(to, 'a1', ''), 'LK_INPUT', /^reason: /],
    [
      'unknown agent',
      (to) => markAgent(to, 'a9', 9e12, 'r'),
      'LK_UNKNOWN',
      /^upstream "forum" has no agent "a9": expected one of a1, a2, a10; to register it: lanekeeper agents forum add a9 --reason \.\.\.$/,
    ],
    ['stranger to remove', (to) => removeAgent(to, 'a9'), 'LK_UNKNOWN', /has no agent "a9"/],
    ['stranger to clear', (to) => clearAgent(to, 'a9', 'r'), 'LK_UNKNOWN', /has no agent "a9"/],
  ];

  it.for(wrong)('(%s) is refused in one line and changes nothing', async ([, give, code, says], { world }) => {
    const { orders, told, register, look } = await forumOf(world);
    await register();
    const { seenAt: _, ...before } = await look();
    const refused = await rejection(give(orders));
    expect(refused).toMatchObject({ code, message: expect.stringMatching(says) });
    expect(refused.message).not.toContain('\n');
    expect(await look()).toMatchObject(before);
    expect(await told()).toEqual([]);
  });

  it('names ten of many, or that there are none', async ({ world }) => {
    const names = Array.from({ length: 12 }, (_, n) => `a${n}`);
    const { orders, register } = await forumOf(world, names);
    expect((await rejection(removeAgent(orders, 'x'))).message).toContain(
      'expected a registered one, but there are none;',
    );
    await register();
    expect((await rejection(removeAgent(orders, 'x'))).message).toContain(
      'expected one of a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 2 more;',
    );
  });
});

describe('the book of a service', () => {
  it('gives the same orders, journalled with who and why', async ({ world }) => {
    const { upstream, publish, nowAt } = await forumOf(world, []);
    const book = await bookOf(world, upstream);
    await book.add('svc-1', { pool: 'eu' });
    await book.mark('svc-1', new Date(nowAt + HOUR), 'captcha');
    expect(await book.list()).toMatchObject([
      { agent: 'svc-1', state: 'cooling', nextAt: nowAt + HOUR, reason: 'captcha', meta: { pool: 'eu' } },
    ]);
    await (await world.producer()).add(publish, null, { agent: 'svc-1' });
    await book.clear('svc-1', 'solved');
    expect(await book.remove('svc-1')).toMatchObject({ isChanged: true });
    expect(await book.list()).toEqual([]);
    const entries = await world.redis.xrange(world.keys.journal('forum'), '-', '+');
    const who = expect.stringMatching(/.+@.+/);
    expect(entries.flatMap(([id, fields]) => readBatch(id, fields))).toMatchObject([
      { what: 'agent.ordered', who, order: 'add', reason: null },
      { what: 'agent.ordered', order: 'mark', reason: 'captcha', afterAt: nowAt + HOUR },
      { what: 'agent.ordered', order: 'clear', reason: 'solved', beforeAt: nowAt + HOUR },
      { what: 'agent.ordered', order: 'remove', afterAt: null },
    ]);
  });

  it('takes the name of an upstream too, and refuses as the command does', async ({ world }) => {
    const book = await bookOf(world, 'forum');
    expect(await rejection(book.mark('a1', 9e12, 'r'))).toMatchObject({ code: 'LK_UNKNOWN' });
    expect(await rejection(book.add('a b'))).toMatchObject({ code: 'LK_INPUT' });
    await book.add('a1');
    expect(await book.list()).toMatchObject([{ agent: 'a1', heartbeatMs: null, silentSinceAt: null }]);
  });

  it('takes a heartbeat, which the next call renews or ends', async ({ world }) => {
    const book = await bookOf(world, 'forum');
    for (const [promise, heartbeatMs] of [
      [{ heartbeat: '30s' }, 30_000],
      [{ heartbeat: '1m' }, 60_000],
      [undefined, null],
    ] as const) {
      await book.add('a1', undefined, promise);
      expect(await book.list()).toMatchObject([{ heartbeatMs }]);
    }
    for (const promise of [{ heartbeat: '1' }, { heartbeat: '0s' }, { beat: '30s' }, null, '30s'])
      expect(await rejection(book.add('a1', undefined, promise as { heartbeat: string }))).toMatchObject({
        code: 'LK_INPUT',
        message: expect.stringMatching(/^(heartbeat|add): expected .*, got /),
      });
  });

  it.for([
    [undefined, /^openAgents: expected \{ upstream, redis, prefix \}, got nothing$/],
    [{ upstream: 'forum', agent: 'a' }, /^openAgents: expected/],
    [{ upstream: 'No Name' }, /^upstream: expected what defineUpstream returned, or a name of/],
    [{}, /^upstream: expected .*, got nothing$/],
    [{ upstream: 'forum', redis: 5 }, /^redis: expected a text, got 5$/],
  ] as const)('is refused for %j', async ([options, says]) => {
    const refused = await rejection(openAgents(options as never));
    expect(refused).toMatchObject({ code: 'LK_CONFIG', message: expect.stringMatching(says) });
  });

  it('hears within 1.5 s that Redis is away', async () => {
    const refused = await rejection(openAgents({ redis: 'redis://127.0.0.1:1', upstream: 'forum' }));
    expect(refused).toMatchObject({ code: 'LK_REDIS_DOWN' });
  });
});
