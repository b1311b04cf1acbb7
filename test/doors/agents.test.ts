// The command about agents, and what `why` and `add` tell of them: seen, registered, marked, cleared and removed; refused in one line.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Calendar } from '../../src/store/calendar/calendar.ts';
import { readBatch } from '../../src/store/journal-stream.ts';
import { forumOf, HOUR } from '../path/forum.ts';
import { type CliResult, it, type World } from '../support/world.ts';

const QUEUE = `
import { defineLane, defineUpstream } from 'lanekeeper';
export const forum = defineUpstream({ name: 'forum', agents: ['a1', 'a2', 'a10'] });
export const free = defineUpstream({ name: 'free' });
export const publish = defineLane({ name: 'publish', upstream: forum, agent: { cooldown: '2h' } });
export const reply = defineLane({ name: 'reply', upstream: forum, agent: { cooldown: '10m' } });
export const note = defineLane({ name: 'note', upstream: forum });
export const post = defineLane({ name: 'post', upstream: free, agent: { cooldown: '2h' } });
`;

async function fleet(world: World) {
  const dir = await world.folder();
  await mkdir(join(dir, 'queues'));
  await writeFile(join(dir, 'queues/publish.mjs'), QUEUE);
  const forum = await forumOf(world);
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

it('agents shows who may act when and why, who acts on what, and who waits, as a table and as JSON', async ({
  world,
}) => {
  const { forum, run, json } = await fleet(world);
  await forum.register();
  await forum.acts('a10', 'publish', 'job-1');
  const producer = await world.producer();
  for (const agent of ['a2', undefined, undefined]) await producer.add(forum.publish, null, { agent });
  const cooled = { next: forum.nowAt + HOUR, last: forum.nowAt - HOUR, source: 'policy', reason: '', acts: 4, ok: 0.8 };
  await world.redis.hset(world.keys.agent('forum', 'a2'), cooled);
  const { code, stdout, stderr } = await run('agents', 'forum');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^AGENT +STATE +NEXT WINDOW +LAST ACT +WHY +WAITING +ACTS +SUCCESS$/m);
  expect(stdout).toMatch(/^a1 +open +\d\d:\d\d:\d\d \(\S+ ago\) +- +- +0 +0 +-$/m);
  expect(stdout).toMatch(
    /^a2 +cooling +\d\d:\d\d:\d\d \(in (59m\S*|1h)\) +\d\d:\d\d:\d\d \(1h\S* ago\) +cooldown +1 +4 +80 %$/m,
  );
  expect(stdout).toMatch(/^a10 +acting +after this act +- +publish job-1 on p1 for \S+ +0 +0 +-$/m);
  expect(stdout).toMatch(/^forum cooldown +publish 2h, reply 10m$/m);
  expect(stdout).toMatch(/^forum any agent +2 of publish wait$/m);
  expect(stdout).toMatch(/^forum pods +none looks after them: no window is used$/m);
  expect(await json('agents', 'forum')).toMatchObject({
    upstream: 'forum',
    seenAt: expect.stringMatching(/Z$/),
    agents: [
      { agent: 'a1', state: 'open', lastAt: null },
      { agent: 'a2', nextAt: new Date(forum.nowAt + HOUR).toISOString(), waiting: 1 },
      { agent: 'a10', acting: { job: 'job-1', sinceAt: expect.stringMatching(/Z$/) } },
    ],
    lanes: [{ lane: 'publish', cooldownMs: 2 * HOUR, waiting: 2 }, { lane: 'reply' }],
  });
});

it('agents says when there are none, and who was named but is not registered', async ({ world }) => {
  const { run } = await fleet(world);
  expect(await run('agents', 'free')).toMatchObject({
    code: 0,
    stdout: '',
    stderr: 'free has no agents: lanekeeper agents free add NAME --reason ...\n',
  });
  const { stdout } = await run('agents', 'forum');
  expect(stdout).toMatch(/^forum not registered +a1, a2, a10: a pod that runs a lane of forum registers them$/m);
});

it('agents without an upstream counts those of each', async ({ world }) => {
  const { forum, run, json } = await fleet(world);
  await forum.register();
  await forum.acts('a10', 'publish', 'job-1');
  await world.redis.hset(world.keys.agent('forum', 'a2'), 'next', forum.nowAt + HOUR);
  await (await world.producer()).add(forum.publish, null);
  const { code, stdout, stderr } = await run('agents');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^UPSTREAM +AGENTS +OPEN +ACTING +COOLING +SILENT +NEXT OPENING +WAITING$/m);
  expect(stdout).toMatch(/^forum +3 +1 +1 +1 +0 +\d\d:\d\d:\d\d \(in \S+\) +1$/m);
  expect(stdout).toMatch(/^free +0 +0 +0 +0 +0 +- +0$/m);
  const nextAt = new Date(forum.nowAt + HOUR).toISOString();
  const counts = { upstream: 'forum', agents: 3, open: 1, acting: 1, cooling: 1, silent: 0, nextAt, waiting: 1 };
  expect(await json('agents')).toMatchObject([counts, { upstream: 'free', agents: 0, nextAt: null }]);
});

