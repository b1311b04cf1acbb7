// The commands about owners, as people and programs call them.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Finding } from '../../src/doors/cli/doctor/finding.ts';
import { checkOwners } from '../../src/doors/cli/doctor/owners.ts';
import { checkReplicas } from '../../src/doors/cli/doctor/replicas.ts';
import { defineLane } from '../../src/index.ts';
import { moveAside, ownedLane } from '../../src/path/aside.ts';
import { freePort } from '../../src/store/embedded-server.ts';
import { readInfo } from '../../src/store/redis-info.ts';
import { whoami } from '../../src/words/whoami.ts';
import { dumpOf } from '../store/ownership/suite.ts';
import { it, type World } from '../support/world.ts';

async function folder(world: World): Promise<string> {
  const dir = await world.folder();
  await mkdir(join(dir, 'queues'));
  await writeFile(
    join(dir, 'queues/a.mjs'),
    `import { defineLane, defineUpstream } from 'lanekeeper';
const forum = defineUpstream({ name: 'forum' });
const one = { upstream: forum, agent: { cooldown: '1h' }, ownership: 'exclusive' };
export const publish = defineLane({ name: 'publish', ...one });
export const reply = defineLane({ name: 'reply', ...one });
export const open = defineLane({ name: 'open' });`,
  );
  return dir;
}

