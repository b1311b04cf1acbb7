// The command about limits, and what `why` and `doctor` tell of them: seen, changed while all runs, kept, reset; refused in one line.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { checkLimits } from '../../src/doors/cli/doctor/limits.ts';
import type { LimitsSeen } from '../../src/path/limit-look.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { LIMIT_DRIVERS } from '../../src/words/limit.ts';
import { BY_AGENT, COUNT, limit, limitedUpstream, SLOTS } from '../path/limited-upstream.ts';
import { ownUses } from '../store/own-uses.ts';
import { type CliResult, it, type World } from '../support/world.ts';

const PLAN = { driver: 'scripts', limits: [SLOTS, COUNT], travelMs: 100 };
const QUEUE = `
import { defineLane, defineUpstream } from 'lanekeeper';
const limits = { value: ${JSON.stringify(PLAN)}, enumerable: true };
const api = (name, more) => Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(defineUpstream({ name })), ...more });
export const forum = api('forum', { limits });
export const free = api('free', {});
export const publish = defineLane({ name: 'publish', upstream: forum });
`;
const WORKER = `
import { handle } from 'lanekeeper';
import { publish } from '../queues/publish.mjs';
export const publisher = handle(publish, { run() {} });
`;

async function fleet(world: World) {
  const dir = await world.folder();
  await mkdir(join(dir, 'queues'));
  await mkdir(join(dir, 'workers'));
  await writeFile(join(dir, 'queues/publish.mjs'), QUEUE);
  await writeFile(join(dir, 'workers/publish.mjs'), WORKER);
  const forum = await limitedUpstream(world);
  const run = (...args: string[]): Promise<CliResult> => world.cli([...args, '--dir', dir]);
  const json = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => {
    const { code, stdout, stderr } = await run(...args, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as T;
  };
  return { forum, run, json };
}

async function journal({ redis, keys }: World) {
  const entries = await redis.xrange(keys.journal('forum'), '-', '+');
  return entries.flatMap(([id, fields]) => readBatch(id, fields));
}

it('limits shows use, size, holds, orders, who waits and where pods differ, as a table and as JSON', async ({
  world,
}) => {
  const { forum, run, json } = await fleet(world);
  await forum.say('p1', [SLOTS, COUNT]);
  await forum.say('p2', [limit('concurrent', 4), COUNT]);
  await forum.hold({ 'publish|p1': 2 });
  await forum.wait('publish|p1', 3_000, 5);
  await forum.set({
    hold: forum.nowAt + 3_600_000,
    held: JSON.stringify({ reason: '429', who: 'p1', at: forum.nowAt }),
    'set:per-1m': JSON.stringify({ size: 30, who: 'ann@desk', reason: 'slow', at: forum.nowAt, until: null }),
  });
  const { code, stdout, stderr } = await run('limits');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^UPSTREAM +LIMIT +USE +IN USE +SIZE +BY LANE +NOTE$/m);
  expect(stdout).toMatch(/^forum +concurrent +█{7}░{3} +2 +3 +publish 2 +-$/m);
  expect(stdout).toMatch(/^forum +per-1m +░{10} +0 +30 +- +30, not 60, by order of ann@desk until it is reset: slow$/m);
  expect(stdout).toMatch(/^forum hold +nobody is let through for \S+ more, told by p1: 429$/m);
  expect(stdout).toMatch(/^ +to end it now: lanekeeper limits forum reset hold --reason \.\.\.$/m);
  expect(stdout).toMatch(/^forum waiting +1\. publish on p1 asks ahead, no job waits there, for \S+$/m);
  expect(stdout).toMatch(/^forum drift +concurrent is 3 on p1; 4 on p2: the stricter holds$/m);
  expect(stdout).not.toContain('free');
  expect(await json('limits', 'forum')).toMatchObject({
    upstream: 'forum',
    seenAt: expect.stringMatching(/Z$/),
    limits: [{ limit: 'concurrent', inUse: 2, size: 3 }, { override: { setAt: expect.stringMatching(/Z$/) } }],
    hold: { untilAt: expect.stringMatching(/Z$/), reason: '429' },
    waiting: [{ lane: 'publish', place: 1, want: 5, hasWork: false }],
  });
  expect((await run('add', 'publish', 'null')).code).toBe(0);
  expect((await run('limits')).stdout, 'twin: with a job').toMatch(
    /^forum waiting +1\. publish on p1 wants 5, for \S+$/m,
  );
  expect((await json<unknown[]>('limits')).length).toBe(2);
  expect(await run('limits', 'free')).toMatchObject({ code: 0, stdout: '', stderr: 'free has no limits\n' });
});