it('add, mark, clear and remove change what holds, are told with who and why, and `why` follows', async ({ world }) => {
  const { forum, run, json } = await fleet(world);
  await forum.register();
  const until = new Date(forum.nowAt + 3 * HOUR).toISOString();
  const order = async (...args: string[]) => {
    const { code, stdout, stderr } = await run('agents', 'forum', ...args);
    expect({ code, stderr: stderr.replace(/^its definition.*\n/, '') }).toEqual({ code: 0, stderr: '' });
    return stdout;
  };
  expect(await order('add', 'a33', '--meta', '{"pool":1}', '--reason', 'one more')).toBe(
    'registered a33 with forum; its window is open\n',
  );
  expect(await order('add', 'a33', '--reason', 'again')).toBe(
    'a33 was registered with forum before: a sign of life, and its metadata is replaced; its window is open\n',
  );
  expect((await run('agents', 'forum')).stdout).toMatch(/^forum heard +a33 \S+ ago$/m);
  expect(await order('mark', 'a33', '--until', until, '--reason', 'banned')).toBe(
    `marked a33 of forum: it acts no sooner than ${until}, for all pods\n`,
  );
  const added = await json<{ id: string; startsAt: string }>('add', 'publish', '{}', '--agent', 'a33');
  expect(added.startsAt).toBe(until);
  expect(await json('why', 'publish', added.id)).toMatchObject({
    gate: 'cooldown',
    untilAt: until,
    place: 1,
    because: expect.stringMatching(
      /^agent a33 opens in \S+, at \S+Z \(operator: banned\); 0 ahead of it; no running pod/,
    ),
    window: { agent: 'a33', opening: { opensAt: until } },
  });
  const sooner = new Date(forum.nowAt + 2 * HOUR).toISOString();
  expect(await order('mark', 'a33', '--until', sooner, '--reason', 'less')).toMatch(
    /; as before: only clearing lets it act sooner\n$/,
  );
  expect(await order('clear', 'a33', '--reason', 'lifted')).toMatch(
    /^cleared a33 of forum: it may act now; \S+ before its window would have opened\n$/,
  );
  expect(await order('remove', 'a33', '--reason', 'sold')).toBe(
    'removed a33 from forum; 1 job waits for it: parked until it is added again, or they are cancelled\n',
  );
  expect((await run('agents', 'forum')).stdout).toMatch(
    /^forum missing +1 job waits for a33, which is not registered: lanekeeper agents forum add a33 --reason \.\.\.$/m,
  );
  const { stdout } = await run('why', 'publish', added.id);
  expect(stdout).toMatch(/^because +agent a33 is not registered with forum: lanekeeper agents forum add a33 /m);
  expect(stdout).not.toMatch(/^until/m);
  expect((await run('agents', 'forum', 'remove', 'a1', '--reason', 'sold')).stderr).toMatch(
    /^its definition names it, and does not bring it back: to do so, lanekeeper agents forum add a1 /,
  );
  const who = expect.stringMatching(/.+@.+/);
  expect(await journal(world)).toMatchObject([
    { what: 'agent.ordered', who, agent: 'a33', order: 'add', reason: 'one more' },
    { order: 'mark', reason: 'banned', afterAt: forum.nowAt + 3 * HOUR },
    { order: 'mark', reason: 'less', beforeAt: forum.nowAt + 3 * HOUR },
    { order: 'clear', reason: 'lifted', beforeAt: forum.nowAt + 3 * HOUR },
    { order: 'remove', reason: 'sold', afterAt: null },
    { agent: 'a1', order: 'remove' },
  ]);
});

