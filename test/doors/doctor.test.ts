// doctor: one line per check with what to do, and non-zero if any fails. Every check is shown well and ill; the pods' part is
// shown with real pods whose clocks and definitions differ.

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import type { Finding } from '../../src/doors/cli/doctor/finding.ts';
import { checkCommand, checkFiles, checkNode, checkServer, readFileLimit } from '../../src/doors/cli/doctor/machine.ts';
import { checkClock, checkPods } from '../../src/doors/cli/doctor/pods.ts';
import {
  checkConnections,
  checkEviction,
  checkMemory,
  checkPersistence,
  checkVersion,
} from '../../src/doors/cli/doctor/redis.ts';
import { fingerprint } from '../../src/engine/fingerprint.ts';
import { type PodSeen, readPods } from '../../src/engine/presence.ts';
import { defineLane, handle } from '../../src/index.ts';
import { thisMachine } from '../../src/store/redis-server-machine.ts';
import { systemClock } from '../../src/words/clock.ts';
import { RETRYING } from '../path/looking.ts';
import { adminOf, privateRedis } from '../path/private-redis.ts';
import { it, type World } from '../support/world.ts';

const info = (facts: Record<string, string | number>) =>
  new Map(Object.entries(facts).map(([name, value]) => [name, String(value)]));
const MIB = 2 ** 20;
const limited = (used: number) => info({ used_memory: used * MIB, maxmemory: 100 * MIB, total_system_memory: 1e12 });
const aof = { aof_enabled: 1, aof_last_write_status: 'ok', aof_last_bgrewrite_status: 'ok' };

const CASES: [Finding['status'], RegExp, Finding][] = [
  ['ok', /v20\.19/, checkNode('v20.19.0')],
  ['ok', /v22/, checkNode('v22.1.0')],
  ['fail', /20\.19 or newer/, checkNode('v20.18.9')],
  ['fail', /512 .*ulimit -n/, checkFiles(512, 64)],
  ['warn', /2048 .*LimitNOFILE/, checkFiles(2_048, 64)],
  ['warn', /want 20200/, checkFiles(8_192, 10_000)],
  ['ok', /65536 per process/, checkFiles(65_536, 64)],
  ['ok', /does not say/, checkFiles(undefined, 64)],
  ['fail', /6\.0\.16; install 6\.2/, checkVersion(info({ redis_version: '6.0.16' }))],
  ['warn', /7\.0\.15 is past its support/, checkVersion(info({ redis_version: '7.0.15' }))],
  ['warn', /7\.2\.4 has CVE.*7\.2\.11/, checkVersion(info({ redis_version: '7.2.4' }))],
  ['ok', /Redis 7\.2\.11/, checkVersion(info({ redis_version: '7.2.11' }))],
  ['ok', /Redis 8\.10\.0/, checkVersion(info({ redis_version: '8.10.0' }))],
  ['warn', /Valkey 8\.0\.1 has CVE/, checkVersion(info({ redis_version: '7.2.4', valkey_version: '8.0.1' }))],
  ['ok', /Valkey 9/, checkVersion(info({ redis_version: '7.2.4', valkey_version: '9.0.0' }))],
  ['fail', /unknown/, checkVersion(info({}))],
  ['warn', /set appendonly yes/, checkPersistence(info({ aof_enabled: 0 }), 'everysec')],
  ['ok', /everysec/, checkPersistence(info(aof), 'everysec')],
  ['ok', /appendonly$/, checkPersistence(info(aof), undefined)],
  ['warn', /a full disk ends Redis/, checkPersistence(info(aof), 'always')],
  ['warn', /half a minute/, checkPersistence(info(aof), 'no')],
  ['fail', /refused; make room/, checkPersistence(info({ ...aof, aof_last_write_status: 'err' }), 'everysec')],
  ['fail', /last save failed/, checkPersistence(info({ ...aof, rdb_last_bgsave_status: 'err' }), 'everysec')],
  ['fail', /rewrite/, checkPersistence(info({ ...aof, aof_last_bgrewrite_status: 'err' }), 'everysec')],
  ['fail', /loading/, checkPersistence(info({ ...aof, loading: 1 }), 'everysec')],
  ['ok', /noeviction/, checkEviction(info({ maxmemory_policy: 'noeviction' }))],
  ['fail', /set maxmemory-policy/, checkEviction(info({ maxmemory_policy: 'allkeys-lru' }))],
  ['ok', /10 % of 100 MiB/, checkMemory(limited(10))],
  ['warn', /65 % of 100 MiB: from 75 % adds are refused/, checkMemory(limited(65))],
  ['fail', /75 % of 100 MiB: adds are refused; let pods/, checkMemory(limited(75))],
  ['warn', /not set.*set maxmemory/, checkMemory(info({ used_memory: 1, maxmemory: 0, total_system_memory: 1e9 }))],
  ['warn', /more than/, checkMemory(info({ used_memory: 1, maxmemory: 2e9, total_system_memory: 1e9 }))],
  ['fail', /80 %/, checkMemory(info({ used_memory: 1, used_memory_rss: 8e8, total_system_memory: 1e9 }))],
  ['warn', /does not say/, checkMemory(info({}))],
  ['ok', /5 of 10000/, checkConnections(info({ connected_clients: 5, maxclients: 10_000 }))],
  ['warn', /8500 of 10000; raise/, checkConnections(info({ connected_clients: 8_500, maxclients: 10_000 }))],
  ['fail', /9900 of 10000/, checkConnections(info({ connected_clients: 9_900, maxclients: 10_000 }))],
  ['ok', /at most 20ms/, checkClock('clock', [{ who: 'p', skewMs: -20 }])],
  ['warn', /p is 5s behind.*NTP/, checkClock('clock', [{ who: 'p', skewMs: -5_000 }])],
];

