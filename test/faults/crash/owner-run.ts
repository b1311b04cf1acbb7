// One run in which lanes change hands and a process dies in the middle, from its seed to its judgement: whatever was accepted is done
// once, by an attempt that was admitted while its own owner had the lane.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { CrashPoint } from '../../../src/words/crash-point.ts';
import { createKeys, type Keys } from '../../../src/words/keys.ts';
import { createRandom, until } from '../harness/until.ts';
import type { Site } from './crash-run.ts';
import type { OwnerLine, OwnerOrder } from './owner-process.ts';
import { removeAll } from './snapshot.ts';
import { startToldProcess, type ToldProcess } from './told-process.ts';

/** Who may die there, and after which pass at the latest. */
const POINTS = {
  'before-take': ['user', 3],
  'after-take': ['user', 3],
  'before-add': ['user', 8],
  'after-add': ['user', 8],
  'after-fetch': ['pod', 6],
  'before-handler': ['pod', 6],
  'after-handler': ['pod', 6],
  'before-settle': ['pod', 6],
  'after-settle': ['pod', 6],
  'before-park': ['pod', 1],
  'after-park': ['pod', 1],
  'before-aside': ['pod', 8],
  'after-aside': ['pod', 8],
} as const satisfies Partial<Record<CrashPoint, readonly ['user' | 'pod', number]>>;
export const OWNER_POINTS = Object.keys(POINTS) as (keyof typeof POINTS)[];

export interface OwnerRun {
  at: CrashPoint;
  /** Not every run comes to its point: what is parked at admission hangs on a race. */
  died: boolean;
  jobs: number;
  /** Attempts that were cut off and run again. */
  again: number;
  problems: string[];
}

const LANES = ['alone', 'publish', 'reply'] as const;
const TAGS = { alone: 'alone', publish: 'forum', reply: 'forum' } as const;
const MAX_ROUNDS = 12;
/** The lock's 20 s, the sweep's 2 s, and a crowded machine. */
const DRAIN_MS = 90_000;

export async function runOwners(seed: number, site: Site): Promise<OwnerRun> {
  const random = createRandom(seed);
  const at = OWNER_POINTS[seed % OWNER_POINTS.length] as keyof typeof POINTS;
  const [victimIs, last] = POINTS[at];
  const { host, redis } = site;
  const prefix = `owner-${seed}`;
  const record = join(site.folder, `${prefix}.jsonl`);
  writeFileSync(record, '');
  const keys = createKeys(prefix);
  const told: Told[] = [];
  let died = false;
  try {
    await site.turn(async () => {
      const victim = await startToldProcess(site.program, {
        REDIS_URL: site.redisUrl,
        FAULTS_CRASH_AT: at,
        FAULTS_CRASH_PASS: String(1 + Math.floor(random() * last)),
        FAULTS_CRASH_RECORD: record,
        FAULTS_CRASH_TWIN: site.twin,
      });
      const user = victimIs === 'user' ? victim : host;
      try {
        if (victimIs === 'pod') await victim.tell({ do: 'pod', prefix, record });
        else await host.tell({ do: 'pod', prefix, record });
        for (let round = 0; victim.exit === undefined && round < MAX_ROUNDS; round++) {
          for (const order of roundOf(round, random, told)) {
            const answer = user.tell({ ...order, prefix, record });
            await Promise.race([answer, victim.exited]);
            if (user === host) await answer;
            if (victim.exit !== undefined) break;
          }
        }
        died = victim.exit === 'SIGKILL';
      } finally {
        victim.kill();
        await victim.exited;
      }
    });
    if (victimIs === 'pod') await host.tell({ do: 'pod', prefix, record });
    await finish(host, redis, keys, prefix, record, told);
    await host.tell({ do: 'stop', prefix, record });
    return { at, died, ...(await judge(redis, keys, readLines(record), told)) };
  } finally {
    await host.tell({ do: 'stop', prefix, record });
    await removeAll(redis, prefix);
  }
}

interface Told {
  lane: (typeof LANES)[number];
  as: string;
  n: number;
}

type Step = OwnerOrder extends infer O ? (O extends unknown ? Omit<O, 'prefix' | 'record'> : never) : never;

/** A lane is taken and fed, and mostly taken again before all of that has run. */
function roundOf(round: number, random: () => number, told: Told[]): Step[] {
  const lane = LANES[Math.floor(random() * LANES.length)] as Told['lane'];
  const as = round % 2 ? 'manual' : 'cron';
  const ns = Array.from({ length: 3 + Math.floor(random() * 5) }, (_, place) => told.length + place);
  told.push(...ns.map((n) => ({ lane, as, n })));
  return [
    { do: 'take', lane, as },
    { do: 'add', lane, as, ns, asList: random() < 0.3 },
  ];
}

