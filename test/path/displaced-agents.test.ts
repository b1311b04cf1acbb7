// When another takes lanes whose jobs act as agents: whoever surely did not act is free at once, whoever may have acted is charged, and
// what waited for a window keeps its place.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, vi } from 'vitest';
import { defineLane, defineUpstream, handle, type Lane } from '../../src/index.ts';
import { listJobs, showJob } from '../../src/path/inspect.ts';
import { it, type World } from '../support/world.ts';
import { take } from './leases.ts';
import { gate, RETRYING, rejection } from './looking.ts';

const HOUR = 3_600_000;

/** Remembers what came, with its fence; answers when it is told to. */
async function serve(world: World) {
  const seen: { job: string; token: string; scope: string }[] = [];
  const answers = gate();
  const server = createServer(async (request, response) => {
    const header = (name: string) => String(request.headers[name]);
    seen.push({ job: header('x-job'), token: header('x-fence-token'), scope: header('x-fence-scope') });
    request.resume();
    await answers.opened;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.defer(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, answer: () => answers.open() };
}

function lanesOf(url: string, cooldown = '1h') {
  const upstream = defineUpstream({ name: 'forum', baseUrl: url, agents: ['a'] });
  const terms = { upstream, agent: { cooldown }, ownership: 'exclusive' } as const;
  return { publish: defineLane({ name: 'publish', ...terms }), reply: defineLane({ name: 'reply', ...terms }) };
}

/** Of one upstream, so one owner has both. */
const group = ({ publish, reply }: ReturnType<typeof lanesOf>) => ({ lanes: [publish, reply] });

function acting(lane: Lane, before: () => Promise<void> = async () => {}) {
  const ends: unknown[] = [];
  const signals: AbortSignal[] = [];
  const handler = handle(lane, {
    async run(job, ctx) {
      signals.push(ctx.signal);
      try {
        await before();
        await (await ctx.fetch('/act', { method: 'POST', headers: { 'x-job': job.id } })).text();
        ends.push(job.payload);
      } catch (error) {
        ends.push(error);
        throw error;
      }
    },
  });
  return { handler, ends, signals };
}

const agentOf = ({ redis, keys }: World) => redis.hgetall(keys.agent('forum', 'a'));

describe('an agent whose job is taken from its pod', () => {
  it('is free at once when it surely did not act, and its pod sends nothing any more', async ({ world }) => {
    const { url, seen, answer } = await serve(world);
    answer();
    const lanes = lanesOf(url);
    const held = gate();
    const first = acting(lanes.publish, () => held.opened);
    const second = acting(lanes.reply);
    await take(world, lanes.publish, 'cron', group(lanes));
    const producer = await world.producer();
    const { id } = await producer.add(lanes.publish, 'theirs', { as: 'cron' });
    await world.pod([first.handler, second.handler]);
    await vi.waitFor(() => expect(first.signals).toHaveLength(1), RETRYING);
    // For the first 20 ms its pod says that something may go out.
    await vi.waitFor(async () => expect(await agentOf(world)).not.toHaveProperty('sent'), RETRYING);
    await take(world, lanes.publish, 'manual', group(lanes));
    const ours = await producer.add(lanes.reply, 'ours', { as: 'manual' });
    await vi.waitFor(() => expect(seen).toMatchObject([{ job: ours.id }]), { timeout: 5_000, interval: 10 });
    held.open();
    await vi.waitFor(() => expect(first.ends).toMatchObject([{ code: 'LK_ATTEMPT_OVER' }]), RETRYING);
    expect(await showJob(world.queue(lanes.publish), id)).toMatchObject({ gate: 'owner', untilAt: null, attempt: 1 });
    expect(seen).toHaveLength(1);
  });

  it('is charged when it may have acted, and nobody acts as it before', async ({ world }) => {
    const { url, seen, answer } = await serve(world);
    const lanes = lanesOf(url);
    const first = acting(lanes.publish);
    const second = acting(lanes.reply);
    await take(world, lanes.publish, 'cron', group(lanes));
    const producer = await world.producer();
    const { id } = await producer.add(lanes.publish, 'theirs', { as: 'cron' });
    await world.pod([first.handler, second.handler]);
    await vi.waitFor(() => expect(seen).toMatchObject([{ job: id }]), RETRYING);
    const takenAt = Date.now();
    await take(world, lanes.publish, 'manual', group(lanes));
    const ours = await producer.add(lanes.reply, 'ours', { as: 'manual' });
    answer();
    await vi.waitFor(
      async () => {
        const { token, next } = await agentOf(world);
        expect(token).toBeUndefined();
        expect(Number(next)).toBeGreaterThan(takenAt + HOUR - 1_000);
      },
      { timeout: 5_000, interval: 20 },
    );
    expect(await showJob(world.queue(lanes.publish), id)).toMatchObject({ gate: 'owner', attempt: 1 });
    expect(await showJob(world.queue(lanes.reply), ours.id)).toMatchObject({ gate: 'cooldown' });
    expect(seen).toHaveLength(1);
  });
});

describe('what waits for a window', () => {
  it('lies aside, and keeps its place by priority and arrival', async ({ world }) => {
    const { url, seen, answer } = await serve(world);
    answer();
    const lanes = lanesOf(url, '20ms');
    const { publish } = lanes;
    await take(world, publish, 'cron', group(lanes));
    const producer = await world.producer();
    const ids: string[] = [];
    for (const priority of [5, 1, 5]) ids.push((await producer.add(publish, null, { as: 'cron', priority })).id);
    await take(world, publish, 'manual', group(lanes));
    const { handler } = acting(publish);
    const pod = await world.pod([handler]);
    await vi.waitFor(async () => {
      const parked = await listJobs(world.queue(publish), ['parked'], 10);
      expect(parked.map(({ gate: at }) => at)).toEqual(['owner', 'owner', 'owner']);
      expect(await world.redis.exists(world.keys.line(publish))).toBe(0);
    }, RETRYING);
    expect(seen).toEqual([]);
    await world.queue(publish).queue.pause();
    await take(world, publish, 'cron', group(lanes));
    ids.push((await producer.add(publish, null, { as: 'cron', priority: 5 })).id);
    await vi.waitFor(async () => expect(await world.redis.zcard(world.keys.aside(publish))).toBe(0), RETRYING);
    await world.queue(publish).queue.resume();
    const [a, b, c, d] = ids;
    await vi.waitFor(() => expect(seen.map(({ job }) => job)).toEqual([b, a, c, d]), RETRYING);
    expect(pod.state).toBe('running');
  });
});

describe('the fence', () => {
  it("is the group's token when the attempt was admitted, in both of its lanes, and grows", async ({ world }) => {
    const { url, seen, answer } = await serve(world);
    answer();
    const lanes = lanesOf(url, '20ms');
    const handlers = [acting(lanes.publish).handler, acting(lanes.reply).handler];
    await world.pod(handlers);
    const producer = await world.producer();
    const tokens: number[] = [];
    for (const [as, lane] of [
      ['cron', lanes.publish],
      ['manual', lanes.reply],
      ['cron', lanes.reply],
    ] as const) {
      tokens.push(await take(world, lanes.publish, as, group(lanes)));
      const { id } = await producer.add(lane, null, { as });
      await vi.waitFor(() => expect(seen.map(({ job }) => job)).toContain(id), RETRYING);
    }
    expect(seen.map(({ token, scope }) => [Number(token), scope])).toEqual(
      tokens.map((token) => [token, 'group:forum']),
    );
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  });

  it('of an open lane is its own for each job (twin)', async ({ world }) => {
    const { url, seen, answer } = await serve(world);
    answer();
    const open = defineLane({ name: 'open', upstream: defineUpstream({ name: 'forum', baseUrl: url }) });
    await world.pod([acting(open).handler]);
    const { id } = await (await world.producer()).add(open, null);
    await vi.waitFor(() => expect(seen).toEqual([{ job: id, token: '1', scope: id }]), RETRYING);
  });
});

describe('ctx.add', () => {
  it('feeds a lane of its own group as whoever fed the job, and no other exclusive lane', async ({ world }) => {
    const { url } = await serve(world);
    const lanes = lanesOf(url, '20ms');
    const alone = defineLane({ name: 'alone', ownership: 'exclusive' });
    const ran: unknown[] = [];
    const refused: Error[] = [];
    const parent = handle(lanes.publish, {
      async run(_, ctx) {
        refused.push(await rejection(ctx.add(alone, 'child')));
        await ctx.add(lanes.reply, 'child');
      },
    });
    const child = handle(lanes.reply, { run: (job) => void ran.push(job.payload) });
    await take(world, lanes.publish, 'cron', group(lanes));
    await take(world, alone, 'cron');
    await world.pod([parent, child]);
    await (await world.producer()).add(lanes.publish, null, { as: 'cron' });
    await vi.waitFor(() => expect(ran).toEqual(['child']), RETRYING);
    expect(refused[0]).toMatchObject({ code: 'LK_OWNED', message: expect.stringContaining('producer.take') });
    expect(await listJobs(world.queue(alone), ['waiting'], 10)).toEqual([]);
  });
});
