// The answer to a request that holds a permit: read by itself, so that the permit goes on, and cut when its attempt ends.

import { gzipSync } from 'node:zlib';
import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import { it, type World } from '../support/world.ts';
import { createFakePermit, createLimited, untilLog } from './fake-permit.ts';
import { serve, untilStill } from './kept-server.ts';
import { gate, RETRYING, rejection, untilState } from './looking.ts';

describe('an answer', () => {
  it.for([
    ['GET', 204],
    ['GET', 304],
    ['HEAD', 200],
    ['GET', 200],
  ] as const)('to %s of %d ends by itself, though nobody reads it', async ([method, status], { world }) => {
    const { url } = await serve(world, (_, response) => response.writeHead(status).end(status === 200 ? 'abc' : ''));
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    const answer = await request('/x', { method });
    await untilLog(permit.log, ['asked 1', 'answered 1', 'ended 1']);
    expect(answer.bodyUsed).toBe(false);
    expect(answer.status).toBe(status);
  });

  it('of up to 1 MiB ends unread, and can be read later, zipped or not', async ({ world }) => {
    const text = 'abcdefgh'.repeat(100_000);
    const zipped = gzipSync(text);
    const { url } = await serve(world, (request, response) => {
      if (request.url === '/zipped') response.setHeader('content-encoding', 'gzip');
      response.end(request.url === '/zipped' ? zipped : text);
    });
    for (const path of ['/plain', '/zipped']) {
      const permit = createFakePermit();
      const answer = await createLimited(url, permit).request(path);
      await untilLog(permit.log, ['asked 1', 'answered 1', 'ended 1']);
      expect((await answer.text()) === text).toBe(true);
    }
  });

  it('of more waits for whoever reads it, and ends when it is read', async ({ world }) => {
    let written = 0;
    const part = Buffer.alloc(64 * 1024, 'x');
    const total = 64 * 1024 * 1024;
    const { url } = await serve(world, (_, response) => {
      const more = () => {
        while (written < total) {
          written += part.length;
          if (!response.write(part)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    const answer = await request('/x');
    const stalledAt = await untilStill(() => written);
    // What the two kernels keep comes on top.
    expect(stalledAt).toBeLessThan(32 * 1024 * 1024);
    expect(stalledAt).toBeGreaterThan(1024 * 1024);
    expect(permit.log).toEqual(['asked 1', 'answered 1']);
    let read = 0;
    for await (const piece of answer.body ?? []) read += (piece as Uint8Array).byteLength;
    expect(read).toBe(total);
    await untilLog(permit.log, ['asked 1', 'answered 1', 'ended 1']);
  });

  it('that is a stream of events arrives piece by piece, and is cut when its attempt ends', async ({ world }) => {
    const closed = gate();
    let say!: (text: string) => void;
    const { url } = await serve(world, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      response.on('close', () => closed.open());
      say = (text) => void response.write(text);
    });
    const permit = createFakePermit();
    const { attempt, request } = createLimited(url, permit);
    const reader = ((await request('/x')).body as ReadableStream<Uint8Array>).getReader();
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      say(text);
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(text);
    }
    expect(permit.log).toEqual(['asked 1', 'answered 1']);
    attempt.end('settled');
    expect(permit.log).toEqual(['asked 1', 'answered 1', 'cut 1']);
    await closed.opened;
    await rejection(reader.read());
  });

  it('that the handler cancels is cut', async ({ world }) => {
    const { url } = await serve(world, (_, response) => void response.write('a'));
    const permit = createFakePermit();
    const answer = await createLimited(url, permit).request('/x');
    await answer.body?.cancel();
    await untilLog(permit.log, ['asked 1', 'answered 1', 'cut 1']);
  });

  it('that breaks off is cut', async ({ world }) => {
    const { url } = await serve(world, (_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setImmediate(() => response.destroy());
    });
    const permit = createFakePermit();
    const answer = await createLimited(url, permit).request('/x');
    await rejection(answer.text());
    await untilLog(permit.log, ['asked 1', 'answered 1', 'cut 1']);
  });

  it('of 400 and above has ended when the error is thrown', async ({ world }) => {
    const { url } = await serve(world, (_, response) => response.writeHead(503).end('down'));
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    expect(await rejection(request('/x'))).toMatchObject({ class: 'transient', status: 503, body: 'down' });
    expect(permit.log).toEqual(['asked 1', 'answered 1', 'ended 1']);
  });

  it('that comes after a normal end leaves no stray rejection', async ({ world }) => {
    const strays: unknown[] = [];
    const note = (thrown: unknown) => void strays.push(thrown);
    process.on('unhandledRejection', note);
    world.defer(() => void process.off('unhandledRejection', note));
    const arrived = gate();
    const { url, sockets } = await serve(world, () => arrived.open());
    const permit = createFakePermit();
    const { attempt, request } = createLimited(url, permit);
    void request('/x');
    await arrived.opened;
    attempt.end('settled');
    expect(permit.log).toEqual(['asked 1', 'cut 1']);
    await vi.waitFor(() => expect(sockets[0]).toMatchObject({ destroyed: true }), RETRYING);
    expect(strays).toEqual([]);
  });
});

describe('without a permit (twin)', () => {
  it('a normal end cuts nothing', async ({ world }) => {
    const answering = gate<() => void>();
    const { url } = await serve(world, (_, response) => answering.open(() => response.end('late')));
    const { attempt, request } = createLimited(url, undefined);
    const answer = request('/x');
    const send = await answering.opened;
    attempt.end('settled');
    send();
    expect(await (await answer).text()).toBe('late');
  });

  it('an answer that nobody reads stays on the wire', async ({ world }) => {
    const finished = vi.fn();
    const { url } = await serve(world, (_, response) =>
      response.on('finish', finished).end('x'.repeat(32 * 1024 * 1024)),
    );
    const answer = await createLimited(url, undefined).request('/x');
    await untilStill(() => finished.mock.calls.length);
    expect(finished).not.toHaveBeenCalled();
    await answer.body?.cancel();
  });
});

describe('what holds everybody', () => {
  it.for([
    [429, { 'retry-after': '30' }, '', 30_000, '429 retry-after: 30'],
    [200, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '6m0s' }, '', 360_000, '200 x-ratelimit-remaining: 0,'],
    [429, { 'x-quota-reset': '3600' }, '{"error":"insufficient_quota"}', 3_600_000, '429 x-quota-reset: 3600'],
  ] as const)('is told once: %d %j %s', async ([status, headers, body, forMs, reason], { world }) => {
    const { url } = await serve(world, (_, response) => response.writeHead(status, headers).end(body));
    const permit = createFakePermit();
    await createLimited(url, permit)
      .request('/x')
      .catch(() => {});
    expect(permit.holds).toEqual([{ forMs, reason: expect.stringContaining(reason) }]);
  });

  it('is told of raw answers too, and not of a 429 that says nothing', async ({ world }) => {
    const { url } = await serve(world, (request, response) =>
      response.writeHead(429, request.url === '/told' ? { 'retry-after': '1' } : {}).end(),
    );
    const permit = createFakePermit();
    const { request } = createLimited(url, permit);
    await request('/told', { raw: true });
    await request('/', { raw: true });
    await rejection(request('/'));
    expect(permit.holds).toEqual([{ forMs: 1_000, reason: '429 retry-after: 1' }]);
  });
});

describe('a request after an answer of more than 1 MiB', () => {
  /** One job that asks for a large answer, does something with it or not, and asks again. */
  async function twoRequests(world: World, first: (answer: Response) => unknown) {
    const { url } = await serve(world, (request, response) =>
      response.end(request.url === '/big' ? Buffer.alloc(16 * 1024 * 1024, 'x') : 'small'),
    );
    await world.redis.hset(world.keys.limits('api'), 'born', 1);
    const upstream = defineUpstream({ name: 'api', baseUrl: url, limits: [{ concurrent: 1 }] });
    const lane = defineLane({ name: 'calls', upstream, timeout: '900ms', retry: { attempts: 1 } });
    const thrown = vi.fn();
    const kept: Response[] = []; // Node cancels the body of one that nobody has any more
    const handler = handle(lane, {
      async run(_, ctx) {
        kept.push(await ctx.fetch('/big'));
        await first(kept[0] as Response);
        await ctx.fetch('/small').catch((error) => {
          thrown(error.message);
          throw error;
        });
      },
    });
    await world.pod([handler]);
    const { id } = await (await world.producer()).add(lane, 1);
    return { thrown, job: (state: 'done' | 'dead') => untilState(world.queue(lane), id, state) };
  }

  it('that nobody reads waits for it, and its timeout says so and what to do', async ({ world }) => {
    const { thrown, job } = await twoRequests(world, () => {});
    const reason =
      'no end within 900 ms: a ctx.fetch waited for the answer to GET /big, of which more than 1 MiB is unread: ' +
      'read it first, or answer.body.cancel()';
    expect(await job('dead')).toMatchObject({ class: 'timeout', reason });
    await vi.waitFor(() => expect(thrown).toHaveBeenCalledWith(reason), RETRYING);
  });

  it.for<[string, (answer: Response) => unknown]>([
    ['read', (answer) => answer.arrayBuffer()],
    ['cancelled', (answer) => answer.body?.cancel()],
  ])('that is %s goes out', async ([, first], { world }) => {
    const { thrown, job } = await twoRequests(world, first);
    await job('done');
    expect(thrown).not.toHaveBeenCalled();
  });
});
