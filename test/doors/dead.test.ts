// `lanekeeper dead` as people use it: real processes, many letters, a Ctrl-C in the middle, a reader that has had enough.

import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, vi } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { bury, letterId } from '../path/letter-flood.ts';
import { RETRYING } from '../path/looking.ts';
import { it, type World } from '../support/world.ts';

async function journalOf({ redis, keys }: World) {
  const entries = await redis.xrange(keys.journal('forum'), '-', '+');
  return entries.flatMap((entry) => readBatch(...entry));
}

const deadIn = async (world: World) => (await world.queue(publish).backend.getCounts(['failed']))[0];

it('replays all of a class, says how many, and writes who and why into the journal', async ({ world }) => {
  await bury(world.queue(publish), { count: 150, ofClass: (n) => (n < 40 ? 'auth' : 'gone') });
  const args = ['dead', 'publish', 'replay', '--all', '--class', 'auth', '--reason', 'login mended'];
  const { code, stdout } = await world.cli(args);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'replayed 40 dead letters of class auth of publish\n' });
  expect(await deadIn(world)).toBe(110);
  const [begun, ended] = await journalOf(world);
  expect(begun).toMatchObject({
    what: 'operation.begun',
    order: 'replay',
    total: 150,
    class: 'auth',
    reason: 'login mended',
  });
  expect(ended).toMatchObject({ what: 'dead.replayed', count: 40, class: 'auth', reason: 'login mended' });
  expect(ended?.who).toMatch(/.+@.+/);
  expect(ended?.operation).toBe(begun?.operation);
  const listed = await world.cli(['dead', 'publish', 'list', '--class', 'auth']);
  expect(listed.stderr).toContain('no dead letters of class auth in publish');
});

it('drops one, or all, and they are gone', async ({ world }) => {
  await bury(world.queue(publish), { count: 60 });
  const one = await world.cli(['dead', 'publish', 'drop', letterId(7), '--reason', 'a test']);
  expect(one).toMatchObject({ code: 0, stdout: `dropped ${letterId(7)} of publish: it is gone for good\n` });
  const again = await world.cli(['dead', 'publish', 'drop', letterId(7)]);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('(LK_UNKNOWN)') });
  const all = await world.cli(['dead', 'publish', 'drop', '--all', '--rate', '0', '--json']);
  expect(JSON.parse(all.stdout)).toMatchObject({
    lane: 'publish',
    total: 59,
    dropped: 59,
    skipped: 0,
    isStopped: false,
  });
  expect(await deadIn(world)).toBe(0);
  expect((await journalOf(world)).map(({ what }) => what)).toEqual(['job.dropped', 'operation.begun', 'dead.dropped']);
});

it('stopped by Ctrl-C says how far it came and ends with 1; the same command goes on and ends with 0', async ({
  world,
}) => {
  await bury(world.queue(publish), { count: 400 });
  const child = world.spawn(['dead', 'publish', 'replay', '--all', '--rate', '40']);
  const said = text(child.stderr as NodeJS.ReadableStream);
  const ended = once(child, 'exit');
  await vi.waitFor(async () => expect(await deadIn(world)).toBeLessThan(395), { ...RETRYING, timeout: 30_000 });
  child.kill('SIGINT');
  expect((await ended)[0]).toBe(1);
  const left = (await deadIn(world)) as number;
  expect(left).toBeGreaterThan(0);
  const lines = (await said).trim().split('\n');
  const done = 400 - left;
  expect(lines.at(-1)).toBe(
    `stopped: replayed ${done} dead letters of publish, ${done} of 400 looked at; the same command again goes on`,
  );
  const again = await world.cliProcess(['dead', 'publish', 'replay', '--all', '--rate', '0']);
  expect(again).toMatchObject({ code: 0, stdout: `replayed ${left} dead letters of publish\n` });
  const waiting = await world.redis.lrange(world.queue(publish).backend.toKey('wait'), 0, -1);
  expect(new Set(waiting).size).toBe(400);
  expect(waiting, 'each once').toHaveLength(400);
  expect((await journalOf(world)).filter(({ what }) => what === 'dead.replayed')).toMatchObject([
    { count: done, isStopped: true },
    { count: left, isStopped: false },
  ]);
});

it('killed in the middle has lost and doubled nothing', async ({ world }) => {
  await bury(world.queue(publish), { count: 2_000 });
  const child = world.spawn(['dead', 'publish', 'replay', '--all', '--rate', '400']);
  const ended = once(child, 'exit');
  await vi.waitFor(async () => expect(await deadIn(world)).toBeLessThan(1_950), { ...RETRYING, timeout: 30_000 });
  child.kill('SIGKILL');
  await ended;
  const { backend, redis } = world.queue(publish);
  const waiting = await redis.lrange(backend.toKey('wait'), 0, -1);
  const failed = await redis.zrange(backend.toKey('failed'), 0, '-1');
  expect([...waiting, ...failed].sort()).toEqual(Array.from({ length: 2_000 }, (_, n) => letterId(n)));
  expect(failed.length).toBeGreaterThan(0);
});

it('export is JSON Lines; a reader that has had enough ends it quietly, with 0', async ({ world }) => {
  await bury(world.queue(publish), { count: 3_000, ofClass: (n) => (n < 5 ? 'auth' : 'gone'), size: 1_000 });
  const some = await world.cli(['dead', 'publish', 'export', '--class', 'auth']);
  const letters = some.stdout.trim().split('\n');
  expect(letters.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([0, 1, 2, 3, 4].map(letterId));
  const child = world.spawn(['dead', 'publish', 'export']);
  const said = text(child.stderr as NodeJS.ReadableStream);
  const ended = once(child, 'exit');
  const [first] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  child.stdout?.destroy();
  expect(JSON.parse(first.toString().split('\n')[0] as string)).toMatchObject({ id: letterId(0), key: 'k-0' });
  expect(await ended).toEqual([0, null]);
  expect(await said).toBe('');
});

it('refuses in one line what cannot be meant', async ({ world }) => {
  const cases: [number, string[], string][] = [
    [2, ['replay'], 'needs the id of a job, or --all'],
    [2, ['drop'], 'needs the id of a job, or --all'],
    [2, ['replay', '--class', 'auth'], 'needs --all beside --class'],
    [2, ['replay', 'j_1', '--all'], 'takes either an id or --all, got "j_1" and --all'],
    [2, ['drop', 'j_1', '--class', 'auth'], 'takes either an id or --class'],
    [2, ['export', '--all'], 'takes no --all'],
    [2, ['export', 'j_1'], 'takes no id, got "j_1"'],
    [1, ['replay', '--all', '--rate', '-1'], 'rate: expected a whole number'],
    [1, ['replay', '--all', '--class', 'broken'], '--class: expected one of transient, timeout'],
    [1, ['replay', '--all', '--class', ''], 'got ""'],
  ];
  for (const [expected, args, words] of cases) {
    const { code, stdout, stderr } = await world.cli(['dead', 'publish', ...args]);
    expect({ args, code, stdout }).toEqual({ args, code: expected, stdout: '' });
    expect(stderr).toContain(words);
  }
});
