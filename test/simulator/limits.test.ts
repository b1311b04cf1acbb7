// The door of the live server: limits, cooldowns and bans, on a clock that the test moves.

import { describe, expect, test, vi } from 'vitest';
import { createManualClock, openRequest, play } from './live.ts';

const as = (agent: string) => ({ headers: { 'x-agent': agent } });

describe('at once', () => {
  test('the fourth is told 429, and a place that frees is given again', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: '24h', limits: [{ concurrent: 3 }] } });
    const inside = [1, 2, 3].map(() => openRequest(`${url}/x`));
    await vi.waitFor(() => expect(sim.log).toHaveLength(3));

    const { status, headers, body } = await send('/x');
    expect(status).toBe(429);
    expect(body.error).toMatchObject({ code: 'too-many-at-once', retryAfterMs: 1_000 });
    expect(headers.get('retry-after')).toBe('1');
    expect(headers.get('retry-after-ms')).toBe('1000');
    expect(['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}`))).toEqual(['3', '0', '1']);
    expect(sim.log[3]).toMatchObject({ status: 429, refusedBy: 'concurrent', outcome: 'answered', effect: false });
    expect(sim.verdict().counts).toEqual({ concurrent: 1 });

    inside[0]?.abort();
    await vi.waitFor(() => expect(sim.log[0]).toMatchObject({ outcome: 'aborted', status: null, answeredAt: null }));
    const fourth = openRequest(`${url}/x`);
    await vi.waitFor(() => expect(sim.log[4]).toMatchObject({ outcome: 'open', refusedBy: null }));
    expect(sim.verdict().counts).toEqual({ concurrent: 1 });
    for (const one of [...inside, fourth]) one.abort();
  });

  test('three are not refused, and are not convicted', async () => {
    const { sim, url } = await play({ behaviour: { latency: '24h', limits: [{ concurrent: 3 }] } });
    const inside = [1, 2, 3].map(() => openRequest(`${url}/x`));
    await vi.waitFor(() => expect(sim.log).toHaveLength(3));
    expect(sim.verdict()).toMatchObject({ clean: true, summary: { maxConcurrent: 3, open: 3 } });
    for (const one of inside) one.abort();
  });

  test('by agent, one full agent is no matter to another', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: '24h', limits: [{ concurrent: 1, by: 'agent' }] } });
    const first = openRequest(`${url}/x`, as('a'));
    const other = openRequest(`${url}/x`, as('b'));
    await vi.waitFor(() => expect(sim.log.map((one) => one.refusedBy)).toEqual([null, null]));
    expect((await send('/x', as('a'))).status).toBe(429);
    for (const one of [first, other]) one.abort();
  });
});

describe('per time', () => {
  const limits = [{ count: 2, per: '1s' }] as const;

  test('one too many is told when to come, and then it is in order', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour: { latency: 0, limits, countRefused: false } });
    expect((await send('/x')).headers.get('x-ratelimit-remaining')).toBe('1');
    clock.advance(300.5);
    expect((await send('/x')).headers.get('x-ratelimit-remaining')).toBe('0');
    const { status, headers, body } = await send('/x');
    expect([status, headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual([429, '1', '700']);
    expect(body.error).toMatchObject({ code: 'rate-limited', retryAfterMs: 700 });
    expect(headers.get('x-ratelimit-reset')).toBe('1');
    clock.advance(699.25);
    expect((await send('/x')).status).toBe(429);
    clock.advance(0.25);
    expect((await send('/x')).status).toBe(200);
    expect(sim.log.map((one) => one.refusedBy)).toEqual([null, null, 'rate', 'rate', null]);
    expect(sim.verdict({ countRefused: false }).clean).toBe(true);
    expect(sim.verdict({ countRefused: true }).counts).toEqual({ rate: 3 });
  });

  test('by default a refused request counts too, and the time told allows for it', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour: { latency: 0, limits: [{ count: 1, per: '1s' }] } });
    await send('/x');
    clock.advance(900);
    const { headers } = await send('/x');
    expect(headers.get('retry-after-ms')).toBe('1000');
    clock.advance(1_000);
    expect((await send('/x')).status).toBe(200);
    expect(sim.verdict().counts).toEqual({ rate: 1 });
  });

  test('new limits keep what came before them in mind, and judge only what comes after', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock });
    for (let i = 0; i < 3; i++) await send('/x');
    clock.advance(1);
    sim.configure({ limits });
    expect(sim.verdict().clean).toBe(true);
    clock.advance(998);
    expect((await send('/x')).status).toBe(429);
    expect(sim.verdict().convictions.map((one) => one.records)).toEqual([[1, 2, 3, 4]]);
    clock.advance(1);
    sim.scenario('calm');
    for (let i = 0; i < 3; i++) expect((await send('/x')).status).toBe(200);
    expect(sim.verdict().counts).toEqual({ rate: 1 });
  });

  test('without enforcement nothing is refused and everything is convicted', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour: { latency: 0, limits, cooldown: '1h', enforce: false } });
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push((await send('/x', as('a'))).status);
    expect(answers).toEqual([200, 200, 200, 200]);
    expect(sim.verdict().counts).toEqual({ rate: 2, cooldown: 3 });
  });

  test('health and the front page are recorded but never counted', async () => {
    const { sim, send } = await play({ behaviour: { latency: '24h', limits: [{ count: 1, per: '1h' }] } });
    for (let i = 0; i < 3; i++) {
      expect(await send('/health')).toMatchObject({ status: 200, body: { status: 'ok' } });
      expect((await send('/')).body).toContain('POST /posts');
    }
    expect(sim.log.map((one) => one.counted)).toEqual(Array(6).fill(false));
    expect(sim.verdict().summary.requests).toBe(0);
  });
});

