// What operators order and how they are answered: pause, resume, cancel of a job that runs; and that `why` and `lanes` tell it.

import { expect, vi } from 'vitest';
import { collect } from '../../queues/collect.ts';
import { publish } from '../../queues/publish.ts';
import { handle } from '../../src/index.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { RETRYING } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

const POST = JSON.stringify({ title: 'Hello', body: 'World' });

async function json<T = Record<string, unknown>>(world: World, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await world.cli([...args, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

async function journal(world: World) {
  const entries = await world.redis.xrange(world.keys.journal('forum'), '-', '+');
  return entries.flatMap(([id, fields]) => readBatch(id, fields));
}

it('pause and resume are told by whom and why: in why, in lanes, in the journal, and a second pause keeps the first', async ({
  world,
}) => {
  const { id } = await json<{ id: string }>(world, 'add', 'publish', POST);
  const paused = await world.cli(['pause', 'publish', '--reason', 'the forum moves']);
  expect(paused).toMatchObject({ code: 0, stdout: 'paused publish: what runs goes on, what comes waits\n' });
  const again = await world.cli(['pause', 'publish', '--reason', 'me too']);
  expect(again).toMatchObject({ code: 0, stdout: '' });
  expect(again.stderr).toMatch(/nothing changed: the lane is paused by .+@.+: the forum moves/);

  expect(await json(world, 'why', 'publish', id)).toMatchObject({
    gate: 'pause',
    because: expect.stringMatching(/^the lane is paused by .+@.+: the forum moves$/),
    pause: { reason: 'the forum moves', sinceAt: expect.stringMatching(/Z$/) },
  });
  // Nothing of how the order is looked after.
  const fields = ['who', 'reason', 'sinceAt'];
  for (const args of [
    ['why', 'publish', id],
    ['pause', 'publish'],
  ])
    expect(Object.keys((await json<{ pause: object }>(world, ...args)).pause)).toEqual(fields);
  const lanes = await json<{ lane: string; pause?: { who: string } }[]>(world, 'lanes');
  expect(lanes.find(({ lane }) => lane === 'publish')).toMatchObject({
    isPaused: true,
    pause: { reason: 'the forum moves' },
  });
  expect(Object.keys(lanes.find(({ lane }) => lane === 'publish')?.pause ?? {})).toEqual(fields);
  expect((await world.cli(['lanes'])).stdout).toMatch(/publish \(paused\).*paused by .+@.+: the forum moves/);

  const resumed = await world.cli(['resume', 'publish', '--reason', 'it has moved']);
  expect(resumed.stdout).toMatch(/^resumed publish: the lane was paused by .+@.+: the forum moves\n$/);
  expect((await world.cli(['resume', 'publish'])).stderr).toContain('the lane was not paused');
  const told = (await journal(world)).filter(({ what }) => what.startsWith('lane.'));
  expect(told).toMatchObject([
    { what: 'lane.paused', lane: 'publish', reason: 'the forum moves', who: expect.stringMatching(/.+@.+/) },
    { what: 'lane.resumed', lane: 'publish', reason: 'it has moved', who: expect.stringMatching(/.+@.+/) },
  ]);
});

it('cancel ends a job that runs, and is journalled once with who and why', async ({ world }) => {
  await world.redis.hset(world.keys.limits('forum'), 'born', '1'); // else the forum is left alone for 10 s first
  await world.pod([handle(publish, { run: () => new Promise(() => {}) })]);
  const { id } = await json<{ id: string }>(world, 'add', 'publish', POST);
  await vi.waitFor(async () => {
    expect(await json(world, 'why', 'publish', id)).toMatchObject({ state: 'active' });
  }, RETRYING);
  const cancelled = await world.cli(['cancel', 'publish', id, '--reason', 'wrong text']);
  expect(cancelled).toMatchObject({ code: 0, stdout: `cancelled ${id} of publish, which was active\n` });
  await vi.waitFor(async () => {
    const told = (await journal(world)).filter(({ what }) => what === 'job.cancelled');
    expect(told).toMatchObject([
      { job: id, reason: 'wrong text', before: 'active', who: expect.stringMatching(/.+@.+/) },
    ]);
  }, RETRYING);
});

it('cancel of a job whose pod is frozen says so in one line; why tells the order', async ({ world }) => {
  const { id } = await json<{ id: string }>(world, 'add', 'collect', '{}');
  await world.queue(collect).backend.moveToActive('frozen:0', 'frozen-pod');
  const { code, stdout, stderr } = await world.cli(['cancel', 'collect', id, '--reason', 'wrong text']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain('its pod frozen-pod did not answer within 3 s');
  expect(await json(world, 'why', 'collect', id)).toMatchObject({
    state: 'active',
    because: expect.stringContaining('has ordered to cancel it'),
    cancel: { reason: 'wrong text' },
  });
});

it.for([[['worker', '--lanes', 'publish']], [['api']]])(
  '%j from dist/ buries an impostor: the scripts lie where it looks for them',
  async ([args], { world }) => {
    const pod = world.spawn(args as string[]);
    pod.stdout?.resume();
    pod.stderr?.resume();
    const queue = world.queue(publish);
    await queue.queue.add('n', { title: 'a', body: 'b' }, { jobId: 'wait' }).catch(() => undefined);
    await vi.waitFor(
      async () => {
        expect(await json(world, 'dead', 'publish')).toMatchObject([
          { class: 'refused', reason: expect.stringContaining("its id 'wait' is a name of the queue's own") },
        ]);
      },
      { timeout: 30_000, interval: 200 },
    );
  },
);
