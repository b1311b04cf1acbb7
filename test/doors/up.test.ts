// `up` and `npm start` as processes: everything comes up, what dies is started again, and whatever way they end, nothing is
// left behind.

import { spawn } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { type PodSeen, readPods } from '../../src/engine/presence.ts';
import { readRunning } from '../../src/store/embedded-running.ts';
import { it, type World } from '../support/world.ts';

const SLOW = { timeout: 40_000, interval: 100 };

async function fleet(world: World): Promise<string> {
  const dir = await world.folder();
  await Promise.all([mkdir(join(dir, 'queues')), mkdir(join(dir, 'workers'))]);
  await writeFile(
    join(dir, 'queues/a.mjs'),
    `import { defineLane, defineUpstream } from 'lanekeeper'; export const a = defineLane({ name: 'a', upstream: defineUpstream({ name: 'u', prices: {} }) });`,
  );
  await writeFile(
    join(dir, 'workers/a.mjs'),
    `import { handle } from 'lanekeeper'; import { a } from '../queues/a.mjs'; export const h = handle(a, { run: ({ payload }) => payload });`,
  );
  return dir;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function livePods(world: World, count: number): Promise<PodSeen[]> {
  return vi.waitFor(async () => {
    const pods = (await readPods(world.redis, world.keys)).filter((pod) => pod.isAlive && isAlive(pod.pid));
    expect(pods).toHaveLength(count);
    return pods;
  }, SLOW);
}

function listen(child: ReturnType<World['spawn']>): { stdout: string; stderr: string } {
  const heard = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    heard.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    heard.stderr += chunk;
  });
  return heard;
}

it('up runs pods and the API, warns once, starts a killed pod again, and leaves nothing on SIGTERM', {
  timeout: 90_000,
}, async ({ world }) => {
  const dir = await fleet(world);
  const up = world.spawn(['up', '--dir', dir, '--pods', '2']);
  const heard = listen(up);
  await vi.waitFor(() => expect(heard.stdout).toContain('  data '), SLOW);
  // Written before, but of two pipes either may be heard first.
  const warnings = () => heard.stderr.match(/prices is not built yet/g);
  await vi.waitFor(() => expect(warnings()).toHaveLength(1), SLOW);
  const api = /health\s+(\S+)\/healthz/.exec(heard.stdout)?.[1] as string;
  expect(await (await fetch(`${api}/healthz`)).json()).toMatchObject({ status: 'ok', role: 'api' });
  expect((await fetch(`${api}/readyz`)).status).toBe(200);
  await vi.waitFor(
    async () =>
      expect(await (await fetch(`${api}/metrics`)).text()).toMatch(/lanekeeper_pod_last_seen_timestamp_seconds\{pod=/),
    SLOW,
  );
  expect((await fetch(`${api}/nothing`)).headers.get('content-type')).toContain('application/problem+json');

  const before = await livePods(world, 2);
  const [victim] = before as [PodSeen, PodSeen];
  expect(await (await fetch(`${victim.metricsUrl}/metrics`)).text()).toContain('lanekeeper_build_info');
  process.kill(victim.pid, 'SIGKILL');
  await vi.waitFor(
    async () => expect((await livePods(world, 2)).map(({ pid }) => pid)).not.toContain(victim.pid),
    SLOW,
  );
  expect(heard.stderr).toContain('ended (SIGKILL); starting it again');

  const { id } = JSON.parse((await world.cli(['add', 'a', '{"x":1}', '--dir', dir, '--json'])).stdout) as {
    id: string;
  };
  await vi.waitFor(async () => {
    const why = JSON.parse((await world.cli(['why', 'a', id, '--dir', dir, '--json'])).stdout) as { state: string };
    expect(why.state).toBe('done');
  }, SLOW);

  expect(warnings()).toHaveLength(1);
  const pods = await livePods(world, 2);
  const gone = new Promise((resolve) => up.once('exit', resolve));
  up.kill('SIGTERM');
  expect(await gone).toBe(0);
  expect(pods.map(({ pid }) => isAlive(pid))).toEqual([false, false]);
});

it('up that is killed leaves no pod, no API and no Redis behind', { timeout: 90_000 }, async ({ world }) => {
  const dir = await fleet(world);
  // A server that was brought for the tests is not brought again.
  await symlink(join(ROOT, '.lanekeeper', 'server'), join(dir, 'server'));
  const up = world.spawn(['up', '--dir', dir, '--pods', '1'], { REDIS_URL: '', LANEKEEPER_DATA: dir });
  const heard = listen(up);
  await vi.waitFor(() => expect(heard.stdout).toContain('(embedded)'), SLOW);
  const running = await readRunning(dir);
  const found = await world.cli(['lanes', '--dir', dir], { REDIS_URL: '', LANEKEEPER_DATA: dir });
  expect({ code: found.code, stdout: found.stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('a ') });
  const second = await world.cliProcess(['up', '--dir', dir], { REDIS_URL: '', LANEKEEPER_DATA: dir });
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('(LK_DATA_BUSY)') });
  const children = [...(await childrenOf(up.pid as number)), running?.redisPid as number];
  expect(children.length).toBeGreaterThanOrEqual(3);
  up.kill('SIGKILL');
  await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), SLOW);
});