/** Each owner takes each lane once more, repeats what it has heard no answer for, and waits until its own is done. */
async function finish(host: ToldProcess, redis: Redis, keys: Keys, prefix: string, record: string, told: Told[]) {
  for (const as of ['cron', 'manual']) {
    for (const lane of LANES) {
      const heard = new Set(readLines(record).flatMap((line) => (line.what === 'accepted' ? [line.n] : [])));
      const mine = told.filter((one) => one.as === as && one.lane === lane);
      await host.tell({ do: 'take', lane, as, prefix, record });
      const ns = mine.map(({ n }) => n).filter((n) => !heard.has(n));
      await host.tell({ do: 'add', lane, as, ns, asList: false, prefix, record });
      await until(`what ${as} fed to ${lane} is done`, DRAIN_MS, async () => {
        return (await doneOf(redis, keys, lane)).filter((job) => job.as === as).length >= mine.length;
      });
    }
  }
}

interface DoneJob {
  id: string;
  as: string;
  token: number;
  n: number;
  /** Of the attempt that settled. */
  fence: number;
}

const queueOf = (keys: Keys, lane: Told['lane']) => `${keys.queuePrefix({ name: lane, tag: TAGS[lane] })}:${lane}`;

async function doneOf(redis: Redis, keys: Keys, lane: Told['lane']): Promise<DoneJob[]> {
  const queue = queueOf(keys, lane);
  const ids = await redis.zrange(`${queue}:completed`, '0', '-1');
  return Promise.all(
    ids.map(async (id) => {
      const [fedBy, result] = await redis.hmget(`${queue}:${id}`, 'lk:owner', 'returnvalue');
      const { as, token } = JSON.parse(fedBy ?? '{}') as { as: string; token: string };
      return { id, as, token: Number(token), ...(JSON.parse(result ?? '{}') as { n: number; fence: number }) };
    }),
  );
}

async function judge(redis: Redis, keys: Keys, lines: readonly OwnerLine[], told: readonly Told[]) {
  const problems: string[] = [];
  const accepted = new Map(lines.flatMap((line) => (line.what === 'accepted' ? [[line.n, line.id] as const] : [])));
  for (const lane of LANES) {
    const queue = queueOf(keys, lane);
    const done = await doneOf(redis, keys, lane);
    const mine = told.filter((one) => one.lane === lane);
    for (const { n, as } of mine) {
      const ends = done.filter((job) => job.n === n);
      if (ends.length !== 1) problems.push(`${lane} ${n} is done ${ends.length} times`);
      if (ends[0] && ends[0].id !== accepted.get(n)) problems.push(`${lane} ${n} was accepted as another job`);
      if (ends[0] && ends[0].as !== as) problems.push(`${lane} ${n} was told for ${as} and fed by ${ends[0].as}`);
    }
    // Whose term an attempt fell in: the last grant up to its fence. A take that was not heard of stands between two that were.
    const grants = await grantsOf(lines, done, lane);
    for (const { n, as, fence } of done) {
      const holder = grants.findLast(({ token }) => token <= fence)?.as;
      if (holder !== as)
        problems.push(`${lane} ${n} of ${as} was settled by an attempt admitted while ${holder} had the lane`);
    }
    const left = await Promise.all([
      redis.zcard(`${queue}:delayed`),
      redis.llen(`${queue}:wait`),
      redis.llen(`${queue}:active`),
      redis.zcard(`${queue}:failed`),
      redis.zcard(keys.aside({ name: lane, tag: TAGS[lane] })),
    ]);
    if (left.some((count) => count > 0)) problems.push(`${lane} has left (delayed, wait, active, dead, aside) ${left}`);
  }
  const acting = await redis.zcard(`${keys.upstream('forum')}acting`);
  if (acting > 0) problems.push(`${acting} agents act for nobody`);
  const ran = lines.filter((line) => line.what === 'ran').length;
  return { problems, jobs: told.length, again: ran - told.length };
}

/** Who had the lane from which token on: of takes that were heard of, and of jobs that say who fed them. */
function grantsOf(lines: readonly OwnerLine[], done: readonly DoneJob[], lane: Told['lane']) {
  const heard = lines.flatMap((line) =>
    line.what === 'taken' && TAGS[line.lane as Told['lane']] === TAGS[lane] ? [line] : [],
  );
  return [...heard, ...done].map(({ as, token }) => ({ as, token })).sort((a, b) => a.token - b.token);
}

function readLines(record: string): OwnerLine[] {
  const lines = readFileSync(record, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as OwnerLine);
}
