// A request of an attempt that holds a permit: written within it or not at all, and told exactly once how it went.

import { describe, expect, vi } from 'vitest';
import { UpstreamError } from '../../src/words/failure.ts';
import { it, type World } from '../support/world.ts';
import { createFakePermit, createLimited, untilLog } from './fake-permit.ts';
import { blockLoop, serve, slowToConnect, untilStill } from './kept-server.ts';
import { gate, RETRYING, rejection } from './looking.ts';
import { closedPort } from './upstream-server.ts';

describe('a request within its permit', () => {
  it('asks once, tells what becomes of it, and is an answer like any other', async ({ world }) => {
    const { url } = await serve(world);
    const permit = createFakePermit();
    const { request } = createLimited(url, permit, 5_000);
    const answer = await request('/x');
    expect(answer).toBeInstanceOf(Response);
    expect(answer.url).toBe(`${url}/x`);
    expect(await answer.clone().json()).toEqual({ ok: true });
    expect(await answer.text()).toBe('{"ok":true}');
    await untilLog(permit.log, ['asked 1', 'answered 1', 'ended 1']);
    expect(permit.askedForMs[0]).toBeGreaterThan(0);
    expect(permit.askedForMs[0]).toBeLessThanOrEqual(5_000);
  });

  it('never asks for a negative time', async ({ world }) => {
    const { url } = await serve(world);
    const permit = createFakePermit();
    const { request } = createLimited(url, permit, 1);
    blockLoop(3);
    await request('/x');
    expect(permit.askedForMs).toEqual([0]);
  });

  it('without one is sent as ever', async ({ world }) => {
    const { url, heads } = await serve(world);
    await createLimited(url, undefined).request('/x');
    expect(heads()).toBe(1);
  });

  it('that fetch repeats by itself, or a redirect that is followed, has a permit for each', async ({ world }) => {
    const { url, heads } = await serve(world, (request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/there' });
      if (request.url === '/421') response.writeHead(421);
      response.end('x');
    });
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    expect((await request('/moved', { redirect: 'follow' })).url).toBe(`${url}/there`);
    expect((await request('/421', { raw: true })).status).toBe(421);
    expect(heads()).toBe(4);
    await vi.waitFor(() => {
      expect(permit.log.filter((line) => line.startsWith('ended'))).toHaveLength(heads());
    }, RETRYING);
    expect(permit.askedForMs).toHaveLength(4);
  });

  it('that fetch repeats by itself would be two under one permit, were each not looked at (twin)', async ({
    world,
  }) => {
    const { url, heads } = await serve(world, (_, response) => response.writeHead(421).end());
    await createLimited(url, undefined).request('/421', { raw: true });
    expect(heads()).toBe(2);
  });

  it('may send a body that is a stream, also when the first permit ran out', async ({ world }) => {
    const got = gate<string>();
    const { url } = await serve(world, (request, response) => {
      let body = '';
      request.on('data', (part) => {
        body += part;
      });
      request.on('end', () => {
        got.open(body);
        response.end();
      });
    });
    const permit = createFakePermit((n) => (n === 1 ? -1 : 60_000));
    const { request } = createLimited(url, permit);
    const body = new Blob(['a'.repeat(100_000)]).stream();
    await request('/x', { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect((await got.opened).length).toBe(100_000);
    await untilLog(permit.log, ['asked 1', 'unsent 1', 'asked 2', 'answered 2', 'ended 2']);
  });
});

describe('a request whose permit ran out', () => {
  interface Delay {
    init?: () => RequestInit;
    afterGrant?: () => void;
  }

  /** Sends one whose first permit lasts so long, through what delays it. */
  async function sendDelayed(world: World, lastsMs: number, { init, afterGrant }: Delay) {
    const { url, heads, sockets } = await serve(world);
    let headsAtSecond: number | undefined;
    const permit = createFakePermit((n) => {
      if (n === 1) afterGrant?.();
      else headsAtSecond = heads();
      return n === 1 ? lastsMs : 60_000;
    });
    const { request } = createLimited(url, permit);
    await (await request('/x', init?.())).text();
    await vi.waitFor(() => expect(permit.log.at(-1)).toMatch(/^ended/), RETRYING);
    return { log: permit.log, heads: heads(), headsAtSecond, connections: sockets.length };
  }

  const slow: Delay = { init: () => slowToConnect(60) };
  /** Before the loop turns: the connection is begun by then, and cannot be known to be made. */
  const blocked: Delay = { afterGrant: () => process.nextTick(() => blockLoop(60)) };
  const sentAgain = {
    log: ['asked 1', 'unsent 1', 'asked 2', 'answered 2', 'ended 2'],
    heads: 1,
    headsAtSecond: 0,
    connections: 1,
  };
  const sentLate = { log: ['asked 1', 'answered 1', 'ended 1'], heads: 1, headsAtSecond: undefined, connections: 1 };

  it('while its connection was made goes out with another, over that connection', async ({ world }) => {
    expect(await sendDelayed(world, 30, slow)).toEqual(sentAgain);
  });

  it('while the event loop was blocked goes out with another', async ({ world }) => {
    expect(await sendDelayed(world, 30, blocked)).toEqual(sentAgain);
  });

  it('would go out late, were it not looked at right before the write (twin)', async ({ world }) => {
    expect(await sendDelayed(world, Number.POSITIVE_INFINITY, slow)).toEqual(sentLate);
    expect(await sendDelayed(world, Number.POSITIVE_INFINITY, blocked)).toEqual(sentLate);
  });

  it('over a connection that is kept goes out with another, and the connection stays', async ({ world }) => {
    const { url, heads, sockets } = await serve(world);
    const permit = createFakePermit((n) => (n === 2 || n === 3 ? -1 : 60_000));
    const { request } = createLimited(url, permit);
    await (await request('/1')).text();
    // Node's fetch frees a connection a moment after the answer has ended.
    await new Promise(setImmediate);
    await (await request('/2')).text();
    expect(permit.log).toEqual([
      ...['asked 1', 'answered 1', 'ended 1'],
      ...['asked 2', 'unsent 2', 'asked 3', 'unsent 3'],
      ...['asked 4', 'answered 4', 'ended 4'],
    ]);
    expect(heads()).toBe(2);
    expect(sockets).toHaveLength(1);
  });

  it('again and again ends with its attempt', async ({ world }) => {
    const { url, heads } = await serve(world);
    const permit = createFakePermit(async () => {
      await new Promise(setImmediate);
      return -1;
    });
    const { attempt, request } = createLimited(url, permit);
    const failed = rejection(request('/x'));
    await vi.waitFor(() => expect(permit.askedForMs.length).toBeGreaterThan(3), RETRYING);
    attempt.end('timeout', new Error('too long'));
    expect(await failed).toMatchObject({ message: 'too long' });
    await vi.waitFor(() => expect(permit.log.at(-1)).toMatch(/^unsent/), RETRYING);
    expect(permit.log.filter((line) => line.startsWith('unsent'))).toHaveLength(permit.askedForMs.length);
    expect(heads()).toBe(0);
  });
});

describe('a request that is not answered', () => {
  // biome-ignore lint/correctness/noUnusedFunctionParameters: its world sees that no socket is left
  it('because nobody listens was not sent', async ({ world }) => {
    const permit = createFakePermit();
    const { request } = createLimited(await closedPort(), permit);
    expect(await rejection(request('/x'))).toMatchObject({ class: 'transient', status: null });
    expect(permit.log).toEqual(['asked 1', 'unsent 1']);
  });

  it('because the connection was cut was sent', async ({ world }) => {
    const { url, heads } = await serve(world, (_, response) => void response.destroy());
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    expect(await rejection(request('/x'))).toMatchObject({ class: 'transient', status: null });
    expect(permit.log).toEqual(['asked 1', 'cut 1']);
    expect(heads()).toBe(1);
  });

  it('because its attempt ended meanwhile is cut, and the connection with it', async ({ world }) => {
    const arrived = gate();
    const closed = gate();
    const { url } = await serve(world, (_, response) => {
      arrived.open();
      response.on('close', () => closed.open());
    });
    const permit = createFakePermit();
    const { attempt, request } = createLimited(url, permit);
    const failed = rejection(request('/x'));
    await arrived.opened;
    attempt.end('timeout', new Error('too long'));
    expect(permit.log).toEqual(['asked 1', 'cut 1']);
    expect(await failed).toMatchObject({ message: 'too long' });
    await closed.opened;
  });

  it("because the handler's own signal says so is cut", async ({ world }) => {
    const arrived = gate();
    const { url } = await serve(world, () => arrived.open());
    const permit = createFakePermit();
    const controller = new AbortController();
    const failed = rejection(createLimited(url, permit).request('/x', { signal: controller.signal }));
    await arrived.opened;
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    expect(permit.log).toEqual(['asked 1', 'cut 1']);
  });

  it('because that came while it connected gives its permit back at once, and never writes', async ({ world }) => {
    const { url, heads, sockets } = await serve(world);
    const granted = gate();
    const permit = createFakePermit(() => {
      setImmediate(granted.open);
      return 60_000;
    });
    const controller = new AbortController();
    const init = { ...slowToConnect(300), signal: controller.signal };
    const failed = rejection(createLimited(url, permit).request('/x', init));
    await granted.opened;
    controller.abort(new Error('enough'));
    expect(permit.log).toEqual(['asked 1', 'unsent 1']);
    expect(sockets).toHaveLength(0);
    expect(await failed).toMatchObject({ message: 'enough' });
    await vi.waitFor(() => expect(sockets).toHaveLength(1), RETRYING);
    await untilStill(heads);
    expect(heads()).toBe(0);
    expect(permit.log).toEqual(['asked 1', 'unsent 1']);
  });

  it('because the permit is refused says why, in the words of who refused', async ({ world }) => {
    const { url, heads } = await serve(world);
    const permit = createFakePermit(() => Promise.reject(new TypeError('lost')));
    const { request } = createLimited(url, permit);
    const error = await rejection(request('/x'));
    expect(error).not.toBeInstanceOf(UpstreamError);
    expect(error).toMatchObject({ name: 'TypeError', message: 'lost' });
    expect(permit.log).toEqual(['asked 1']);
    expect(heads()).toBe(0);
  });

  it('because its lock ran out while it waited is not sent, whatever the permit says', async ({ world }) => {
    const { url, heads } = await serve(world);
    const permit = createFakePermit(() => {
      attempt.lockedUntilMono = 0;
      return 60_000;
    });
    const { attempt, request } = createLimited(url, permit);
    expect(await rejection(request('/x'))).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(permit.log).toEqual(['asked 1', 'unsent 1']);
    expect(heads()).toBe(0);
    expect(attempt.ended).toBe('lost');
  });

  it('because its lock ran out while it connected is not sent, without a permit either', async ({ world }) => {
    const { url, heads } = await serve(world);
    const { attempt, request } = createLimited(url, undefined);
    const failed = rejection(request('/x', slowToConnect(60)));
    attempt.lockedUntilMono = 0;
    expect(await failed).toMatchObject({ code: 'LK_ATTEMPT_OVER' });
    expect(attempt.ended).toBe('lost');
    await untilStill(heads);
    expect(heads()).toBe(0);
  });

  it('over that connection it would be sent, did its lock live (twin)', async ({ world }) => {
    const { url, heads } = await serve(world);
    await createLimited(url, undefined).request('/x', slowToConnect(60));
    expect(heads()).toBe(1);
  });

  it('because it came with a permit after the end is not sent', async ({ world }) => {
    const { url, heads } = await serve(world);
    const granted = gate<number>();
    const permit = createFakePermit(() => granted.opened);
    const { attempt, request } = createLimited(url, permit);
    void request('/x');
    await vi.waitFor(() => expect(permit.log).toEqual(['asked 1']), RETRYING);
    attempt.end('settled');
    granted.open(60_000);
    await untilLog(permit.log, ['asked 1', 'unsent 1']);
    expect(heads()).toBe(0);
  });
});