it('npm start shows the sample fleet at work, and the line it prints works as pasted', { timeout: 90_000 }, async ({
  world,
}) => {
  const dataDir = await world.folder();
  const start = spawn(process.execPath, [join(ROOT, 'scripts', 'start.js')], {
    cwd: ROOT,
    env: {
      ...process.env,
      REDIS_URL: world.redisUrl,
      LANEKEEPER_PREFIX: world.prefix,
      LANEKEEPER_DATA: dataDir,
      LANEKEEPER_PORT: '0',
      LANEKEEPER_METRICS_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = new Promise((resolve) => start.once('exit', resolve));
  world.defer(async () => {
    start.kill('SIGKILL');
    await gone;
  });
  const heard = listen(start);
  const line = await vi.waitFor(() => {
    const found = /^ +npx (lanekeeper add .+)$/m.exec(heard.stdout);
    expect(found).not.toBeNull();
    return found?.[1] as string;
  }, SLOW);
  const pasted = spawn('sh', ['-c', line.replace(/^lanekeeper/, `${process.execPath} dist/main.js`)], {
    cwd: ROOT,
    env: { ...process.env, REDIS_URL: world.redisUrl, LANEKEEPER_PREFIX: world.prefix },
  });
  let id = '';
  pasted.stdout.on('data', (chunk) => {
    id += chunk;
  });
  expect(await new Promise((resolve) => pasted.once('close', resolve))).toBe(0);
  await vi.waitFor(async () => {
    const why = JSON.parse((await world.cli(['why', 'publish', id.trim(), '--json'])).stdout) as { state: string };
    expect(why.state).toBe('done');
  }, SLOW);
  const upstream = /upstream (\S+)/.exec(heard.stdout)?.[1];
  expect(await (await fetch(`${upstream}/_sim/verdict?format=text`)).text()).not.toBe('');
  await vi.waitFor(async () => {
    const lanes = JSON.parse((await world.cli(['lanes', '--json'])).stdout) as { lane: string; done: number }[];
    expect(lanes.filter(({ done }) => done > 0).map(({ lane }) => lane)).toEqual([
      'check',
      'collect',
      'draft',
      'publish',
    ]);
  }, SLOW);
  start.kill('SIGTERM');
  expect(await gone).toBe(0);
});

async function childrenOf(pid: number): Promise<number[]> {
  const ps = spawn('ps', ['-o', 'pid=', '--ppid', String(pid)]);
  let text = '';
  ps.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => ps.once('close', resolve));
  return text.trim().split(/\s+/).map(Number);
}
