// What the live server answers: posts and the lies about them, two versions at once, lost resources, a model, a feed, an echo.

import { describe, expect, test } from 'vitest';
import { play } from './live.ts';

const title = { body: { title: 'Hello', body: 'World' } };

describe('posts', () => {
  test('one that is published can be seen, and is an effect with who caused it', async () => {
    const { sim, send } = await play();
    const headers = { 'x-agent': 'a01', 'x-job-id': '7', 'idempotency-key': 'k', 'x-fence-token': '3' };
    const made = await send('/posts', { ...title, headers });
    expect(made).toMatchObject({ status: 201, body: { id: 'p1', title: 'Hello', agent: 'a01' } });
    expect((await send('/posts/p1')).body).toEqual(made.body);
    expect((await send('/posts/p1/status')).body).toEqual({ id: 'p1', processed: true });
    expect((await send('/posts')).body.items).toEqual([{ id: 'p1', title: 'Hello', channel: null }]);
    expect(sim.effects).toEqual([
      {
        n: 1,
        request: 1,
        at: expect.any(Number),
        method: 'POST',
        path: '/posts',
        postId: 'p1',
        agent: 'a01',
        jobId: '7',
        idempotencyKey: 'k',
        fence: '3',
        fenceScope: 'key k',
      },
    ]);
  });

  test('one that is not there is 404, and its status says undone', async () => {
    const { send } = await play();
    expect((await send('/posts/p9')).status).toBe(404);
    expect((await send('/posts/p9/status')).body).toEqual({ id: 'p9', processed: false });
  });

  test('the status lies both ways', async () => {
    const { send } = await play({ behaviour: { latency: 0, statusLies: 1 } });
    await send('/posts', title);
    expect((await send('/posts/p1/status')).body.processed).toBe(false);
    expect((await send('/posts/p2/status')).body.processed).toBe(true);
    expect((await send('/posts/p1')).status).toBe(200);
  });

  test('and does so as often as it is told', async () => {
    const { send } = await play({ behaviour: { latency: 0, statusLies: 0.5 } });
    await send('/posts', title);
    let lies = 0;
    for (let i = 0; i < 100; i++) if (!(await send('/posts/p1/status')).body.processed) lies += 1;
    expect(lies).toBeGreaterThan(30);
    expect(lies).toBeLessThan(70);
  });

  test('accepted work may never appear', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, dropRatio: 1 } });
    expect((await send('/posts', title)).status).toBe(201);
    expect((await send('/posts/p1')).status).toBe(404);
    expect(sim.effects).toEqual([]);
    expect(sim.log[0]?.effect).toBe(false);
  });
});

describe('rollout', () => {
  const rollout = { versions: ['a', 'b'], ratio: 0.25 } as const;

  test('answers from two versions by ratio, each in its own shape', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, rollout } });
    await send('/posts', title);
    const seen = { a: 0, b: 0 };
    for (let i = 0; i < 200; i++) {
      const { headers, body } = await send('/posts/p1');
      const version = headers.get('x-api-version') as 'a' | 'b';
      seen[version] += 1;
      if (version === 'a') expect(body).toMatchObject({ id: 'p1', createdAt: expect.any(String) });
      else
        expect(body).toMatchObject({ data: { post_id: 'p1', created_at: expect.any(String) }, meta: { version: 'b' } });
    }
    expect(seen.a + seen.b).toBe(200);
    expect(seen.b).toBeGreaterThan(25);
    expect(seen.b).toBeLessThan(75);
    expect(sim.log.slice(1).filter((one) => one.version === 'b')).toHaveLength(seen.b);
  });

  test('a pin chooses', async () => {
    const { send } = await play({ behaviour: { latency: 0, rollout } });
    for (const version of ['a', 'b', 'a', 'b']) {
      for (let i = 0; i < 10; i++) {
        expect((await send('/feed', { headers: { 'x-api-version': version } })).headers.get('x-api-version')).toBe(
          version,
        );
      }
    }
  });

  test('an unknown pin is refused; without a rollout any pin will do', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, rollout } });
    const pinned = { headers: { 'x-api-version': 'c' } };
    expect(await send('/x', pinned)).toMatchObject({ status: 400, body: { error: { code: 'unknown-version' } } });
    sim.configure({ rollout: null });
    const { status, headers } = await send('/x', pinned);
    expect([status, headers.get('x-api-version')]).toEqual([200, null]);
  });
});

