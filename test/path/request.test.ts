// ctx.fetch: what goes out with every request, what comes back, and what never leaves the pod.

import { describe, expect } from 'vitest';
import { type Context, defineLane, defineUpstream, handle, type UpstreamOptions } from '../../src/index.ts';
import { UpstreamError } from '../../src/words/failure.ts';
import { it, type World } from '../support/world.ts';
import { gate, rejection, untilState } from './looking.ts';
import { closedPort, startUpstream } from './upstream-server.ts';

const retry = { attempts: 2, backoff: [0], jitter: 0 };

/** Runs this as one job's handler over an upstream, and answers what it returned. */
async function inJob<T>(
  world: World,
  upstream: Partial<UpstreamOptions> | undefined,
  run: (ctx: Context, attempt: number) => Promise<T>,
): Promise<{ result: T; id: string }> {
  const lane = defineLane({
    name: 'calls',
    retry,
    ...(upstream ? { upstream: defineUpstream({ name: 'api', ...upstream }) } : {}),
  });
  let result: T | undefined;
  await world.pod([
    handle(lane, {
      run: async ({ attempt }, ctx) => {
        result = await run(ctx, attempt);
      },
    }),
  ]);
  const { id } = await (await world.producer()).add(lane, null);
  await untilState(world.queue(lane), id, 'done');
  return { result: result as T, id };
}

describe('a request', () => {
  it('carries the base address, the pins, the fence and its scope', async ({ world }) => {
    const upstream = await startUpstream(world);
    const pins = { 'X-Api-Version': '2025-10-01', accept: 'application/json' };
    const { id } = await inJob(world, { baseUrl: `${upstream.url}/v1/`, pins }, async (ctx) => {
      const headers = { 'x-mine': 'yes', 'x-fence-token': '999', 'x-fence-scope': 'forged' };
      return (await ctx.fetch('/posts?a=1', { headers })).json();
    });
    expect(upstream.asked).toMatchObject([
      {
        method: 'GET',
        path: '/v1/posts?a=1',
        headers: {
          'x-api-version': '2025-10-01',
          accept: 'application/json',
          'x-mine': 'yes',
          'x-fence-token': '1',
          'x-fence-scope': id,
        },
      },
    ]);
    expect(upstream.asked[0]?.headers).not.toHaveProperty('idempotency-key');
  });

  it('that has an effect carries one key: the same in every attempt, another for each request of an attempt', async ({
    world,
  }) => {
    const upstream = await startUpstream(world);
    const { id } = await inJob(world, { baseUrl: upstream.url }, async (ctx, attempt) => {
      await ctx.fetch('/a', { method: 'post', body: '1' });
      await ctx.fetch('/read');
      await ctx.fetch('/b', { method: 'PUT' });
      await ctx.fetch('/c', { method: 'POST', headers: { 'idempotency-key': 'mine' } });
      await ctx.fetch('/d', { method: 'DELETE' });
      if (attempt === 1) throw new Error('again');
    });
    const keys = [id, undefined, `${id}/2`, 'mine', `${id}/3`];
    expect(upstream.asked.map(({ headers }) => headers['idempotency-key'])).toEqual([...keys, ...keys]);
    const fences = upstream.asked.map(({ headers }) => Number(headers['x-fence-token']));
    expect(fences[5], 'the fence of the second attempt is higher').toBeGreaterThan(fences[4] as number);
  });

  it('carries no key to an upstream that does not honour it', async ({ world }) => {
    const upstream = await startUpstream(world);
    await inJob(world, { baseUrl: upstream.url, idempotency: false }, (ctx) => ctx.fetch('/a', { method: 'POST' }));
    expect(upstream.asked[0]?.headers).not.toHaveProperty('idempotency-key');
  });

  it.for([
    'posts',
    '',
    '//evil.example/x',
    'http://127.0.0.1:1/x',
    'https://evil.example',
    'file:///etc/passwd',
    5,
    null,
    undefined,
    new URL('http://127.0.0.1:1/'),
  ])('to %j is refused: only paths of the base address leave', async (path, { world }) => {
    const upstream = await startUpstream(world);
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) => rejection(ctx.fetch(path as string)));
    expect(result).toMatchObject({
      code: 'LK_INPUT',
      message: expect.stringMatching(/^ctx\.fetch: expected a path of .+, got /),
    });
    expect(upstream.asked).toEqual([]);
  });

  it('never leaves for another host, whatever the path says', async ({ world }) => {
    const upstream = await startUpstream(world);
    const paths = ['/@evil.example/', '/\\evil.example', '/..//evil.example', '/%2f%2fevil.example', '/:1/'];
    await inJob(world, { baseUrl: upstream.url }, async (ctx) => {
      for (const path of paths) await ctx.fetch(path);
    });
    expect(upstream.asked).toHaveLength(paths.length);
  });

  it('of a lane without a base address takes a full one, and nothing else', async ({ world }) => {
    const upstream = await startUpstream(world);
    for (const options of [undefined, {}]) {
      const { result } = await inJob(world, options, async (ctx) => {
        await ctx.fetch(`${upstream.url}/full`);
        return rejection(ctx.fetch('/path'));
      });
      expect(result).toMatchObject({ code: 'LK_INPUT', message: expect.stringContaining('has no baseUrl') });
    }
    expect(upstream.asked.map(({ path }) => path)).toEqual(['/full', '/full']);
  });
});

