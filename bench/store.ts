// The one Redis of a run, and what the benches ask of it. Ours by default, embedded and as `lanekeeper up` starts it (AOF
// everysec); with REDIS_URL that one, whose settings are left alone and where only keys under our prefix are touched.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../scripts/prepare.js';
import { connectRedis, type Redis } from '../src/store/connect.ts';
import { startEmbeddedRedis } from '../src/store/embedded-redis.ts';

export interface Store {
  readonly url: string;
  readonly redis: Redis;
  /** A new prefix for one run; whatever earlier runs left is removed, and the AOF is short again. */
  fresh(): Promise<string>;
  info(section: string): Promise<Map<string, string>>;
  /** CPU seconds Redis has used so far. */
  cpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

export async function openStore(say: (line: string) => void): Promise<Store> {
  const given = process.env.REDIS_URL;
  const dataDir = await mkdtemp(join(tmpdir(), 'lanekeeper-bench-'));
  const cacheDir = join(ROOT, '.lanekeeper', 'server');
  const embedded = given ? undefined : await startEmbeddedRedis({ dataDir, cacheDir, say });
  const url = given ?? embedded!.url;
  const redis = await connectRedis(url, 'pod');
  // A rewrite of the AOF forks and competes for a core: it is done between runs instead of whenever it falls due in one.
  if (embedded) await redis.config('SET', 'auto-aof-rewrite-percentage', '0');

  let runs = 0;
  let prefix = '';

  async function info(section: string): Promise<Map<string, string>> {
    const lines = (await redis.info(section)).split('\r\n').filter((line) => line.includes(':'));
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
  }

  async function removeKeys(): Promise<void> {
    if (embedded) {
      await redis.flushall();
      await redis.bgrewriteaof();
      while ((await info('persistence')).get('aof_rewrite_in_progress') === '1') await pause(50);
      return;
    }
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 1_000);
      cursor = next;
      if (keys.length > 0) await redis.unlink(...keys);
    } while (cursor !== '0');
  }

  return {
    url,
    redis,
    info,
    async fresh() {
      if (prefix || embedded) await removeKeys();
      prefix = `bench-${process.pid}-${runs++}`;
      return prefix;
    },
    async cpuSeconds() {
      const cpu = await info('cpu');
      return Number(cpu.get('used_cpu_user')) + Number(cpu.get('used_cpu_sys'));
    },
    async stop() {
      if (!embedded && prefix) await removeKeys();
      redis.disconnect();
      await embedded?.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
