// What keeps doubled work from having doubled effects: fence tokens checked, idempotency keys honoured. And their twins
// without the check, which the judge must convict.

import { describe, expect, test, vi } from 'vitest';
import { openRequest, play } from './live.ts';

const title = { title: 't' };
const fenced = (token: string, more: Record<string, string> = {}) => ({
  body: title,
  headers: { 'x-fence-token': token, ...more },
});

describe('fence', () => {
  test('a stale token is refused by number, one that stays or grows is not', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, checkFence: true } });
    expect((await send('/posts', fenced('9007199254740992'))).status).toBe(201);
    expect((await send('/posts', fenced('9007199254740993'))).status).toBe(201);
    expect(await send('/posts', fenced('9007199254740992'))).toMatchObject({
      status: 412,
      body: { error: { code: 'fenced', highest: '9007199254740993' } },
    });
    expect((await send('/posts', fenced('9007199254740993'))).status).toBe(201);
    expect(sim.effects).toHaveLength(3);
    expect(sim.log[2]).toMatchObject({ refusedBy: 'fence', effect: false });
    expect(sim.verdict().counts).toEqual({ fence: 1 });
    expect(sim.verdict({ countRefused: false }).clean).toBe(true);
  });

  test('unchecked, the stale one has its effect and is convicted', async () => {
    const { sim, send } = await play();
    await send('/posts', fenced('2'));
    expect((await send('/posts', fenced('1'))).status).toBe(201);
    expect(sim.effects).toHaveLength(2);
    expect(sim.verdict({ countRefused: false }).counts).toEqual({ fence: 1 });
  });

  test('garbage is 400 where tokens are checked, and convicted everywhere', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, checkFence: true } });
    for (const token of ['abc', '1.5', '-1', '']) {
      expect(await send('/posts', fenced(token))).toMatchObject({
        status: 400,
        body: { error: { code: 'malformed-fence' } },
      });
    }
    expect(sim.effects).toEqual([]);
    sim.configure({ checkFence: false });
    expect((await send('/posts', fenced('abc'))).status).toBe(201);
    expect(sim.verdict().counts).toEqual({ fence: 5 });
  });

  test('its scope is the named one, else the key, else the agent, else everything', async () => {
    const { sim, send } = await play();
    const all = { 'x-fence-scope': 's', 'idempotency-key': 'k', 'x-agent': 'a' };
    const { 'x-fence-scope': _scope, ...keyed } = all;
    const { 'idempotency-key': _key, ...owned } = keyed;
    for (const headers of [all, keyed, owned, {}]) await send('/x', fenced('1', headers));
    await send('/x');
    expect(sim.log.map((one) => one.fenceScope)).toEqual(['scope s', 'key k', 'agent a', 'everything', null]);
  });

  test('a token that is overtaken while its request waits is refused when its turn comes', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: '1s', checkFence: true } });
    const options = { method: 'POST', body: '{"title":"t"}', headers: { 'content-type': 'application/json' } };
    const slow = openRequest(`${url}/posts`, { ...options, headers: { ...options.headers, 'x-fence-token': '1' } });
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    sim.configure({ latency: 0 });
    expect((await send('/posts', fenced('2'))).status).toBe(201);
    expect((await slow.done).status).toBe(412);
    expect(sim.log[0]).toMatchObject({ refusedBy: 'fence', effect: false });
    expect(sim.effects).toMatchObject([{ fence: '2' }]);
    expect(sim.verdict().clean).toBe(true); // in the order of arrival no token went down
  });

  test('a token is remembered even if its request was turned away', async () => {
    const { send } = await play({
      behaviour: {
        latency: 0,
        checkFence: true,
        failWith: 500,
        failRatio: 0,
        limits: [{ count: 1, per: '1h' }],
        countRefused: false,
      },
    });
    expect((await send('/posts', fenced('1'))).status).toBe(201);
    expect((await send('/posts', fenced('2'))).status).toBe(429);
  });
});

describe('idempotency', () => {
  const keyed = { body: title, headers: { 'idempotency-key': 'k' } };

  test('honoured, a key seen again gets the first answer and has no second effect', async () => {
    const { sim, send } = await play({ behaviour: { latency: 0, honourIdempotency: true } });
    const first = await send('/posts', keyed);
    const again = await send('/posts', keyed);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect([again.status, again.body]).toEqual([first.status, first.body]);
    expect((await send('/other', keyed)).headers.get('idempotency-replayed')).toBeNull();
    expect(sim.effects.map((one) => one.path)).toEqual(['/posts', '/other']);
    expect(sim.verdict()).toMatchObject({ clean: true, summary: { effects: 2, replayed: 1 } });
  });

  test('not honoured, it has, and the judge convicts', async () => {
    const { sim, send } = await play();
    await send('/posts', keyed);
    await send('/posts', keyed);
    expect(sim.effects).toHaveLength(2);
    expect(sim.verdict().counts).toEqual({ effect: 1 });
  });

  test('two at the same time have one effect', async () => {
    const { sim, send } = await play({ behaviour: { latency: '30ms', honourIdempotency: true } });
    const answers = await Promise.all([send('/posts', keyed), send('/posts', keyed)]);
    expect(answers.map((one) => one.body.id)).toEqual(['p1', 'p1']);
    expect(sim.effects).toHaveLength(1);
  });

  test('what failed or was lost on the way is not replayed, unless its effect was had', async () => {
    const { sim, url, send } = await play({ behaviour: { latency: 0, honourIdempotency: true, failWith: 500 } });
    expect((await send('/posts', keyed)).status).toBe(500);
    sim.configure({ failWith: null, resetRatio: 1, resetAt: 'before-answer' });
    const raw = { method: 'POST', body: '{"title":"t"}', headers: { 'idempotency-key': 'k' } };
    expect((await openRequest(`${url}/posts`, raw).done).error).not.toBeNull();
    sim.configure({ resetRatio: 0 });
    const again = await send('/posts', keyed);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    expect(sim.effects).toHaveLength(1);
  });
});
