// A Sentinel promotes a replica that has been cut off for 3 s: what was granted in them is forgotten. Owners' tokens go on growing;
// a counter, which is what most people use, counts again from where the replica stood.

import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ROOT } from '../../../../scripts/prepare.js';
import { freePort } from '../../../../src/store/embedded-server.ts';
import { createSingleLocks } from '../../../../src/store/ownership/locks-single.ts';
import { findRedisServer } from '../../../../src/store/redis-server.ts';
import { startServer } from '../../../store/ownership/servers.ts';
import { ask, GROUP } from '../../../store/ownership/suite.ts';
import type { World } from '../../../support/world.ts';
import { until } from '../../harness/until.ts';

const BEHIND_MS = 3_000;

async function startSentinel(world: World, masterPort: number): Promise<Redis> {
  const [port, dir] = [await freePort(), await world.folder()];
  const conf = join(dir, 'sentinel.conf');
  const rules = ['down-after-milliseconds lk 1000', 'failover-timeout lk 20000', 'parallel-syncs lk 1'];
  const monitor = `monitor lk 127.0.0.1 ${masterPort} 1`;
  const lines = [monitor, ...rules].map((rule) => `sentinel ${rule}`);
  await writeFile(conf, [`port ${port}`, 'bind 127.0.0.1', `dir "${dir}"`, ...lines, ''].join('\n'));
  const command = await findRedisServer({ cacheDir: join(ROOT, '.lanekeeper', 'server'), say: () => {} });
  const [program = '', ...argv] = command.argv;
  const child = spawn(program, [...argv, conf, '--sentinel'], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {});
  world.defer(async () => {
    redis.disconnect();
    child.kill('SIGKILL');
    await gone;
  });
  return redis;
}

/** Tokens by the leases and by a counter, as each was given, before and after the failover. */
export async function failOver(
  world: World,
): Promise<Record<'leases' | 'counter', { before: number[]; after: number[] }>> {
  const master = await startServer(world);
  const replica = await startServer(world, [
    '--replicaof',
    '127.0.0.1',
    String(master.port),
    '--repl-diskless-sync-delay',
    '0',
  ]);
  const sentinel = await startSentinel(world, master.port);
  await until('the Sentinel knows the replica', 30_000, async () => {
    const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', 'lk').catch(() => [])) as unknown[];
    return replicas.length === 1 && (await replica.admin.info('replication')).includes('master_link_status:up');
  });
  const given = {
    leases: { before: [] as number[], after: [] as number[] },
    counter: { before: [] as number[], after: [] as number[] },
  };
  const grant = async (redis: Redis, when: 'before' | 'after', forMs: number) => {
    const locks = createSingleLocks({ redis, keys: world.keys });
    const untilMono = performance.now() + forMs;
    for (let n = 0; performance.now() < untilMono; n++) {
      const reply = await locks.take(GROUP, ask(n % 2 ? 'cron' : 'manual', { isForced: true }));
      if (reply.kind === 'granted' && !reply.isSame) given.leases[when].push(reply.lease.token);
      given.counter[when].push(await redis.incr('counter'));
    }
  };
  await grant(master.admin, 'before', 500);
  await master.admin.wait(1, 1_000);
  await replica.admin.replicaof('127.0.0.1', 1); // where nobody listens: its link is cut
  await until('the master has no replica', 10_000, async () =>
    (await master.admin.info('replication')).includes('connected_slaves:0'),
  );
  await grant(master.admin, 'before', BEHIND_MS);
  await master.kill();
  await until('the replica is promoted', 60_000, async () =>
    (await replica.admin.info('replication')).includes('role:master'),
  );
  await grant(replica.admin, 'after', 500);
  return given;
}

/** How many were not higher than all before. */
export function regressions({ before, after }: { before: number[]; after: number[] }): number {
  let highest = 0;
  let count = 0;
  for (const token of [...before, ...after]) {
    if (token <= highest) count++;
    highest = Math.max(highest, token);
  }
  return count;
}
