// What do 200 idle lanes on one pod cost? Connections, Redis CPU and calls over 30 s in which nothing happens, against 200
// idle BullMQ Workers in one process.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { interleave, withSpread } from './measure.ts';
import { pause, type Store } from './store.ts';
import { startWorker } from './worker-process.ts';

const LANES = 200;
/** Past the start: scripts loaded, every lane blocked, the first stalled check done. */
const CALM_MS = 6_000;
const VARIANTS = ['raw', 'ours'] as const;

interface Figures {
  connections: number;
  redisCpuMs: number;
  workerCpuMs: number;
  calls: number;
  common: string;
}

export const idleLanes: Bench = {
  question: `connections, Redis CPU and commands of ${LANES} idle lanes on one pod`,
  rounds: 3,
  async run({ store, rounds, isQuick, say }) {
    const seconds = isQuick ? 10 : 30;
    const fleet = await writeFleet();
    try {
      const results = await interleave(VARIANTS, rounds, async (variant, round) => {
        const figures = await measure(store, variant, seconds, fleet);
        say(
          `idle-lanes ${round + 1}/${rounds} ${variant}: ${figures.connections} connections, ${figures.redisCpuMs.toFixed(1)} ms/s`,
        );
        return figures;
      });
      return {
        head: ['', 'connections', 'Redis CPU ms/s', 'worker CPU ms/s', 'calls/s from clients', 'most of them, calls/s'],
        rows: VARIANTS.map((variant) => {
          const of = (figure: Exclude<keyof Figures, 'common'>) => results[variant].map((figures) => figures[figure]);
          const common = results[variant].at(-1)!.common;
          return [
            variant,
            withSpread(of('connections')),
            withSpread(of('redisCpuMs'), 1),
            withSpread(of('workerCpuMs'), 1),
            withSpread(of('calls'), 1),
            common,
          ];
        }),
        notes: [
          `${rounds} rounds of ${seconds} s, after ${CALM_MS / 1_000} s of calm; each lane its own tag. Less is better.`,
          'Raw: the Workers share one connection for commands; each given its own address would hold twice as many.',
        ],
      };
    } finally {
      await rm(fleet, { recursive: true, force: true });
    }
  },
};

async function measure(store: Store, kind: 'raw' | 'ours', seconds: number, fleet: string): Promise<Figures> {
  const prefix = await store.fresh();
  const before = await countConnections(store);
  const worker = await startWorker(kind, store, { prefix, fleet, env: { BENCH_QUEUES: String(LANES) } });
  try {
    await pause(CALM_MS);
    const connections = (await countConnections(store)) - before;
    await store.redis.config('RESETSTAT');
    const [redisS, workerMs] = [await store.cpuSeconds(), worker.cpuMs() ?? Number.NaN];
    await pause(seconds * 1_000);
    const redisCpuMs = (((await store.cpuSeconds()) - redisS) * 1_000) / seconds;
    const workerCpuMs = ((worker.cpuMs() ?? Number.NaN) - workerMs) / seconds;
    const calls = await readCalls(store, seconds);
    const common = calls.slice(0, 5).map(([name, perS]) => `${name} ${perS.toFixed(1)}`);
    const ofClients = calls.filter(([name]) => CLIENT_CALLS.has(name)).reduce((sum, [, perS]) => sum + perS, 0);
    return { connections, redisCpuMs, workerCpuMs, calls: ofClients, common: common.join(', ') };
  } finally {
    await worker.stop();
  }
}

/** What these clients send themselves; Redis counts what a script calls in the same table. */
const CLIENT_CALLS = new Set(['evalsha', 'eval', 'bzpopmin', 'time', 'xadd', 'zadd', 'client|list']);

async function countConnections(store: Store): Promise<number> {
  return String(await store.redis.client('LIST'))
    .trim()
    .split('\n').length;
}

async function readCalls(store: Store, seconds: number): Promise<[string, number][]> {
  const stats = await store.info('commandstats');
  return [...stats]
    .map(([name, text]): [string, number] => [
      name.replace('cmdstat_', ''),
      Number(/calls=(\d+)/.exec(text)?.[1]) / seconds,
    ])
    .filter(([name]) => name !== 'info')
    .sort((a, b) => b[1] - a[1]);
}

async function writeFleet(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'lanekeeper-lanes-'));
  const each = (line: (n: number) => string) => Array.from({ length: LANES }, (_, n) => line(n)).join('\n');
  await Promise.all(['queues', 'workers'].map((folder) => mkdir(join(dir, folder))));
  await writeFile(
    join(dir, 'queues', 'idle.mjs'),
    `import { defineLane } from 'lanekeeper';\n${each((n) => `export const lane${n} = defineLane({ name: 'idle-${n}' });`)}\n`,
  );
  await writeFile(
    join(dir, 'workers', 'idle.mjs'),
    `import { handle } from 'lanekeeper';\nimport * as lanes from '../queues/idle.mjs';\n${each((n) => `export const run${n} = handle(lanes.lane${n}, { run() {} });`)}\n`,
  );
  return dir;
}