it('limits shows the ten fullest agents, what of it is under way by lane, and says that there are more', async ({
  world,
}) => {
  const { forum, run, json } = await fleet(world);
  await forum.say('p1', [BY_AGENT]);
  const own = await ownUses(world, [BY_AGENT], 'forum');
  const use = (agent: string, id: number) => ({ limit: BY_AGENT, agent, id: `publish|${id}|p1|0`, amount: 1 });
  for (let n = 0; n < 12; n++) await own.take([use(`a${10 + n}`, n)]);
  await own.take([use('a15', 12)]);
  await own.settle([{ ...use('a15', 12), what: 'settle' }]);
  const { stdout } = await run('limits', 'forum');
  expect(stdout).toMatch(/^forum +per-1h-by-agent +█{10} +2 \(a15\) +2 +publish 1 +-$/m);
  expect(stdout).toMatch(/^forum +per-1h-by-agent +█{5}░{5} +1 \(a10\) +2 +publish 1 +-$/m);
  expect(stdout.match(/per-1h-by-agent +█/g)).toHaveLength(10);
  expect(stdout).toMatch(/^forum agents +2 more use per-1h-by-agent, none of them more$/m);
  expect(await json('limits', 'forum')).toMatchObject({
    limits: [{ agent: 'a15', inUse: 2, underWay: 1, freesAt: expect.stringMatching(/Z$/), agents: { length: 12 } }],
  });
});

it('reset hold ends a hold for all pods, once, and says of whom it was', async ({ world }) => {
  const { forum, run } = await fleet(world);
  await forum.say('p1', [SLOTS]);
  await forum.set({
    hold: forum.nowAt + 3_600_000,
    held: JSON.stringify({ reason: '429 Retry-After', who: 'p1', at: forum.nowAt }),
  });
  const ended = await run('limits', 'forum', 'reset', 'hold', '--reason', 'they lifted it');
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(
    /^ended the hold of forum, for all pods; \S+ before its end, told by p1: 429 Retry-After\n$/,
  );
  expect((await run('limits', 'forum')).stdout).not.toContain('forum hold');
  const again = await run('limits', 'forum', 'reset', 'hold', '--reason', 'again');
  expect(again).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/not held: expected a hold to end/),
  });
  expect(await journal(world)).toMatchObject([{ what: 'limit.released', reason: 'they lifted it', toldBy: 'p1' }]);
});

it('set and reset change what holds, are told with who and why, and `why` follows', async ({ world }) => {
  const { forum, run, json } = await fleet(world);
  await forum.say('p1', [SLOTS, COUNT]);
  await forum.hold({ 'publish|p1': 2 });
  const set = await run('limits', 'forum', 'set', 'concurrent', '1', '--reason', 'they are slow', '--for', '30m');
  expect({ code: set.code, stderr: set.stderr }).toEqual({ code: 0, stderr: '' });
  expect(set.stdout).toMatch(
    /^set concurrent of forum from 3 to 1, for all pods; until \S+Z; 2 are in use: nothing new is granted until fewer than 1 are\n$/,
  );
  const pod = {
    pid: 1,
    host: 'h',
    lanes: ['publish'],
    concurrency: 1,
    state: 'running',
    seenAt: forum.nowAt + 3_600_000,
  };
  await world.redis.hset(
    world.keys.pods(),
    'p1',
    JSON.stringify({ ...pod, startedAt: 0, metricsUrl: null, prints: {} }),
  );
  const { id } = await json<{ id: string }>('add', 'publish', '{}');
  expect(await json('why', 'publish', id)).toMatchObject({
    gate: 'limit',
    place: 1,
    untilAt: null,
    because: '2 of 1 concurrent are in use (publish on p1 2); 0 ahead of it in its lane',
    limit: { limits: [{ limit: 'concurrent', size: 1, definedSize: 3, override: { reason: 'they are slow' } }] },
  });
  expect((await run('why', 'publish', id)).stdout).toMatch(/^gate +limit$/m);
  const raised = await run('limits', 'forum', 'set', 'concurrent', '5', '--reason', 'they said so');
  expect(raised.stdout).toBe('set concurrent of forum from 1 to 5, for all pods; more than the 3 of its definition\n');
  expect(await json('why', 'publish', id)).toMatchObject({ gate: null });

  const reset = await run('limits', 'forum', 'reset', '--reason', 'well again');
  expect(reset).toMatchObject({ code: 0, stdout: 'reset concurrent of forum from 5 to 3\n' });
  const again = await run('limits', 'forum', 'reset', 'concurrent', '--reason', 'well again');
  expect(again).toMatchObject({ code: 0, stdout: '', stderr: 'forum: nothing changed: no order stood\n' });
  const who = expect.stringMatching(/.+@.+/);
  expect((await journal(world)).filter(({ what }) => what.startsWith('limit.'))).toMatchObject([
    { what: 'limit.set', who, upstream: 'forum', limit: 'concurrent', reason: 'they are slow', before: 3, after: 1 },
    { what: 'limit.set', who, before: 1, after: 5, defined: 3, untilAt: null },
    { what: 'limit.reset', who, before: 5, after: 3, reason: 'well again' },
  ]);
});

