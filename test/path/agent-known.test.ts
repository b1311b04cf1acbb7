// Jobs for agents of whom nobody has heard are refused before anything is written; all others are taken.

import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream } from '../../src/index.ts';
import { findUnknownAgents } from '../../src/path/agent-known.ts';
import { addAgent, removeAgent } from '../../src/path/agent-orders.ts';
import type { Entry } from '../../src/path/entry.ts';
import { it } from '../support/world.ts';
import { forumOf } from './forum.ts';
import { keysOf, rejection } from './looking.ts';

describe('a job for an agent', () => {
  it('that the definition names is taken before any pod ran', async ({ world }) => {
    const { publish } = await forumOf(world, ['a1']);
    expect(await (await world.producer()).add(publish, null, { agent: 'a1' })).toMatchObject({ state: 'parked' });
  });

  it('that was registered at run time is taken; before that it was not (twin)', async ({ world }) => {
    const { publish, orders } = await forumOf(world, []);
    const producer = await world.producer();
    expect(await rejection(producer.add(publish, null, { agent: 'svc' }))).toMatchObject({ code: 'LK_UNKNOWN' });
    await addAgent(orders, 'svc', undefined);
    expect(await producer.add(publish, null, { agent: 'svc' })).toMatchObject({ state: 'parked' });
  });

  it('of whom nobody has heard is refused, says who is known and how to bring it, and writes nothing', async ({
    world,
  }) => {
    const { publish, orders } = await forumOf(world, ['a2', 'a1']);
    const producer = await world.producer();
    const before = await keysOf(world);
    expect(await rejection(producer.add(publish, null, { agent: 'a01', key: 'k' }))).toMatchObject({
      code: 'LK_UNKNOWN',
      message:
        'upstream "forum" has no agent "a01": expected one of a1, a2; to register it: lanekeeper agents forum add a01 --reason ...',
    });
    expect(await keysOf(world)).toEqual(before);
    for (let n = 3; n < 14; n++) await addAgent(orders, `a${n}`, undefined);
    expect((await rejection(producer.add(publish, null, { agent: 'x' }))).message).toContain(
      'expected one of a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 and 3 more;',
    );
  });

  it('of an upstream without any says that there are none', async ({ world }) => {
    const { publish } = await forumOf(world, []);
    const refused = await rejection((await world.producer()).add(publish, null, { agent: 'a1' }));
    expect(refused.message).toMatch(
      /^upstream "forum" has no agent "a1": expected a registered one, but there are none;/,
    );
  });

  it('of a lane that acts as nobody is refused, says what to do, and writes nothing', async ({ world }) => {
    const { upstream } = await forumOf(world);
    const producer = await world.producer();
    const said =
      'agent: expected nothing, for the jobs of lane "plain" act as no agent (leave it out, or give the lane agent: { cooldown: \'2h\' }), got "a1"';
    for (const lane of [defineLane({ name: 'plain' }), defineLane({ name: 'plain', upstream })]) {
      const before = await keysOf(world);
      const refused = { code: 'LK_INPUT', message: said };
      expect(await rejection(producer.add(lane, null, { agent: 'a1' }))).toMatchObject(refused);
      const list = [{ payload: null }, { payload: null, agent: 'a1' }];
      expect(await rejection(producer.addMany(lane, list))).toMatchObject({
        code: 'LK_INPUT',
        message: `1 of 2 items refused, none added: [1] ${said}`,
      });
      expect(await keysOf(world)).toEqual(before);
      expect(await producer.add(lane, null)).toMatchObject({ state: 'waiting' });
    }
  });

  it('of a lane that acts as nobody is taken where the upstream has limits by agent', async ({ world }) => {
    const upstream = defineUpstream({ name: 'api', limits: [{ concurrent: 8 }, { concurrent: 1, by: 'agent' }] });
    const lane = defineLane({ name: 'plain', upstream });
    expect(await (await world.producer()).add(lane, null, { agent: 'whoever' })).toMatchObject({ state: 'waiting' });
  });

  it('that has left is the same job as before under its key, and a new one is refused', async ({ world }) => {
    const { publish, orders } = await forumOf(world, []);
    await addAgent(orders, 'svc', undefined);
    const producer = await world.producer();
    const { id } = await producer.add(publish, null, { agent: 'svc', key: 'order-7' });
    await removeAgent(orders, 'svc');
    expect(await producer.add(publish, null, { agent: 'svc', key: 'order-7' })).toMatchObject({ id, isRepeat: true });
    expect(await rejection(producer.add(publish, null, { agent: 'svc', key: 'order-8' }))).toMatchObject({
      code: 'LK_UNKNOWN',
    });
  });
});

describe('a list', () => {
  it('with unknown agents is refused whole, each named once with where it stands first', async ({ world }) => {
    const { publish } = await forumOf(world, ['a1']);
    const producer = await world.producer();
    const before = await keysOf(world);
    const items = ['a1', undefined, 'b', 'c', 'b'].map((agent) => ({ payload: null, agent }));
    expect(await rejection(producer.addMany(publish, items))).toMatchObject({
      code: 'LK_UNKNOWN',
      message:
        '3 of 5 items refused, none added: upstream "forum" has no agent [2] "b", [3] "c": expected one of a1; to register one: lanekeeper agents forum add NAME --reason ...',
    });
    expect(await keysOf(world)).toEqual(before);
    expect(await producer.addMany(publish, items.slice(0, 2))).toHaveLength(2);
  });

  it('of which twelve are unknown names ten', async ({ world }) => {
    const { publish } = await forumOf(world, ['a1']);
    const items = Array.from({ length: 12 }, (_, n) => ({ payload: null, agent: `b${n}` }));
    const { message } = await rejection((await world.producer()).addMany(publish, items));
    expect(message).toContain('[9] "b9" and 2 more: expected one of a1;');
  });

  it('costs one command more only when it names one that the definition does not', async ({ world }) => {
    const { publish, orders } = await forumOf(world, ['a1']);
    await addAgent(orders, 'svc', undefined);
    const sent = vi.spyOn(world.redis, 'sendCommand');
    const ask = (...agents: string[]) => {
      const entries = agents.map((agent) => ({ lining: { agent } }) as Entry);
      return findUnknownAgents(world.redis, world.keys, publish, entries);
    };
    expect(await ask('a1')).toBeUndefined();
    expect(sent).toHaveBeenCalledTimes(0);
    expect(await ask('a1', 'svc', 'svc')).toBeUndefined();
    expect(sent).toHaveBeenCalledTimes(1);
  });
});