it('take, owner and release say who has which lanes until when; what is wrong is one line with 1 and changes nothing', {
  timeout: 60_000,
}, async ({ world }) => {
  const dir = await folder(world);
  const run = (...args: string[]) => world.cli([...args, '--dir', dir]);
  const nobody = await run('owner', 'publish');
  expect(nobody.stdout).toContain('nobody; to take it: lanekeeper take publish --as manual --reason WHY');

  const taken = await run('take', 'publish', '--as', 'manual', '--reason', 'backfill', '--for', '2h');
  expect({ code: taken.code, stderr: taken.stderr }).toEqual({ code: 0, stderr: '' });
  expect(taken.stdout).toMatch(/^taken until .* \(in (2h|1h59m\d*s?|1h59m)\) by manual of \S+@\S+: publish, reply\n$/);
  const seen = JSON.parse((await run('owner', 'reply', '--json')).stdout);
  expect(seen).toMatchObject({
    lane: 'reply',
    lanes: ['publish', 'reply'],
    owner: { as: 'manual', reason: 'backfill' },
  });
  expect(seen.owner.untilAt).toMatch(/^\d{4}-.*Z$/);

  const lanes = JSON.parse((await run('lanes', '--json')).stdout);
  expect(lanes).toMatchObject([
    { lane: 'open', ownership: 'open', owner: null },
    { lane: 'publish', ownership: 'exclusive', owner: { as: 'manual', untilAt: seen.owner.untilAt } },
    { lane: 'reply', owner: { token: seen.owner.token } },
  ]);
  expect((await run('lanes')).stdout).toMatch(/\nreply .*owned by manual of \S+@\S+ until /);

  const before = await dumpOf([world.redis], world.prefix);
  const wrong: [string[], RegExp, number][] = [
    [
      ['take', 'reply', '--as', 'cron', '--reason', 'at 3'],
      /lane "reply" is owned by manual of .* for: backfill; .*\(LK_OWNED\)/,
      1,
    ],
    [['take', 'nolane', '--as', 'cron', '--reason', 'r'], /no lane "nolane"/, 1],
    [['take', 'open', '--as', 'cron', '--reason', 'r'], /expected an exclusive lane, got an open one/, 1],
    [['take', 'publish', '--as', 'manual', '--reason', ''], /reason: expected/, 1],
    [['take', 'publish', '--as', 'manual', '--reason', 'r', '--for', '-5m'], /for: expected/, 1],
    [['take', 'publish', '--as', 'manual', '--reason', 'r', '--for', '99999d'], /for: expected/, 1],
    [
      ['release', 'publish', '--as', 'cron'],
      /owned by manual of .*, not by cron of .*'lanekeeper take publish --as manual --reason \.\.\. --force'/,
      1,
    ],
    [['take', 'publish', '--as', 'manual'], /--reason.*\(see 'lanekeeper take --help'\)/, 2],
  ];
  const answers = await Promise.all(wrong.map(([args]) => run(...args)));
  for (const [place, { code, stdout, stderr }] of answers.entries()) {
    const [args, said, status] = wrong[place] as (typeof wrong)[number];
    expect({ args, code, stdout }).toEqual({ args, code: status, stdout: '' });
    expect(stderr).toMatch(said);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
  expect(await dumpOf([world.redis], world.prefix)).toBe(before);

  const forced = await run('take', 'reply', '--as', 'cron', '--reason', 'at 3', '--force');
  expect(forced.code).toBe(0);
  expect(forced.stderr).toMatch(/^displaced manual of \S+, who had it since \S+ until \S+, for: backfill\n$/);
  const released = JSON.parse((await run('release', 'publish', '--as', 'cron', '--reason', 'done', '--json')).stdout);
  const told = await run('timeline', '--lane', 'reply', '--since', '1m');
  expect(told.stdout).toMatch(
    /> publish, reply taken by manual for 2h: backfill .*\n(?:.*\n)*.*> publish, reply released by cron/,
  );
  expect(released).toMatchObject({ lanes: ['publish', 'reply'], as: 'cron', reason: 'at 3' });
});

it('with a majority of lock servers down, owner answers from the record and says so, and take and release are refused', {
  timeout: 60_000,
}, async ({ world }) => {
  const dir = await folder(world);
  await world.cli(['take', 'publish', '--as', 'manual', '--reason', 'backfill', '--dir', dir]);
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const urls = ports.map((port) => `redis://127.0.0.1:${port}`);
  const run = (...args: string[]) => world.cli([...args, '--dir', dir], { LANEKEEPER_LOCK_URLS: urls.join(',') });
  const before = await dumpOf([world.redis], world.prefix);
  const said =
    '0 of 3 lock servers answer, expected 2: this is what Redis recorded last; its owner feeds it until the term ends, and ' +
    'nobody can take it or give it back before a majority answers';
  const { code, stdout, stderr } = await run('owner', 'publish');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^owner +manual of /m);
  expect(stdout).toMatch(new RegExp(`^lock servers +${said}$`, 'm'));
  expect(JSON.parse((await run('owner', 'publish', '--json')).stdout)).toMatchObject({
    owner: { as: 'manual' },
    servers: { count: 3, majority: 2, answering: 0 },
    undecided: said,
  });
  for (const order of [['take', '--reason', 'more'], ['release']]) {
    const refused = await run(order[0] as string, 'publish', '--as', 'manual', ...order.slice(1));
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^error: publish: not (taken|released): expected 2 of 3 lock servers to agree.*\n$/);
  }
  expect(await dumpOf([world.redis], world.prefix)).toBe(before);
  // Where this Redis decides, nothing is said of lock servers.
  expect(JSON.parse((await world.cli(['owner', 'publish', '--json', '--dir', dir])).stdout)).toMatchObject({
    owner: { as: 'manual' },
    servers: null,
    undecided: null,
  });
});

it('doctor knows what replicas and Sentinels need, and says nothing where there are none', async ({ world }) => {
  const info = await readInfo(world.redis);
  const look = (fields: Record<string, string>, toWrite?: string, maxLag?: string, hasSentinel = false) => {
    const [finding] = checkReplicas(new Map([...info, ...Object.entries(fields)]), hasSentinel, { toWrite, maxLag });
    return finding && { status: finding.status, todo: finding.todo };
  };
  const two = { connected_slaves: '2' };
  expect(look({}, '0', '10')).toBeUndefined();
  expect(look(two, '0', '10')).toEqual({ status: 'fail', todo: 'set min-replicas-to-write 1' });
  expect(look({}, '0', '10', true)).toEqual({ status: 'fail', todo: 'set min-replicas-to-write 1' });
  expect(look(two, '1', '10')).toEqual({ status: 'fail', todo: 'set min-replicas-max-lag 4' });
  expect(look(two, '1', '0')).toEqual({ status: 'fail', todo: 'set min-replicas-max-lag 4' });
  expect(look(two, '1', '4')).toEqual({ status: 'ok', todo: undefined });
  expect(look(two)).toMatchObject({ status: 'warn' });
  expect(look({ role: 'slave' }, '1', '4')).toEqual({ status: 'fail', todo: 'name its master in REDIS_URL' });
});