describe('a check', () => {
  it.for(CASES)('is %s: %s', ([status, said, finding]) => {
    expect(finding.status).toBe(status);
    expect(`${finding.says}${finding.todo ? `; ${finding.todo}` : ''}`).toMatch(said);
    expect(finding.todo !== undefined).toBe(status !== 'ok');
  });

  it('of open files sees the limit of this process', () => {
    expect(readFileLimit()).toBeGreaterThan(0);
  });

  it('of the server looks at the PATH only when no address is set', async ({ world }) => {
    const empty = await world.folder();
    const none = { ...thisMachine, run: async () => ({ code: 127, stdout: '', stderr: '' }) };
    expect(await checkServer(false, empty, none)).toMatchObject({
      status: 'warn',
      todo: expect.stringMatching(/REDIS_URL/),
    });
    const some = { ...none, run: async () => ({ code: 0, stdout: 'Redis server v=7.2.11 sha=0', stderr: '' }) };
    expect(await checkServer(false, empty, some)).toMatchObject({
      status: 'ok',
      says: expect.stringMatching(/7\.2\.11/),
    });
    expect(await checkServer(true, empty, none)).toMatchObject({ status: 'ok' });
  });

  it('of the PATH says where the command is', async ({ world }) => {
    const dir = await world.folder();
    expect((await checkCommand(dir)).says).toContain('not on it');
    await writeFile(join(dir, 'lanekeeper'), '#!/bin/sh\n');
    await chmod(join(dir, 'lanekeeper'), 0o755);
    expect((await checkCommand(`/nowhere:${dir}`)).says).toContain(join(dir, 'lanekeeper'));
  });
});

async function podsSeen(world: World, count: number): Promise<PodSeen[]> {
  return vi.waitFor(async () => {
    const pods = await readPods(world.redis, world.keys);
    expect(pods).toHaveLength(count);
    return pods;
  }, RETRYING);
}