describe('gone', () => {
  test('a resource turns 404, whoever asks and however, and comes back', async () => {
    const { sim, send } = await play();
    expect(await send('/channels/123')).toMatchObject({ status: 200, body: { id: '123', isOpen: true } });
    sim.configure({ gone: ['channel/123'] });
    expect(await send('/channels/123')).toMatchObject({
      status: 404,
      body: { error: { code: 'gone', resource: 'channel/123' } },
    });
    expect((await send('/channels/1234')).status).toBe(200);
    expect((await send('/items/123')).status).toBe(200);
    expect((await send('/posts', { body: { title: 't', channel: '123' } })).status).toBe(404);
    expect((await send('/posts', { body: { title: 't', channel: '124' } })).status).toBe(201);
    expect(sim.effects).toHaveLength(1);
    sim.configure({ gone: ['123'] });
    expect((await send('/items/123')).status).toBe(404);
    sim.configure({ gone: [] });
    expect((await send('/channels/123')).status).toBe(200);
  });
});

describe('the model', () => {
  test('text in, facts out, with what it used and how good it was', async () => {
    const usage = { input: [10, 12], output: [3, 3] } as const;
    const { sim, send } = await play({ behaviour: { latency: 0, usage, quality: { score: [0.5, 0.6] } } });
    const { body } = await send('/extract', { body: { text: 'Acme shipped 17 pumps. Prices fell by 4 percent!' } });
    expect(body.facts).toEqual([
      { statement: 'Acme shipped 17 pumps', numbers: [17] },
      { statement: 'Prices fell by 4 percent', numbers: [4] },
    ]);
    expect(body.usage.inputTokens).toBeGreaterThanOrEqual(10);
    expect(body.usage.inputTokens).toBeLessThanOrEqual(12);
    expect(body.usage.outputTokens).toBe(3);
    expect(body.quality.score).toBeGreaterThanOrEqual(0.5);
    expect(body.quality.score).toBeLessThanOrEqual(0.6);
    expect(sim.log[0]).toMatchObject({ tokensUsed: body.usage.inputTokens + 3, effect: false });
    sim.configure({ usage: null, quality: null });
    expect(Object.keys((await send('/extract', { body: { text: 'x' } })).body)).toEqual(['model', 'facts']);
    expect((await send('/extract', { body: { words: 'x' } })).status).toBe(400);
  });
});

describe('feed and echo', () => {
  test('the feed goes on from where one was', async () => {
    const { send } = await play();
    const first = (await send('/feed')).body;
    expect(first.items.length).toBeGreaterThanOrEqual(10);
    expect(first.items[0]).toMatchObject({ id: 1, title: expect.any(String), text: expect.any(String) });
    expect((await send('/feed?after=7')).body.items[0].id).toBe(8);
    expect((await send('/feed?after=1000000')).body).toEqual({ items: [], next: 1_000_000 });
    expect((await send('/feed?after=-1')).status).toBe(400);
  });

  test('any other path says what came, and a write to it is an effect', async () => {
    const { sim, send } = await play();
    const { body } = await send('/any/path%20x?q=1', { body: { a: [1] }, headers: { 'x-agent': 'a' } });
    expect(body).toMatchObject({ method: 'POST', path: '/any/path%20x', query: { q: '1' }, body: { a: [1] } });
    expect(body).toMatchObject({ headers: { 'x-agent': 'a' }, usage: expect.any(Object), quality: expect.any(Object) });
    expect((await send('/any')).status).toBe(200);
    expect((await send('/any', { method: 'DELETE' })).status).toBe(200);
    expect(sim.effects.map((one) => `${one.method} ${one.path}`)).toEqual(['POST /any/path%20x', 'DELETE /any']);
    expect(sim.log[0]).toMatchObject({ path: '/any/path%20x', query: '?q=1' });
  });
});
