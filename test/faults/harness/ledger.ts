// What was asked for and what was promised. An add that resolved is a promise; one that was refused may have happened all
// the same, so its number is kept apart and its job, should it turn up, is neither lost nor unexpected.

import type { Lane, Producer } from '../../../src/index.ts';
import { until } from './until.ts';

/** Within this a producer must hear that Redis is away. */
export const HEAR_MS = 1_500;

export interface Refusal {
  n: number;
  code: string;
  afterMs: number;
}

export interface Work {
  steps?: number;
  holdMs?: number;
  firstHoldMs?: number;
}

/** Lanes of any payload: the pods check it. */
export type AnyLane = Pick<Lane, 'name' | 'tag'>;

export interface Ledger {
  /** Job id to lane, of each add that resolved. */
  readonly accepted: ReadonlyMap<string, string>;
  readonly unknown: ReadonlySet<number>;
  /** Promised before somebody deleted everything: no longer asked for, and no surprise either. */
  readonly forgotten: ReadonlySet<string>;
  readonly refusals: readonly Refusal[];
  /** The id, or undefined when it was refused. */
  add(lane: AnyLane, work?: Work | Record<string, unknown>): Promise<string | undefined>;
  /** `count` jobs, accepted or an error. */
  addAll(lane: AnyLane, count: number, work?: Work): Promise<string[]>;
  /** Adds one job each `everyMs` until stopped. */
  load(everyMs: number, choose: () => { lane: AnyLane; work?: Work }): { stop(): Promise<void> };
  forget(): void;
}

export function createLedger(producer: Producer): Ledger {
  const accepted = new Map<string, string>();
  const unknown = new Set<number>();
  const forgotten = new Set<string>();
  const refusals: Refusal[] = [];
  let serial = 0;

  async function add(lane: AnyLane, work: Work | Record<string, unknown> = {}): Promise<string | undefined> {
    serial++;
    const n = serial;
    const startedAt = performance.now();
    try {
      const { id } = await producer.add(lane as Lane, { n, ...work });
      accepted.set(id, lane.name);
      return id;
    } catch (error) {
      unknown.add(n);
      const { code = String(error) } = error as { code?: string };
      refusals.push({ n, code, afterMs: performance.now() - startedAt });
      return undefined;
    }
  }

  return {
    accepted,
    unknown,
    forgotten,
    refusals,
    add,
    async addAll(lane, count, work = {}) {
      const items = Array.from({ length: count }, () => {
        serial++;
        return { payload: { n: serial, ...work } };
      });
      const added = await producer.addMany(lane as Lane, items);
      for (const { id } of added) accepted.set(id, lane.name);
      return added.map(({ id }) => id);
    },
    load(everyMs, choose) {
      const pending = new Set<Promise<unknown>>();
      const timer = setInterval(() => {
        const { lane, work } = choose();
        const adding = add(lane, work).finally(() => pending.delete(adding));
        pending.add(adding);
      }, everyMs);
      return {
        async stop() {
          clearInterval(timer);
          await until('every add answers', 10_000, () => pending.size === 0);
        },
      };
    },
    forget() {
      for (const id of accepted.keys()) forgotten.add(id);
      accepted.clear();
    },
  };
}
