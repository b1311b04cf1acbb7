// Who gives an order is killed at each of its points, as a real process: the journal tells once what became of it, and tells what is the
// case. In one process, with every kind of order and its twin, it is shown in test/engine/intent-keeper.test.ts.

import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { publish } from '../../queues/publish.ts';
import { ROOT } from '../../scripts/prepare.js';
import { createIntentKeeper } from '../../src/engine/intent-keeper.ts';
import { defineLane } from '../../src/index.ts';
import { moveAside, ownedLane } from '../../src/path/aside.ts';
import { createEventHub } from '../../src/words/events.ts';
import { take } from '../path/leases.ts';
import { bury, letterId } from '../path/letter-flood.ts';
import { journalled } from '../support/journalled.ts';
import { it, type World } from '../support/world.ts';
import { type CrashBuild, makeCrashBuild } from './crash/crash-build.ts';

let build: CrashBuild;
beforeAll(() => {
  build = makeCrashBuild();
  copyFileSync(join(ROOT, 'package.json'), join(build.folder, 'package.json'));
});
afterAll(() => build.remove());

const POINTS = ['before-intent', 'after-intent', 'after-change', 'after-result'];

/** Each with what its result is called. */
const ORDERS: [what: string, arrange: (world: World) => Promise<string[]>][] = [
  ['lane.paused', async () => ['pause', 'publish']],
  [
    'lane.resumed',
    async (world) => {
      await world.queue(publish).queue.pause();
      return ['resume', 'publish'];
    },
  ],
  [
    'job.cancelled',
    async (world) => {
      const { id } = await (await world.producer()).add(publish, { title: 't', body: 'b' });
      return ['cancel', 'publish', id];
    },
  ],
  [
    'job.replayed',
    async (world) => {
      await bury(world.queue(publish), { count: 1 });
      return ['dead', 'publish', 'replay', letterId(0)];
    },
  ],
];

const CASES = ORDERS.flatMap(([what, arrange]) => POINTS.map((point) => ({ what, point, arrange })));

it.for(CASES)('$what, whose giver is killed $point', async ({ what, point, arrange }, { world }) => {
  const args = await arrange(world);
  const record = join(await world.folder(), 'record');
  const { signal } = spawnSync(process.execPath, [join(build.folder, 'src', 'main.js'), ...args, '--reason', 'moved'], {
    cwd: ROOT,
    encoding: 'utf8',
    env: {
      ...process.env,
      REDIS_URL: world.redisUrl,
      LANEKEEPER_PREFIX: world.prefix,
      FAULTS_CRASH_AT: point,
      FAULTS_CRASH_PASS: '1',
      FAULTS_CRASH_RECORD: record,
    },
  });
  expect(signal).toBe('SIGKILL');
  const results = async () => {
    const entries = await journalled(world, publish.tag);
    return entries.filter((entry) => entry.what === what || entry.what === 'order.voided').map((entry) => entry.what);
  };
  const isDone = point === 'after-change' || point === 'after-result';
  expect(await results(), 'without a keeper (twin)').toEqual(point === 'after-result' ? [what] : []);
  const { redis, keys } = world;
  for (const who of ['pod-1', 'pod-2']) {
    await createIntentKeeper({ who, redis, keys, events: createEventHub(), ripeMs: 0 }).once();
    for await (const found of redis.scanStream({ match: `${world.prefix}:beat:*` }))
      if (found.length > 0) await redis.del(...(found as string[]));
  }
  expect(await results()).toEqual(point === 'before-intent' ? [] : [isDone ? what : 'order.voided']);
});

it('adopt of what a displaced owner left, whose giver is killed between two pages, is told with how far it came', async ({
  world,
}) => {
  const dir = await world.folder();
  await Promise.all([mkdir(join(dir, 'queues')), mkdir(join(dir, 'node_modules'))]);
  await symlink(ROOT, join(dir, 'node_modules', 'lanekeeper'));
  const text = `import { defineLane } from 'lanekeeper';\nexport const alone = defineLane({ name: 'alone', ownership: 'exclusive' });`;
  await writeFile(join(dir, 'queues', 'alone.mjs'), text);
  const alone = defineLane({ name: 'alone', ownership: 'exclusive' });
  await take(world, alone, 'cron');
  const items = Array.from({ length: 250 }, (_, n) => ({ payload: n }));
  await (await world.producer()).addMany(alone, items, { as: 'cron' });
  await take(world, alone, 'manual');
  await moveAside(ownedLane(alone, world.queue(alone), world.keys));
  const { signal, stderr } = spawnSync(
    process.execPath,
    [
      join(build.folder, 'src', 'main.js'),
      'owner',
      'alone',
      'adopt',
      '--of',
      'cron',
      '--reason',
      'moved',
      '--dir',
      dir,
    ],
    {
      cwd: ROOT,
      encoding: 'utf8',
      env: {
        ...process.env,
        REDIS_URL: world.redisUrl,
        LANEKEEPER_PREFIX: world.prefix,
        FAULTS_CRASH_AT: 'before-aside',
        FAULTS_CRASH_PASS: '2',
        FAULTS_CRASH_RECORD: join(dir, 'record'),
      },
    },
  );
  expect({ signal, stderr }).toEqual({ signal: 'SIGKILL', stderr: '' });
  expect((await journalled(world, 'alone')).map(({ what }) => what)).toEqual(['displaced.ordered']);
  const { redis, keys } = world;
  await createIntentKeeper({ who: 'pod-1', redis, keys, events: createEventHub(), ripeMs: 0 }).once();
  const [begun, ended, ...more] = await journalled(world, 'alone');
  expect(more).toEqual([]);
  expect(ended).toMatchObject({
    what: 'jobs.adopted',
    who: begun?.who,
    reason: 'moved',
    operation: begun?.operation,
    count: 100,
    isStopped: true,
    found: expect.stringContaining('150 of theirs still lie aside'),
  });
});