it('an agent with a heartbeat is used until it is silent, which agents and `why` tell, and again when heard', async ({
  world,
}) => {
  const { forum, run, json } = await fleet(world);
  const free = new Calendar(world.redis, world.keys, 'free', 'p1');
  await free.register([], { post: 2 * HOUR }, false, {});
  const addIt = () => run('agents', 'free', 'add', 'b1', '--heartbeat', '30s', '--reason', 'a service');
  expect((await addIt()).stdout).toBe('registered b1 with free; its window is open\n');
  expect((await run('agents', 'free')).stdout).toMatch(/^free heard +b1 \S+ ago, heartbeat 30s$/m);
  const ofAny = await json<{ id: string }>('add', 'post', '{}');
  // As if half a minute had passed.
  await world.redis.zadd(`${world.keys.upstream('free')}agent-due`, forum.nowAt, 'b1');
  await free.beat(['post'], []);
  const ofIt = await json<{ id: string; startsAt: null }>('add', 'post', '{}', '--agent', 'b1');
  expect(ofIt.startsAt).toBeNull();
  expect((await run('agents', 'free')).stdout).toMatch(
    /^b1 +silent +when heard +- +silent since \d\d:\d\d:\d\d \(.*\), heartbeat 30s +1 /m,
  );
  const silentSinceAt = expect.stringMatching(/Z$/);
  const seen = { agent: 'b1', state: 'silent', heartbeatMs: 30_000, silentSinceAt };
  expect(await json('agents', 'free')).toMatchObject({ agents: [seen] });
  expect((await run('why', 'post', ofIt.id)).stdout).toMatch(
    /^because +agent b1 is silent since \S+Z: it acts when it registers again, or: lanekeeper agents free add b1 --reason/m,
  );
  expect((await run('why', 'post', ofAny.id)).stdout).toMatch(
    /^because +all agents of free are silent \(1\): they act when they register again, or: lanekeeper agents free add NAME/m,
  );
  await addIt();
  expect(await json('agents', 'free')).toMatchObject({ agents: [{ state: 'open', silentSinceAt: null }] });
  expect(await json('why', 'post', ofIt.id)).toMatchObject({ because: expect.stringMatching(/agent b1 is open/) });
});

it('add of a job that nobody can do yet is taken, and says how to find out', async ({ world }) => {
  const { run } = await fleet(world);
  const { code, stdout, stderr } = await run('add', 'post', '{}');
  expect(code).toBe(0);
  expect(stderr).toBe(`post: parked; nobody knows when it starts: see 'lanekeeper why post ${stdout.trim()}'\n`);
  expect((await run('why', 'post', stdout.trim())).stdout).toMatch(
    /^because +free has no agents: lanekeeper agents free add NAME --reason \.\.\.; no running pod has this lane$/m,
  );
});

it('what is wrong is refused in one line, by name, and changes nothing', async ({ world }) => {
  const { forum, run } = await fleet(world);
  await forum.register();
  const { seenAt: _, ...before } = await forum.look();
  const cases: [string, number, RegExp][] = [
    ['agents nowhere', 1, /no upstream "nowhere" in .*: expected one of forum, free \(LK_UNKNOWN\)/],
    ['agents --reason r', 2, /'agents' takes no --reason/],
    ['agents forum rename a1 --reason r', 2, /choices are add, remove, mark, clear/],
    ['agents forum add --reason r', 2, /'agents forum add' needs an agent/],
    ['agents forum add a3', 2, /'agents forum add' needs --reason/],
    ['agents forum mark a1 --reason r', 2, /needs --until/],
    ['agents forum clear a1 --until 2099-01-01T00:00:00Z --reason r', 2, /takes no --until/],
    ['agents forum remove a1 --meta {} --reason r', 2, /takes no --meta/],
    ['agents forum remove a1 --heartbeat 30s --reason r', 2, /takes no --heartbeat/],
    [
      'agents forum add a3 --heartbeat soon --reason r',
      1,
      /heartbeat: expected a duration such as .*, at least '1s', got "soon" \(LK_INPUT\)/,
    ],
    ['agents forum add a3 --heartbeat 999ms --reason r', 1, /heartbeat: expected .*, at least '1s', got "999ms"/],
    ['agents forum --reason r', 2, /takes no --reason/],
    ['agents forum add --a-b --reason r', 2, /unknown option|needs an agent/],
    ['agents forum add a/b --reason r', 1, /agent: expected 1 to 128 letters.*, got "a\/b" \(LK_INPUT\)/],
    ['agents forum add a3 --meta { --reason r', 1, /--meta: expected JSON, got "\{"/],
    ['agents forum mark a1 --until tomorrow --reason r', 1, /until: expected an instant such as .*, got "tomorrow"/],
    ['agents forum mark a1 --until 2020-01-01T00:00:00Z --reason r', 1, /until: expected an instant that is to come/],
    ['agents forum clear a9 --reason r', 1, /has no agent "a9": expected one of a1, a2, a10; to register it: /],
    [
      'add publish {} --agent a9',
      1,
      /upstream "forum" has no agent "a9": expected one of a1, a2, a10; .* \(LK_UNKNOWN/,
    ],
    [
      'add note {} --agent a1',
      1,
      /agent: expected nothing, for the jobs of lane "note" act as no agent \(leave it out, or .*, got "a1" \(LK_INPUT/,
    ],
  ];
  for (const [line, code, said] of cases) {
    const result = await run(...line.split(' '));
    expect({ line, code: result.code, stdout: result.stdout }).toEqual({ line, code, stdout: '' });
    expect(result.stderr.trim().split('\n'), line).toHaveLength(1);
    expect(result.stderr, line).toMatch(said);
  }
  expect(await forum.look()).toMatchObject(before);
  expect(await journal(world)).toEqual([]);
});