it('what is wrong is refused in one line, by name, and changes nothing', async ({ world }) => {
  const { forum, run } = await fleet(world);
  await forum.say('p1', [SLOTS, COUNT]);
  const before = await world.redis.hgetall(world.keys.limits('forum'));
  const cases: [string, number, RegExp][] = [
    ['limits nowhere', 1, /no upstream "nowhere" in .*: expected one of forum, free \(LK_UNKNOWN\)/],
    ['limits forum set per-1h 3 --reason r', 1, /no limit "per-1h": expected one of concurrent, per-1m \(LK_UNKNOWN\)/],
    [
      'limits forum set concurrent 0 --reason r',
      1,
      /expected a whole number from 1 .*pause its lanes\), got 0 \(LK_INPUT/,
    ],
    ['limits forum set concurrent -2 --reason r', 1, /got -2 /],
    ['limits forum set concurrent NaN --reason r', 1, /got "NaN" /],
    ['limits forum set concurrent 2 --reason r --for soon', 1, /for: expected a duration .*, got "soon"/],
    ['limits free set concurrent 2 --reason r', 1, /upstream "free" has no limits/],
    ['limits forum set concurrent 2', 2, /'limits forum set' needs --reason/],
    ['limits forum set concurrent --reason r', 2, /needs a value/],
    ['limits forum reset concurrent 3 --reason r', 2, /takes no value, got "3"/],
    ['limits forum reset --reason r --for 3m', 2, /takes no --for/],
    ['limits forum --reason r', 2, /takes no --reason/],
    ['limits forum raise concurrent 3 --reason r', 2, /choices are set, reset/],
  ];
  for (const [line, code, said] of cases) {
    const result = await run(...line.split(' '));
    expect({ line, code: result.code, stdout: result.stdout }).toEqual({ line, code, stdout: '' });
    expect(result.stderr.trim().split('\n'), line).toHaveLength(1);
    expect(result.stderr, line).toMatch(said);
  }
  expect(await world.redis.hgetall(world.keys.limits('forum'))).toEqual(before);
  expect(await journal(world)).toEqual([]);
});

