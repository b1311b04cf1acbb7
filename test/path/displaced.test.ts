// When another takes an exclusive lane, what the owner before it fed waits at the gate `owner` for that one: what ran is ended and
// cannot settle, what waited lies aside and comes back in its old place.

import { describe, expect, vi } from 'vitest';
import { createMetrics } from '../../src/engine/metrics.ts';
import { defineLane, handle, park, retry } from '../../src/index.ts';
import { explainJob, listJobs, showJob } from '../../src/path/inspect.ts';
import { readOwnerWait } from '../../src/path/owner-wait.ts';
import { JOB_FIELDS } from '../../src/words/keys.ts';
import { it, type World } from '../support/world.ts';
import { take } from './leases.ts';
import { gate, RETRYING, untilState } from './looking.ts';

const lane = defineLane({ name: 'publish', ownership: 'exclusive', concurrency: 1, retry: { backoff: ['1h'] } });
const draining = defineLane({ name: 'publish', ownership: 'exclusive', concurrency: 1, displaced: 'drain' });

/** Runs what it is given, in order. */
function recorder(of = lane) {
  const ran: unknown[] = [];
  const handler = handle(of, {
    run(job) {
      ran.push(job.payload);
      if (job.payload === 'fails' && job.attempt === 1) return retry();
      if (job.payload === 'parks') return park({ until: Date.now() + 3_600_000, reason: 'later' });
      return job.payload;
    },
  });
  return { ran, handler };
}

async function feed(
  world: World,
  as: string,
  payloads: readonly unknown[],
  options = {},
  to = lane,
): Promise<string[]> {
  const producer = await world.producer();
  const ids: string[] = [];
  for (const payload of payloads) ids.push((await producer.add(to, payload, { as, ...options })).id);
  return ids;
}

const untilAside = (world: World, ids: readonly string[], of = lane) =>
  vi.waitFor(async () => {
    const parked = await listJobs(world.queue(of), ['parked'], 1_000);
    expect(parked.filter(({ gate: at }) => at === 'owner').map(({ id }) => id)).toEqual(
      expect.arrayContaining([...ids]),
    );
  }, RETRYING);

describe('what waits when its owner is displaced', () => {
  it('lies aside, says for whom until null at which place, and comes back before what came since', async ({
    world,
  }) => {
    const { ran, handler } = recorder();
    await take(world, lane, 'cron');
    const first = await feed(world, 'cron', ['a1', 'a2', 'a3']);
    await take(world, lane, 'manual');
    await feed(world, 'manual', ['b1', 'b2']);
    await world.pod([handler]);
    await vi.waitFor(() => expect(ran).toEqual(['b1', 'b2']), RETRYING);
    await untilAside(world, first);
    const queue = world.queue(lane);
    for (const [place, id] of first.entries()) {
      const job = await showJob(queue, id);
      expect(job).toMatchObject({ state: 'parked', gate: 'owner', untilAt: null, attempt: 1 });
      const why = await explainJob(queue, lane, id, 1, async () => ({
        owner: await readOwnerWait(queue, world.keys, lane, id),
      }));
      expect(why).toMatchObject({
        gate: 'owner',
        untilAt: null,
        place: place + 1,
        because: expect.stringMatching(/^cron of \S+ fed it, and manual of \S+ took the lane .* owner publish adopt/),
      });
    }
    await queue.queue.pause();
    await take(world, lane, 'cron');
    await feed(world, 'cron', ['a4']);
    await vi.waitFor(async () => {
      expect(await listJobs(queue, ['parked'], 10)).toEqual([]);
    }, RETRYING);
    await queue.queue.resume();
    await vi.waitFor(() => expect(ran).toEqual(['b1', 'b2', 'a1', 'a2', 'a3', 'a4']), RETRYING);
    for (const id of first) expect(await untilState(queue, id, 'done')).toMatchObject({ attempt: 1 });
  });

  it('runs on where the check is off: by its policy (drain), or raw (twin)', async ({ world }) => {
    const { ran, handler } = recorder(draining);
    await take(world, draining, 'cron');
    await feed(world, 'cron', ['a1', 'a2'], {}, draining);
    await take(world, draining, 'manual');
    await feed(world, 'manual', ['b1'], {}, draining);
    await world.pod([handler]);
    await vi.waitFor(() => expect(ran).toEqual(['a1', 'a2', 'b1']), RETRYING);
  });

  it('keeps its instant if it is scheduled, backs off, or was parked by its handler', async ({ world }) => {
    const { ran, handler } = recorder();
    await take(world, lane, 'cron');
    const at = Date.now() + 3_600_000;
    const [scheduled = ''] = await feed(world, 'cron', ['later'], { at });
    const [failed = '', parks = ''] = await feed(world, 'cron', ['fails', 'parks']);
    await world.pod([handler]);
    await vi.waitFor(() => expect(ran).toEqual(['fails', 'parks']), RETRYING);
    const queue = world.queue(lane);
    const ids = [scheduled, failed, parks];
    await untilState(queue, parks, 'parked');
    const before = await Promise.all(ids.map((id) => showJob(queue, id)));
    await take(world, lane, 'manual');
    await untilAside(world, ids);
    await take(world, lane, 'cron');
    await vi.waitFor(async () => {
      expect(await Promise.all(ids.map((id) => showJob(queue, id)))).toEqual(before);
    }, RETRYING);
    expect(before.map(({ attempt }) => attempt)).toEqual([1, 2, 1]);
  });

  it('keeps its priority', async ({ world }) => {
    const { ran, handler } = recorder();
    await take(world, lane, 'cron');
    const ids = [
      ...(await feed(world, 'cron', ['p9'], { priority: 9 })),
      ...(await feed(world, 'cron', ['p1', 'p1 too'], { priority: 1 })),
      ...(await feed(world, 'cron', ['p0'])),
    ];
    const queue = world.queue(lane);
    await take(world, lane, 'manual');
    await world.pod([handler]);
    await untilAside(world, ids);
    await queue.queue.pause();
    await take(world, lane, 'cron');
    await feed(world, 'cron', ['p5'], { priority: 5 });
    await vi.waitFor(async () => expect(await listJobs(queue, ['parked'], 10)).toEqual([]), RETRYING);
    await queue.queue.resume();
    await vi.waitFor(() => expect(ran).toEqual(['p0', 'p1', 'p1 too', 'p5', 'p9']), RETRYING);
    for (const id of ids) await untilState(queue, id, 'done');
  });
});

