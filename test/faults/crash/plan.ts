// What one run does, all of it chosen by its seed.

import type { JobPoint } from '../../../src/words/crash-point.ts';
import { createRandom } from '../harness/until.ts';
import { KINDS, type Kind, same, work } from './lanes.ts';
import type { PlannedJob } from './process.ts';

/** Every point there is, and after which of its passes at the latest the process dies. tsc fails when one is missing. */
const LAST_PASS: Record<JobPoint, number> = {
  'before-add': 6,
  'after-add': 6,
  'after-fetch': 8,
  'before-handler': 8,
  'in-handler': 6,
  'in-step': 4,
  'before-step-write': 5,
  'after-step-write': 5,
  'before-hand-over': 3,
  'after-hand-over': 3,
  'after-handler': 8,
  'before-settle': 8,
  'after-settle': 8,
  'before-bury': 2,
  'after-bury': 2,
};
export const POINTS = Object.keys(LAST_PASS) as JobPoint[];

export interface Plan {
  seed: number;
  at: JobPoint;
  pass: number;
  /** Who dies. A pod adds too, when a job hands over. */
  victim: 'pod' | 'producer';
  pods: number;
  /** Of the pod that dies. With 1 it is known to the step what it was doing. */
  concurrency: number;
  /** The producer adds them with one call. */
  asList: boolean;
  /** The jobs of the n-th round: rounds are added until the victim is dead. */
  round(index: number): PlannedJob[];
}

export function toPlan(seed: number): Plan {
  const random = createRandom(seed);
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const at = POINTS[Math.floor(random() * POINTS.length)] as JobPoint;
  const isAdd = at === 'before-add' || at === 'after-add';
  const victim = isAdd && random() < 0.7 ? 'producer' : 'pod';
  const asList = victim === 'producer' && random() < 0.3;
  const pass = asList ? 1 : upTo(victim === 'pod' && isAdd ? 3 : LAST_PASS[at]);
  const pods = upTo(3);
  const concurrency = random() < 0.6 ? 1 : 4;
  const kinds = shuffle([...KINDS, ...Array.from({ length: upTo(5) }, () => pick(KINDS, random))], random);
  // Of a round the list takes what may lie in one lane, under keys: without them no call can be repeated.
  const first = kinds.map((kind) => toJob(kind, asList || random() < 0.5));
  const chosen = asList ? first.filter(({ kind }) => kind !== 'same') : first;
  return {
    seed,
    at,
    pass,
    victim,
    pods,
    concurrency,
    asList,
    round: (index) =>
      chosen.map((job, place) => {
        const n = index * 100 + place;
        return { ...job, n, ...(job.key !== undefined && { key: `key-${n}` }) };
      }),
  };
}

function toJob(kind: Kind, isKeyed: boolean): PlannedJob {
  if (kind === 'same') return { n: 0, kind, lane: same.name };
  return { n: 0, kind, lane: work.name, ...(isKeyed && { key: '' }) };
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)] as T;
}

function shuffle<T>(list: T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
