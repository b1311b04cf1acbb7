// How the live server fails on command, and what its record says of connections that break, on either side.

import { describe, expect, test, vi } from 'vitest';
import { openRequest, play } from './live.ts';

const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"title":"t"}' };

describe('failures', () => {
  test('466 for real requests while health is green; nothing takes effect', async () => {
    const { sim, send } = await play({ scenario: 'green-but-broken' });
    expect(await send('/posts', { body: { title: 't' } })).toMatchObject({
      status: 466,
      body: { error: { code: 'unavailable' } },
    });
    expect((await send('/health')).status).toBe(200);
    expect(sim.effects).toEqual([]);
    expect(sim.log[0]).toMatchObject({ status: 466, refusedBy: 'failure', effect: false });
  });

  test('by ratio, and the same ones with the same seed', async () => {
    const runs: number[][] = [];
    for (const seed of [7, 7, 8]) {
      const { send } = await play({ seed, behaviour: { latency: 0, failWith: 500, failRatio: 0.3 } });
      const statuses: number[] = [];
      for (let i = 0; i < 100; i++) statuses.push((await send('/x')).status);
      runs.push(statuses);
    }
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]).not.toEqual(runs[2]);
    const failed = runs[0]?.filter((status) => status === 500).length ?? 0;
    expect(failed).toBeGreaterThan(15);
    expect(failed).toBeLessThan(45);
  });

  test('a change while it runs holds for the requests that come after it', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: '24h' } });
    const before = openRequest(`${url}/x`);
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    sim.scenario('outage');
    sim.configure({ resetRatio: 0 });
    expect((await send('/x')).status).toBe(503);
    expect(sim.log[0]?.outcome).toBe('open');
    sim.configure({ failWith: null });
    expect((await send('/x')).status).toBe(200);
    before.abort();
  });
});

describe('resets', () => {
  test.each([
    ['before-work', { effect: false, status: null }],
    ['before-answer', { effect: true, status: null }],
    ['mid-answer', { effect: true, status: 201 }],
  ] as const)('%s', async (resetAt, expected) => {
    const { sim, url, send } = await play({ behaviour: { latency: 0, resetRatio: 1, resetAt } });
    const { error, text } = await openRequest(`${url}/posts`, post).done;
    expect(error).not.toBeNull();
    await vi.waitFor(() => expect(sim.log[0]).toMatchObject({ outcome: 'reset', answeredAt: null, ...expected }));
    expect(sim.log[0]?.closedAt).toBeGreaterThanOrEqual(sim.log[0]?.arrivedAt ?? Infinity);
    expect(text).toBe(resetAt === 'mid-answer' ? '{"id":"p1","title":"t","channel":null,"agent"' : '');
    sim.scenario('calm');
    expect((await send('/posts/p1')).status).toBe(expected.effect ? 200 : 404);
  });

  test('any: in equal parts, and only as often as asked', async () => {
    const { sim, url } = await play({ behaviour: { latency: 0, resetRatio: 0.5, resetAt: 'any' } });
    for (let i = 0; i < 120; i++) await openRequest(`${url}/posts`, post).done;
    await vi.waitFor(() => expect(sim.log.every((one) => one.outcome !== 'open')).toBe(true));
    const reset = sim.log.filter((one) => one.outcome === 'reset');
    const kinds = [
      reset.filter((one) => !one.effect),
      reset.filter((one) => one.effect && one.status === null),
      reset.filter((one) => one.status !== null),
    ];
    for (const kind of kinds) expect(kind.length).toBeGreaterThan(5);
    expect(reset.length).toBeGreaterThan(35);
    expect(reset.length).toBeLessThan(85);
  });
});

describe('clients that leave', () => {
  test('while they wait: the record says so, and the work is done all the same', async () => {
    const { sim, url } = await play({ behaviour: { latency: '1s' } });
    const request = openRequest(`${url}/posts`, post);
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    request.abort();
    await vi.waitFor(() => expect(sim.log[0]).toMatchObject({ outcome: 'aborted', effect: false }));
    await vi.waitFor(() => expect(sim.log[0]?.effect).toBe(true), { timeout: 10_000 });
    expect(sim.log[0]).toMatchObject({ outcome: 'aborted', status: null, answeredAt: null });
    expect(sim.effects).toMatchObject([{ request: 1, postId: 'p1' }]);
  });

  test('in the middle of an answer', async () => {
    const { sim, url } = await play();
    // Each byte comes back as six; 6 MiB are more than the kernel takes on behalf of a client that reads nothing.
    const body = Buffer.alloc(1024 * 1024, 1);
    const request = openRequest(`${url}/x`, {
      method: 'PUT',
      headers: { 'content-type': 'text/html' },
      body,
      isHeld: true,
    });
    request.end();
    const response = await request.response;
    expect(response?.statusCode).toBe(200);
    expect(sim.log[0]).toMatchObject({ outcome: 'open', status: 200 });
    request.abort();
    await vi.waitFor(() => expect(sim.log[0]).toMatchObject({ outcome: 'aborted', answeredAt: null }));
    expect(sim.log[0]?.closedAt).not.toBeNull();
  });

  test('in the middle of their own body: nothing takes effect', async () => {
    const over: number[] = [];
    const { sim, url } = await play({ onRequest: (record) => over.push(record.n) });
    const headers = { 'content-type': 'application/json', 'content-length': '100' };
    const request = openRequest(`${url}/x`, { method: 'POST', headers, body: '{"title":', isHeld: true });
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    request.abort();
    await vi.waitFor(() => expect(over).toEqual([1]));
    expect(sim.log[0]).toMatchObject({ outcome: 'aborted', effect: false, status: null });
  });

  test('a request counts from its headers, while its body is still on the way', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: 0, limits: [{ concurrent: 1 }] } });
    const request = openRequest(`${url}/posts`, {
      ...post,
      headers: { 'content-length': '13' },
      body: '{"titl',
      isHeld: true,
    });
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    expect((await send('/x')).status).toBe(429);
    request.write('e":"t"}');
    request.end();
    expect((await request.response)?.statusCode).toBe(201);
  });
});

describe('bodies', () => {
  test('more than 1 MiB is 413, exactly 1 MiB is not', async () => {
    const { sim, url } = await play();
    const options = (size: number) => ({
      method: 'PUT',
      headers: { 'content-type': 'text/html' },
      body: Buffer.alloc(size, 65),
    });
    const echo = await openRequest(`${url}/x`, options(1024 * 1024)).done;
    expect([echo.status, JSON.parse(echo.text).body.length]).toEqual([200, 1024 * 1024]);
    const { status, text } = await openRequest(`${url}/x`, options(1024 * 1024 + 1)).done;
    expect([status, JSON.parse(text).error.code]).toEqual([413, 'too-large']);
    expect(sim.log.map((one) => one.effect)).toEqual([true, false]);
  });

  test.each(['{"title":', '[1]', 'null', '"text"'])('%s is 400 and takes no effect', async (body) => {
    const { sim, url } = await play();
    expect((await openRequest(`${url}/posts`, { ...post, body }).done).status).toBe(400);
    expect(sim.effects).toEqual([]);
    expect(sim.log[0]).toMatchObject({ refusedBy: 'input', status: 400 });
  });

  test('one that is nested too deeply to be echoed hurts nobody else', async () => {
    const { url, send } = await play();
    const body = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect((await openRequest(`${url}/x`, { ...post, body }).done).status).toBe(500);
    expect((await send('/x')).status).toBe(200);
  });
});