describe('doctor', () => {
  const seen = (facts: Partial<LimitsSeen>): LimitsSeen => ({
    upstream: 'forum',
    seenAt: 1_000_000,
    driver: 'scripts',
    limits: [{ limit: 'per-1m', size: 60, definedSize: 60, override: null } as LimitsSeen['limits'][number]],
    hold: null,
    closedUntilAt: null,
    waiting: [],
    drift: [],
    split: null,
    unused: [],
    ...facts,
  });

  it('says one line each for drift, orders and holds; and one when all is well', () => {
    expect(checkLimits([seen({ limits: [] })])).toEqual([]);
    expect(checkLimits([seen({}), seen({ upstream: 'model' })])).toEqual([
      { check: 'limits', status: 'ok', says: 'as defined, and nothing is held: forum, model' },
    ]);
    const override = { size: 9, who: 'ann', reason: 'r', setAt: 0, untilAt: 1_060_000 };
    const limits = [{ ...(seen({}).limits[0] as LimitsSeen['limits'][number]), size: 9, override }];
    const sizes = [
      { size: 3, pods: ['a'] },
      { size: null, pods: ['b'] },
    ];
    const findings = checkLimits([
      seen({ drift: [{ limit: 'concurrent', sizes }], limits, unused: [{ limit: 'gone', ...override }] }),
      seen({ upstream: 'model', hold: { untilAt: 1_002_000, who: null, reason: null }, closedUntilAt: 1_005_000 }),
    ]);
    expect(findings.map(({ status, says }) => `${status} ${says}`)).toEqual([
      'warn pods differ: forum concurrent is 3 on a; none on b: the stricter holds',
      'ok forum per-1m is 9, not 60, by order of ann for 1m more: r',
      'warn forum has an order of ann for gone, which no definition has',
      'warn model: what was in use is not known (a first start, a Redis that lost it, or the other driver kept it): nothing is granted for 5s more',
      'warn model: nobody is let through for 2s more, told: no reason given',
    ]);
    const lane = { name: 'publish', requests: 61, upstream: { name: 'forum' } };
    const sized = { limit: 'concurrent', kind: 'concurrent', size: 3, definedSize: 3, override: null };
    const slots = sized as LimitsSeen['limits'][number];
    expect(checkLimits([seen({ limits: [slots] })], [lane])).toMatchObject([
      {
        status: 'fail',
        says: 'forum: lane publish needs 61 concurrent at once (its requests), and 3 is all there is: it never runs',
      },
    ]);
    expect(checkLimits([seen({ limits: [slots] })], [{ ...lane, requests: 3 }])).toMatchObject([{ status: 'ok' }]);
    for (const { status, todo } of findings) expect(todo !== undefined).toBe(status !== 'ok');
  });

  it('looks at the limits of its folder', async ({ world }) => {
    const { forum, run } = await fleet(world);
    await forum.say('p1', [SLOTS, COUNT]);
    expect((await run('doctor')).stdout).toMatch(/^ok {4}limits +as defined, and nothing is held: forum$/m);
    await run('limits', 'forum', 'set', 'per-1m', '30', '--reason', 'slow');
    expect((await run('doctor')).stdout).toMatch(
      /^ok {4}limits +forum per-1m is 30, not 60, by order of \S+@\S+ until it is reset: slow$/m,
    );
  });
});

it('the sample fleet has an upstream on either driver', async ({ world }) => {
  const { code, stdout } = await world.cli(['limits', '--json', '--dir', ROOT]);
  const seen = JSON.parse(stdout) as LimitsSeen[];
  const limited = seen.filter(({ limits }) => limits.length > 0);
  expect({ code, drivers: new Set(limited.map(({ driver }) => driver)) }).toEqual({
    code: 0,
    drivers: new Set(LIMIT_DRIVERS),
  });
});

it('add says what a job waits for where the limit is full, until when where that is known, and invents no instant', async ({
  world,
}) => {
  const { forum, run, json } = await fleet(world);
  // Heard of for as long as this takes.
  const pod = {
    pid: 1,
    host: 'h',
    lanes: ['publish'],
    concurrency: 8,
    state: 'running',
    startedAt: 0,
    metricsUrl: null,
  };
  const beat = { ...pod, version: '0', prints: {}, skewMs: 0, seenAt: forum.nowAt + 30_000 };
  await world.redis.hset(world.keys.pods(), 'p1', JSON.stringify(beat));
  await forum.say('p1', [SLOTS, COUNT]);
  expect((await run('add', 'publish', 'null')).stderr, 'twin: with room').toContain('publish: waiting; starts now');
  await forum.hold({ 'publish|p1': 1, 'collect|p2': 2 });
  await forum.wait('collect|p2', 1_000);
  expect((await run('add', 'publish', 'null')).stderr).toContain(
    'publish: waiting; waits for limit concurrent of forum, behind collect',
  );
  expect(await json('add', 'publish', 'null')).toMatchObject({ state: 'waiting', startsAt: null });
  await forum.set({ hold: forum.nowAt + 3_600_000, held: JSON.stringify({ reason: '429', who: 'p1', at: 1 }) });
  expect((await run('add', 'publish', 'null')).stderr).toMatch(
    /forum lets nobody through for \S+ more: it starts then/,
  );
  expect(await json('add', 'publish', 'null')).toMatchObject({
    startsAt: new Date(forum.nowAt + 3_600_000).toISOString(),
  });
});
