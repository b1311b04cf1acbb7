// Dedupe against a model: any number of producers, a few keys and contents, single adds and lists. The first wins, whoever says
// the same again hears its id, another payload under a key is refused and writes nothing, and what is distinct stays so.

import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { defineLane, defineUpstream, type Lane, type Producer } from '../../src/index.ts';
import { listJobs } from '../../src/path/inspect.ts';
import { it, type World } from '../support/world.ts';

interface Wanted {
  /** One of two, which mean the same content when they are the same. */
  payload: { a: number; b?: number };
  key?: string;
  agent?: string;
}

/** What stands for a job, by lane rule; undefined when nothing does. */
type Sameness = (wanted: Wanted) => string | undefined;

const ofContent = ({ payload: { a, b }, agent }: Wanted) => JSON.stringify([a, b ?? null, agent ?? null]);
const byKey: Sameness = ({ key }) => (key === undefined ? undefined : `key ${key}`);
const upstream = defineUpstream({ name: 'api', limits: [{ concurrent: 1, by: 'agent' }] });
const rules: Record<string, { lane: Lane; sameness: Sameness }> = {
  key: { lane: defineLane({ name: 'by-key', upstream }), sameness: byKey },
  content: {
    lane: defineLane({ name: 'by-content', upstream, dedupe: 'content' }),
    sameness: (wanted) => byKey(wanted) ?? ofContent(wanted),
  },
  "the lane's word": {
    lane: defineLane({
      name: 'by-word',
      upstream,
      dedupe: { by: (payload) => `a${(payload as Wanted['payload']).a}`, for: '1h' },
    }),
    sameness: (wanted) => byKey(wanted) ?? `a${wanted.payload.a}`,
  },
  nothing: { lane: defineLane({ name: 'by-nothing', upstream, dedupe: false }), sameness: () => undefined },
};

const wanted: fc.Arbitrary<Wanted> = fc.record(
  {
    payload: fc.record(
      { a: fc.integer({ min: 0, max: 2 }), b: fc.integer({ min: 0, max: 1 }) },
      { requiredKeys: ['a'] },
    ),
    key: fc.constantFrom('k1', 'k2', '{k}:1\n'),
    agent: fc.constantFrom('a01', 'a02'),
  },
  { requiredKeys: ['payload'] },
);
const call = fc.record({
  by: fc.nat(2),
  items: fc.array(wanted, { minLength: 1, maxLength: 5 }),
  isList: fc.boolean(),
  /** Before it, every window ends. */
  isLate: fc.nat(5).map((n) => n === 0),
});

/** The fields the other way round: the same content. */
const turned = ({ payload: { a, b }, ...rest }: Wanted) => ({ payload: b === undefined ? { a } : { b, a }, ...rest });

/** As Redis does when their time is over: what stood for the jobs is gone, the jobs are not. */
async function endWindows({ redis, prefix }: World): Promise<void> {
  const standing = await redis.keys(`${prefix}:l:*:same:*`);
  if (standing.length > 0) await redis.unlink(...standing);
}

class Model {
  readonly first = new Map<string, { id: string; content: string }>();
  readonly ids = new Set<string>();
  readonly sameness: Sameness;

  constructor(sameness: Sameness) {
    this.sameness = sameness;
  }

  /** A list is refused whole, whether the key was taken before or within the list itself. */
  refuses(items: readonly Wanted[]): boolean {
    const said = new Map([...this.first].map(([same, { content }]) => [same, content]));
    return items.some((item) => {
      const same = this.sameness(item);
      if (same === undefined || item.key === undefined) return false;
      const before = said.get(same) ?? ofContent(item);
      said.set(same, before);
      return before !== ofContent(item);
    });
  }

  accept(item: Wanted, { id, isRepeat }: { id: string; isRepeat: boolean }): void {
    const same = this.sameness(item);
    const before = same === undefined ? undefined : this.first.get(same);
    expect(isRepeat).toBe(before !== undefined);
    if (before) expect(id).toBe(before.id);
    else expect(this.ids).not.toContain(id);
    this.ids.add(id);
    if (same !== undefined && !before) this.first.set(same, { id, content: ofContent(item) });
  }
}

describe.for(Object.keys(rules))('dedupe by %s', (rule) => {
  const { lane, sameness } = rules[rule] as (typeof rules)[string];

  it('is as the model says, for any calls one after the other', async ({ world }) => {
    const producers = await Promise.all([world.producer(), world.producer(), world.producer()]);
    const queue = world.queue(lane);
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 12, size: 'max' }), async (calls) => {
        await queue.queue.obliterate({ force: true });
        await endWindows(world);
        const model = new Model(sameness);
        for (const { by, items, isList, isLate } of calls) {
          if (isLate) await endWindows(world);
          if (isLate) model.first.clear();
          const producer = producers[by] as Producer;
          const lists = isList ? [items] : items.map((item) => [item]);
          for (const list of lists) {
            const said = list.map(turned);
            const [{ payload, ...options }] = said as [Wanted];
            const adding = isList
              ? producer.addMany(lane, said)
              : producer.add(lane, payload, options).then((one) => [one]);
            if (model.refuses(list)) await expect(adding).rejects.toMatchObject({ code: /LK_KEY_TAKEN|LK_INPUT/ });
            else for (const [place, added] of (await adding).entries()) model.accept(list[place] as Wanted, added);
          }
        }
        const standing = await listJobs(queue, ['waiting'], 1_000);
        expect(standing.map(({ id }) => id).sort()).toEqual([...model.ids].sort());
      }),
      { numRuns: 40 },
    );
  });

  it('makes one job of each that is one, for any calls all at once', async ({ world }) => {
    const producers = await Promise.all([world.producer(), world.producer(), world.producer()]);
    const queue = world.queue(lane);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(2), wanted), { minLength: 2, maxLength: 30, size: 'max' }),
        async (adds) => {
          await queue.queue.obliterate({ force: true });
          await endWindows(world);
          const answers = await Promise.allSettled(
            adds.map(([by, { payload, ...options }]) => (producers[by] as Producer).add(lane, payload, options)),
          );
          const idOf = new Map<string, string>();
          const ids = new Set<string>();
          let firsts = 0;
          for (const [place, answer] of answers.entries()) {
            const item = (adds[place] as [number, Wanted])[1];
            const same = sameness(item);
            if (answer.status === 'rejected') {
              expect(answer.reason).toMatchObject({ code: 'LK_KEY_TAKEN' });
              expect(item.key).toBeDefined();
              continue;
            }
            const { id, isRepeat } = answer.value;
            ids.add(id);
            if (!isRepeat) firsts++;
            if (same !== undefined) expect(idOf.get(same) ?? id).toBe(id);
            if (same !== undefined) idOf.set(same, id);
          }
          expect(ids.size).toBe(firsts);
          const standing = await listJobs(queue, ['waiting'], 1_000);
          expect(standing.map(({ id }) => id).sort()).toEqual([...ids].sort());
        },
      ),
      { numRuns: 25 },
    );
  });
});