describe('what runs when its owner is displaced', () => {
  /** Waits in its handler until it is let go; what it wants to do afterwards is its own to try. */
  async function running(world: World, of = lane) {
    const begun = gate();
    const letGo = gate();
    let signal: AbortSignal | undefined;
    let runs = 0;
    const handler = handle(of, {
      async run(_, ctx) {
        runs++;
        if (runs > 1) return 'again';
        signal = ctx.signal;
        begun.open();
        await letGo.opened;
        return 'done';
      },
    });
    await take(world, of, 'cron');
    const [id = ''] = await feed(world, 'cron', ['a'], {}, of);
    const pod = await world.pod([handler]);
    const metrics = createMetrics('test');
    metrics.subscribe(pod.events);
    const seen = world.record(pod);
    await begun.opened;
    const count = async () => {
      const metric = await metrics.registry.getSingleMetric('lanekeeper_fenced_total')?.get();
      return metric?.values[0]?.value ?? 0;
    };
    return { id, pod, seen, letGo: () => letGo.open(), signal: signal as unknown as AbortSignal, count };
  }

  it('is ended at once, told as fenced and not as lost, and uses no attempt and no stall', async ({ world }) => {
    const { id, seen, signal, letGo, count } = await running(world);
    await take(world, lane, 'manual');
    await vi.waitFor(() => expect(signal.aborted).toBe(true), { timeout: 500, interval: 5 });
    await untilAside(world, [id]);
    await vi.waitFor(() => expect(seen.map(({ name }) => name)).toContain('attempt.fenced'), RETRYING);
    expect(seen.map(({ name }) => name)).not.toContain('attempt.lost');
    expect(await count()).toBe(1);
    letGo();
    await take(world, lane, 'cron');
    const done = await untilState(world.queue(lane), id, 'done');
    expect(done).toMatchObject({ result: 'again', attempt: 1 });
    expect(await world.redis.hget(world.queue(lane).jobKey(id), 'stc')).toBeNull();
  });

  it('cannot settle, whatever its pod has heard', async ({ world }) => {
    const { id, pod, seen, letGo, count } = await running(world);
    // Its ears are cut off, and its look comes too late.
    await world.redis.client('KILL', 'TYPE', 'PUBSUB');
    await take(world, lane, 'manual');
    letGo();
    await vi.waitFor(() => expect(seen.map(({ name }) => name)).toContain('attempt.fenced'), RETRYING);
    expect(await showJob(world.queue(lane), id)).toMatchObject({ state: 'parked', gate: 'owner', result: null });
    expect(await count()).toBe(1);
    expect(pod.state).toBe('running');
  });

  it('settles when the take leaves it alone (twin)', async ({ world }) => {
    const { id, letGo } = await running(world);
    await take(world, lane, 'manual', { setsAside: false });
    letGo();
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: 'done' });
  });

  it("runs on in a lane that drains, also when another's take is seen", async ({ world }) => {
    const { id, letGo, signal } = await running(world, draining);
    await take(world, draining, 'manual');
    expect(signal.aborted).toBe(false);
    letGo();
    expect(await untilState(world.queue(draining), id, 'done')).toMatchObject({ result: 'done' });
  });

  it('runs on when the same owner takes a new term', async ({ world }) => {
    const { id, letGo } = await running(world);
    await take(world, lane, 'cron');
    letGo();
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ result: 'done' });
  });
});

describe('admission', () => {
  it('parks what slips through, and lets it run when its owner is back', async ({ world }) => {
    const { ran, handler } = recorder();
    await take(world, lane, 'cron');
    const [id = ''] = await feed(world, 'cron', ['a']);
    const token = await take(world, lane, 'manual', { setsAside: false });
    // As if all that waits had been moved: only admission is left to see it.
    await world.redis.set(world.keys.asideDone(lane), `${token} park`);
    await world.redis.set(world.keys.beat('aside-head', lane.name), 'p');
    const pod = await world.pod([handler]);
    const seen = world.record(pod);
    await untilAside(world, [id]);
    await vi.waitFor(
      () => expect(seen).toContainEqual({ name: 'attempt.finished', data: expect.objectContaining({ gate: 'owner' }) }),
      RETRYING,
    );
    expect(ran).toEqual([]);
    await take(world, lane, 'cron');
    expect(await untilState(world.queue(lane), id, 'done')).toMatchObject({ attempt: 1 });
  });

  it('refuses a job whose owner field was forged into something else', async ({ world }) => {
    const { handler } = recorder();
    await take(world, lane, 'cron');
    const [id = ''] = await feed(world, 'cron', ['a']);
    await world.redis.hset(world.queue(lane).jobKey(id), JOB_FIELDS.owner, '{"token":"x"}');
    await world.pod([handler]);
    expect(await untilState(world.queue(lane), id, 'dead')).toMatchObject({ class: 'refused' });
  });
});