it('doctor tells who owns each group, warns of what waits for an owner that has not the lane, and names the one pod', {
  timeout: 60_000,
}, async ({ world }) => {
  const dir = await folder(world);
  await writeFile(
    join(dir, 'queues/b.mjs'),
    `import { defineLane } from 'lanekeeper';
export const single = defineLane({ name: 'single', pods: 'one' });
export const alone = defineLane({ name: 'alone', ownership: 'exclusive' });`,
  );
  await mkdir(join(dir, 'workers'));
  await writeFile(
    join(dir, 'workers/all.mjs'),
    `import { handle } from 'lanekeeper';
import * as a from '../queues/a.mjs';
import * as b from '../queues/b.mjs';
const run = () => 'done';
const handlers = [a.publish, a.reply, a.open, b.single, b.alone].map((lane) => handle(lane, { run }));
export const [publish, reply, open, single, alone] = handlers;`,
  );
  const run = (...args: string[]) => world.cli([...args, '--dir', dir]);
  const doctor = async () => {
    const findings = JSON.parse((await run('doctor', '--json')).stdout) as Finding[];
    return findings.filter(({ check }) => ['owner', 'one pod', 'lock servers'].includes(check));
  };
  expect(await doctor()).toEqual([
    { check: 'owner', status: 'ok', says: 'publish, reply: nobody' },
    { check: 'owner', status: 'ok', says: 'alone: nobody' },
    { check: 'one pod', status: 'warn', says: 'no pod runs single', todo: "start one: 'lanekeeper worker'" },
  ]);
  // As if cron had fed what then was moved aside.
  await run('take', 'alone', '--as', 'cron', '--reason', 'at 3');
  await run('add', 'alone', '1', '--as', 'cron');
  await run('add', 'alone', '2', '--as', 'cron');
  await run('take', 'alone', '--as', 'manual', '--reason', 'backfill', '--force');
  const alone = defineLane({ name: 'alone', ownership: 'exclusive' });
  await moveAside(ownedLane(alone, world.queue(alone), world.keys));
  const turn = world.keys.run({ name: 'single', tag: 'single' });
  await world.redis.hset(turn, { pod: 'p1', until: String(Date.now() + 60_000) });
  const who = whoami();
  expect(await doctor()).toEqual([
    { check: 'owner', status: 'ok', says: 'publish, reply: nobody' },
    {
      check: 'owner',
      status: 'ok',
      says: expect.stringMatching(/^alone: manual of \S+ since \S+Z, until \S+Z, for: backfill$/),
    },
    {
      check: 'owner',
      status: 'warn',
      says: `alone: 2 jobs lie aside for cron of ${who}, and manual of ${who} has it`,
      todo: expect.stringContaining(`lanekeeper owner alone adopt|drop --of cron:${who} --reason ...`),
    },
    { check: 'one pod', status: 'ok', says: 'single is run by p1' },
  ]);
  // They come back by themselves: nothing to warn of (twin).
  await run('take', 'alone', '--as', 'cron', '--reason', 'again', '--force');
  expect((await doctor()).filter(({ status }) => status !== 'ok')).toEqual([]);
  expect(checkOwners({ groups: [], turns: [] }), 'a folder without such lanes').toEqual([]);
});

it('doctor tells how many lock servers answer', () => {
  const seen = (answering: number) => {
    const servers = { count: 3, majority: 2, answering };
    const group = { lane: 'a', lanes: ['a'], owner: null, last: null, seenAt: 0, undecided: null, aside: [], servers };
    return checkOwners({ groups: [group], turns: [] })[0]?.status;
  };
  expect([3, 2, 1].map(seen)).toEqual(['ok', 'warn', 'fail']);
});