describe('the pods', () => {
  const lane = defineLane({ name: 'a' });
  const other = defineLane({ name: 'a', concurrency: 9 });
  const run = () => null;

  it('that differ are named: by clock, definition and version', async ({ world }) => {
    const clock = { mono: systemClock.mono, now: () => systemClock.now() + 60_000 };
    await world.pod([handle(lane, { run })], { name: 'one', version: '1.0.0' });
    await world.pod([handle(other, { run })], { name: 'two', version: '1.0.1', clock });
    const findings = checkPods(await podsSeen(world, 2), new Map([['a', fingerprint(lane)]]));
    const said = findings.filter(({ status }) => status === 'warn').map(({ says }) => says);
    expect(said).toHaveLength(4);
    expect(said[0]).toMatch(/^two is (59s|1m|1m1s) ahead/);
    expect(said[1]).toBe('pods run different versions: 1.0.0 on one; 1.0.1 on two');
    expect(said[2]).toMatch(/^pods run different definitions of lane "a": [0-9a-f]{12} on one; [0-9a-f]{12} on two$/);
    expect(said[3]).toBe('lane "a" of this folder is not what runs on two');
  });

  it('that are alike are well, whichever copy of the definition they hold (twin)', async ({ world }) => {
    await world.pod([handle(lane, { run })], { name: 'one', version: '1.0.0' });
    await world.pod([handle(defineLane({ name: 'a' }), { run })], { name: 'two', version: '1.0.0' });
    const findings = checkPods(await podsSeen(world, 2), new Map([['a', fingerprint(lane)]]));
    expect(findings.map(({ status, check }) => [status, check])).toEqual([
      ['ok', 'pods'],
      ['ok', 'clocks of pods'],
      ['ok', 'drift'],
    ]);
  });

  it('of an older version, which say neither clock nor definition, are no error', () => {
    const old = { pod: 'old', lanes: ['a'], isAlive: true } as unknown as PodSeen;
    expect(checkPods([old], new Map([['a', 'x']])).every(({ status }) => status === 'ok')).toBe(true);
  });
});

describe('the command', () => {
  async function folder(world: World): Promise<string> {
    const dir = await world.folder();
    await Promise.all([mkdir(join(dir, 'queues')), mkdir(join(dir, 'workers'))]);
    const queue = `import { defineLane } from 'lanekeeper'; export const a = defineLane({ name: 'a' });`;
    await writeFile(join(dir, 'queues/a.mjs'), queue);
    const worker = `import { handle } from 'lanekeeper'; import { a } from '../queues/a.mjs'; export const h = handle(a, { run() {} });`;
    await writeFile(join(dir, 'workers/a.mjs'), worker);
    return dir;
  }

  it('says one line per check, in JSON too, and ends with 1 when one fails', { timeout: 90_000 }, async ({ world }) => {
    const dir = await folder(world);
    const redis = await privateRedis(world);
    const admin = adminOf(world, redis);
    const env = { REDIS_URL: redis.url };
    const good = await world.cli(['doctor', '--dir', dir], env);
    expect({ code: good.code, stderr: good.stderr }).toEqual({ code: 0, stderr: '' });
    const checks = ['node', 'settings', 'definitions', 'open files', 'redis-server', 'PATH', 'redis', 'redis version'];
    checks.push('persistence', 'eviction', 'memory', 'connections', 'clock', 'pods');
    const lines = good.stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.slice(6, 20).trim())).toEqual(checks);
    for (const line of lines) expect(line).toMatch(/^(ok {2}|warn) {2}\S/);

    await admin.config('SET', 'appendfsync', 'always');
    await admin.config('SET', 'maxmemory', '1');
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const bad = await world.cli(['doctor', '--dir', dir, '--json'], env);
    expect(bad.code).toBe(1);
    const findings = JSON.parse(bad.stdout) as Finding[];
    const failed = findings.filter(({ status }) => status === 'fail').map(({ check }) => check);
    expect(failed).toEqual(['eviction', 'memory']);
    expect(findings.find(({ check }) => check === 'persistence')).toMatchObject({
      status: 'warn',
      says: 'appendfsync always: a full disk ends Redis',
      todo: expect.stringMatching(/everysec/),
    });
  });
});