describe('cooldowns and bans', () => {
  const behaviour = {
    latency: 0,
    cooldown: '2s',
    banFor: '5s',
    banGrowth: 3,
    banMax: '40s',
    countRefused: false,
  } as const;

  test('a ban grows with each violation, up to its cap, and outlives none', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour });
    const told = async () => {
      const { status, body } = await send('/x', as('a'));
      return status === 200 ? 'in' : `${body.error.code} ${body.error.retryAfterMs}`;
    };
    expect(await told()).toBe('in');
    clock.advance(1_999.5);
    expect(await told()).toBe('cooldown 5000');
    clock.advance(4_999);
    expect(await told()).toBe('banned 15000');
    expect(await told()).toBe('banned 40000');
    expect(await told()).toBe('banned 40000');
    expect((await send('/x', as('b'))).status).toBe(200);
    clock.advance(40_000);
    expect(await told()).toBe('in');
    clock.advance(2_000);
    expect(await told()).toBe('in');
    expect(await told()).toBe('cooldown 40000');
    expect(sim.log.map((one) => one.refusedBy).filter(Boolean)).toEqual(['cooldown', 'ban', 'ban', 'ban', 'cooldown']);
    expect(sim.verdict().convictions.map((one) => one.records)).toEqual([
      [1, 2],
      [8, 9],
    ]);
  });

  test('without a ban only the early request is refused', async () => {
    const clock = createManualClock();
    const { send } = await play({ clock, behaviour: { ...behaviour, banFor: 0 } });
    await send('/x', as('a'));
    clock.advance(1_500);
    expect((await send('/x', as('a'))).body.error).toMatchObject({ code: 'cooldown', retryAfterMs: 500 });
    clock.advance(500);
    expect((await send('/x', as('a'))).status).toBe(200);
  });

  test('where refusals count, the time told is the time from which it is in order', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour: { ...behaviour, banFor: 0, countRefused: true } });
    await send('/x', as('a'));
    clock.advance(500);
    const { body } = await send('/x', as('a'));
    clock.advance(body.error.retryAfterMs);
    expect((await send('/x', as('a'))).status).toBe(200);
    expect(sim.verdict().counts).toEqual({ cooldown: 1 });
  });

  test('a second request while the first is unanswered is a violation, however long ago it began', async () => {
    const clock = createManualClock();
    const { sim, url, send } = await play({ clock, behaviour: { ...behaviour, latency: '24h' } });
    const first = openRequest(`${url}/x`, as('a'));
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    clock.advance(10_000);
    expect((await send('/x', as('a'))).body.error.code).toBe('cooldown');
    expect(sim.verdict().counts).toEqual({ cooldown: 1 });
    first.abort();
  });

  test("on 'writes', reads come and go", async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour: { ...behaviour, cooldownOn: 'writes' } });
    await send('/posts', { body: { title: 't' }, ...as('a') });
    expect((await send('/posts/p1', as('a'))).status).toBe(200);
    expect(sim.verdict().clean).toBe(true);
    expect((await send('/posts', { body: { title: 't' }, ...as('a') })).status).toBe(429);
    expect(sim.verdict().counts).toEqual({ cooldown: 1 });
  });

  test('a reset forgives', async () => {
    const clock = createManualClock();
    const { sim, send } = await play({ clock, behaviour });
    await send('/x', as('a'));
    expect((await send('/x', as('a'))).status).toBe(429);
    sim.reset();
    expect((await send('/x', as('a'))).status).toBe(200);
    expect(sim.log.map((one) => one.n)).toEqual([3]);
  });
});