describe('an answer', () => {
  it.for([200, 201, 204, 301, 302, 304, 307])(
    'of %d resolves, and a redirect is not followed',
    async (status, { world }) => {
      const upstream = await startUpstream(world, (response) =>
        response.writeHead(status, { location: '/elsewhere' }).end(),
      );
      const { result } = await inJob(world, { baseUrl: upstream.url }, async (ctx) => (await ctx.fetch('/')).status);
      expect(result).toBe(status);
      expect(upstream.asked.map(({ path }) => path)).toEqual(['/']);
    },
  );

  it('of 400 and above throws, with class, status, when to come back and the body', async ({ world }) => {
    const upstream = await startUpstream(world, (response) =>
      response.writeHead(429, { 'retry-after': '3600' }).end('{"error":"slow down"}'),
    );
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) =>
      rejection(ctx.fetch('/posts', { method: 'POST' })),
    );
    expect(result).toBeInstanceOf(UpstreamError);
    expect(result).toMatchObject({
      code: 'LK_UPSTREAM',
      class: 'rate-limit',
      status: 429,
      body: { error: 'slow down' },
      message: 'POST /posts: 429 {"error":"slow down"}',
      retryAfterAt: expect.any(Number),
    });
  });

  it('of 400 and above resolves when it is asked for raw', async ({ world }) => {
    const upstream = await startUpstream(world, (response) => response.writeHead(503).end('down'));
    const { result } = await inJob(world, { baseUrl: upstream.url }, async (ctx) => {
      const answer = await ctx.fetch('/', { raw: true });
      return [answer.status, await answer.text()];
    });
    expect(result).toEqual([503, 'down']);
  });

  it('that is long is kept up to 64 KiB, its message in one short line', async ({ world }) => {
    const upstream = await startUpstream(world, (response) =>
      response.writeHead(500).end(`a\nb${'x'.repeat(10_000_000)}`),
    );
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) => rejection(ctx.fetch('/')));
    const { body, message } = result as UpstreamError;
    expect(Buffer.byteLength(body as string)).toBe(64 * 1024);
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(300);
  });

  it('whose body breaks off keeps its class and what it told', async ({ world }) => {
    const upstream = await startUpstream(world, (response) => {
      response.writeHead(404, { 'content-length': '100' }).write('half');
      response.socket?.once('drain', () => {});
      setImmediate(() => response.destroy());
    });
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) => rejection(ctx.fetch('/')));
    expect(result).toMatchObject({ class: 'gone', status: 404 });
  });
});

describe('no answer', () => {
  it('of a refused connection is transient, and names what happened', async ({ world }) => {
    const baseUrl = await closedPort();
    const { result } = await inJob(world, { baseUrl }, (ctx) => rejection(ctx.fetch('/x')));
    expect(result).toMatchObject({
      class: 'transient',
      status: null,
      retryAfterAt: null,
      message: 'GET /x: no answer: ECONNREFUSED',
    });
  });

  it('of a connection that is cut is transient', async ({ world }) => {
    const upstream = await startUpstream(world, (response) => void response.destroy());
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) => rejection(ctx.fetch('/x')));
    expect(result).toMatchObject({ class: 'transient', status: null });
  });

  it("within the handler's own signal ends as that signal says", async ({ world }) => {
    const upstream = await startUpstream(world, () => {});
    const { result } = await inJob(world, { baseUrl: upstream.url }, (ctx) =>
      rejection(ctx.fetch('/x', { signal: AbortSignal.timeout(30) })),
    );
    expect(result).toMatchObject({ name: 'TimeoutError' });
  });

  it('within the timeout of the lane ends the request with the attempt', async ({ world }) => {
    const cut = gate();
    const upstream = await startUpstream(world, (response) => void response.on('close', () => cut.open()));
    const lane = defineLane({
      name: 'calls',
      timeout: '100ms',
      retry: { attempts: 1 },
      upstream: defineUpstream({ name: 'api', baseUrl: upstream.url }),
    });
    await world.pod([handle(lane, { run: (_, ctx) => ctx.fetch('/x').then(() => null) })]);
    const { id } = await (await world.producer()).add(lane, null);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({ class: 'timeout' });
    await cut.opened;
  });
});
