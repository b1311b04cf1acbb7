// The command line as people use it: dist/, the sample fleet's lanes, a real Redis; one of each kind of answer from a process of its
// own. Answers on stdout, one line on stderr for what is refused, 1 for refused and 2 for wrong usage.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { handle } from '../../src/index.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { it, type World } from '../support/world.ts';

const POST = JSON.stringify({ title: 'Hello', body: 'World' });

/** To collect, which has no agents: what is added there waits. */
const addWaiting = (world: World, ...options: string[]) => addTo(world, 'collect', '{}', ...options);

async function addTo(world: World, lane: string, payload: string, ...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await world.cli(['add', lane, payload, '--json', ...options]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return (JSON.parse(stdout) as { id: string }).id;
}

it('add prints the id, and says when it should start', async ({ world }) => {
  const add = ['add', 'publish', POST, '--agent', 'a01', '--priority', '3'];
  const { code, stdout, stderr } = await world.cliProcess(add);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^j[0-9A-Za-z]{15}\n$/);
  expect(stderr).toContain('nobody knows when it starts');
  const scheduled = await world.cli(['add', 'publish', POST, '--at', '2099-01-01T00:00:00Z', '--json']);
  expect(JSON.parse(scheduled.stdout)).toMatchObject({ state: 'scheduled', startsAt: '2099-01-01T00:00:00.000Z' });
  expect((await world.cli(['lanes'])).stdout).toMatch(/^publish +\S+ +0 +1 \(cooldown 1\) +1 +0 +0 +0 +0 /m);
  const lanes = JSON.parse((await world.cli(['lanes', '--json'])).stdout) as { lane: string }[];
  expect(lanes.find(({ lane }) => lane === 'publish')).toMatchObject({
    parked: 1,
    scheduled: 1,
    gates: { cooldown: 1 },
  });
});

it('add reads the payload from standard input', async ({ world }) => {
  const { code, stdout } = await world.cliProcess(['add', 'publish', '-'], {}, POST);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^j/);
});

it('add with a key seen before gives the same id and adds nothing', async ({ world }) => {
  const first = await addWaiting(world, '--key', 'order-7');
  expect(await addWaiting(world, '--key', 'order-7')).toBe(first);
  const { stdout } = await world.cli(['lanes', '--json']);
  expect(
    (JSON.parse(stdout) as { lane: string; waiting: number }[]).find(({ lane }) => lane === 'collect')?.waiting,
  ).toBe(1);
});

it('jobs lists by state; why explains; cancel takes out and is journalled with who and why', async ({ world }) => {
  const id = await addWaiting(world);
  const later = await addWaiting(world, '--at', '2099-01-01T00:00:00Z');
  const listed = await world.cli(['jobs', 'collect', '--state', 'waiting', '--json']);
  expect((JSON.parse(listed.stdout) as { id: string }[]).map((job) => job.id)).toEqual([id]);
  const table = await world.cli(['jobs', 'collect']);
  expect(table.stdout).toContain('ID');
  expect(table.stdout).toContain(later);

  const why = JSON.parse((await world.cli(['why', 'collect', id, '--json'])).stdout) as Record<string, unknown>;
  expect(why).toMatchObject({ state: 'waiting', place: 1, because: 'no running pod has this lane', untilAt: null });
  const whyLater = JSON.parse((await world.cli(['why', 'collect', later, '--json'])).stdout) as Record<string, unknown>;
  expect(whyLater).toMatchObject({ state: 'scheduled', untilAt: '2099-01-01T00:00:00.000Z' });

  const cancelled = await world.cli(['cancel', 'collect', later, '--reason', 'not wanted']);
  expect(cancelled).toMatchObject({ code: 0, stdout: `cancelled ${later} of collect, which was scheduled\n` });
  const again = await world.cli(['cancel', 'collect', later]);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain('(LK_UNKNOWN)');
  const [entry] = await world.redis.xrevrange(world.keys.journal('feed'), '+', '-', 'COUNT', 1);
  const [written] = readBatch(...(entry as [string, string[]]));
  expect(written).toMatchObject({ what: 'job.cancelled', job: later, reason: 'not wanted', before: 'scheduled' });
  expect(written?.who).toMatch(/.+@.+/);
});

it('dead lists, shows and replays', async ({ world }) => {
  let isMended = false;
  const handler = handle(publish, {
    run() {
      if (!isMended) throw Object.assign(new Error('login refused'), { name: 'UpstreamError', class: 'auth' });
      return 'posted';
    },
  });
  await world.redis.hset(world.keys.limits('forum'), 'born', '1'); // else the forum is left alone for 10 s first
  await world.pod([handler]);
  const id = await addTo(world, 'publish', POST, '--agent', 'a01');
  await vi.waitFor(async () => {
    const { stdout } = await world.cli(['dead', 'publish', '--json']);
    expect(JSON.parse(stdout)).toMatchObject([{ id, class: 'auth', reason: 'login refused', agent: 'a01' }]);
  }, 10_000);
  expect((await world.cli(['dead', 'publish'])).stdout).toContain('login refused');
  const shown = (await world.cli(['dead', 'publish', 'show', id])).stdout;
  expect(shown).toContain('docs/runbooks/publish.md');
  expect(shown).toMatch(/attempt 1 {2}auth on \S+ at /);

  isMended = true;
  const replayed = await world.cli(['dead', 'publish', 'replay', id, '--reason', 'login mended']);
  expect(replayed.code).toBe(0);
  await vi.waitFor(async () => {
    const why = JSON.parse((await world.cli(['why', 'publish', id, '--json'])).stdout) as Record<string, unknown>;
    expect(why).toMatchObject({ state: 'done' });
  }, 10_000);
  expect((await world.cli(['dead', 'publish', 'replay', id])).stderr).toContain('is done, not dead (LK_STATE)');
});

it('lanes shows counts and the pods that run each lane', async ({ world }) => {
  const pod = await world.pod([handle(publish, { run: () => 1 })]);
  await vi.waitFor(async () => {
    const lanes = JSON.parse((await world.cli(['lanes', '--json'])).stdout) as { lane: string; pods: string[] }[];
    expect(lanes.find(({ lane }) => lane === 'publish')?.pods).toEqual([pod.name]);
  }, 10_000);
});

it('doctor is green on a good folder, lists unbuilt options, and fails on a wrong one', async ({ world }) => {
  const good = await world.cliProcess(['doctor']);
  expect({ code: good.code, stderr: good.stderr }).toEqual({ code: 0, stderr: '' });
  expect(good.stdout).toMatch(/ok {4}eviction/);
  const dir = await world.folder();
  await Promise.all([mkdir(join(dir, 'queues')), mkdir(join(dir, 'workers'))]);
  await writeFile(
    join(dir, 'queues/a.mjs'),
    `import { defineLane } from 'lanekeeper'; export const a = defineLane({ name: 'a', pods: 'one' });`,
  );
  const missing = await world.cliProcess(['doctor', '--dir', dir]);
  expect(missing.code).toBe(1);
  expect(missing.stdout).toContain('lane "a" has no handler');
  await writeFile(
    join(dir, 'workers/a.mjs'),
    `import { handle } from 'lanekeeper'; import { a } from '../queues/a.mjs'; export const h = handle(a, { run() {}, verify() {} });`,
  );
  const { code, stdout } = await world.cli(['doctor', '--dir', dir, '--json']);
  expect(code).toBe(0);
  const warnings = (JSON.parse(stdout) as { check: string; says: string }[]).filter(({ check }) => check === 'option');
  expect(warnings.map(({ says }) => says)).toEqual(['handler "a": verify is not built yet: it is ignored']);
});

it('refuses in one line, with 1, what is well-formed but wrong', async ({ world }) => {
  const refused: [string[], string][] = [
    [['add', 'nolane', '{}'], 'no lane "nolane"'],
    [['add', 'publish', '{'], 'payload: expected JSON'],
    [['add', 'publish', '{"title":"","body":1}'], 'payload.title'],
    [['add', 'publish', POST, '--at', 'tomorrow'], 'at: expected an instant'],
    [['add', 'publish', POST, '--at', '-5'], 'at: expected an instant'],
    [['add', 'publish', POST, '--priority', '9999999'], 'priority: expected a whole number'],
    [['add', 'publish', POST, '--agent', 'a b'], 'agent: expected'],
    [['add', 'publish', POST, '--key', ''], 'key: expected'],
    [['jobs', 'publish', '--state', 'sleeping'], '--state: expected one of'],
    [['why', 'publish', 'j_nothere'], 'has no job "j_nothere"'],
    [['why', 'publish', '../x\n'], 'has no job'],
    [['cancel', 'publish', 'meta'], 'has no job'],
    [['dead', 'publish', 'show', 'wait'], 'has no job'],
    [['lanes', '--dir', '/nowhere'], 'got no such file'],
    [['simulate', '--scenario', 'nope'], '--scenario: expected one of'],
    [['worker', '--lanes', 'publish,nope'], 'no lane "nope"'],
    [['worker', '--concurrency', '0'], '--concurrency: expected 1 or more'],
    [['up', '--pods', '0'], '--pods: expected 1 to 64'],
  ];
  const results = await Promise.all(refused.map(([args], place) => (place === 0 ? world.cliProcess : world.cli)(args)));
  for (const [index, { code, stdout, stderr }] of results.entries()) {
    const [args, says] = refused[index] as [string[], string];
    expect({ args, code, stdout, lines: stderr.trim().split('\n').length }).toEqual({
      args,
      code: 1,
      stdout: '',
      lines: 1,
    });
    expect(stderr).toContain(says);
  }
  expect(await world.redis.keys(`${world.prefix}:q:*:j[A-Z]*`)).toEqual([]);
});

it('answers wrong usage with 2', async ({ world }) => {
  const wrong = [
    ['nonsense'],
    ['add'],
    ['add', 'publish', POST, '--nope'],
    ['dead', 'publish', 'explode'],
    ['dead', 'publish', 'show'],
  ];
  const results = await Promise.all(wrong.map((args, place) => (place === 0 ? world.cliProcess : world.cli)(args)));
  expect(results.map(({ code }) => code)).toEqual(wrong.map(() => 2));
  for (const { stdout, stderr } of results)
    expect({ stdout, said: stderr.includes('error:') }).toEqual({ stdout: '', said: true });
});

it('help teaches, on stdout, with 0', async ({ world }) => {
  for (const args of [['--help'], ['add', '--help'], ['dead', '--help']]) {
    const { code, stdout, stderr } = await (args.length === 1 ? world.cliProcess : world.cli)(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Example|A first look/);
  }
});

it('says where Redis is not, and how to start it', async ({ world }) => {
  const dir = await world.folder();
  const none = await world.cli(['lanes'], { REDIS_URL: '', LANEKEEPER_DATA: dir });
  expect(none).toMatchObject({ code: 1, stdout: '' });
  expect(none.stderr).toContain("start it with 'lanekeeper up'");
  const down = await world.cli(['lanes'], { REDIS_URL: 'redis://:secret@127.0.0.1:1' });
  expect(down.code).toBe(1);
  expect(down.stderr).toContain('ECONNREFUSED');
  expect(down.stderr).not.toContain('secret');
  const wrong = await world.cli(['lanes'], { REDIS_URL: 'http://x' });
  expect(wrong.stderr).toContain('REDIS_URL: expected an address');
});
