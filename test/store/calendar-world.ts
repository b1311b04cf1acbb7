// A calendar as a test sees it: lanes, agents and pods of one upstream over the real scripts, with a clock that stands still until
// the test moves it. Pods are names only: each says by itself what it holds, or dies by saying nothing.

import type { MinimalJob } from 'bullmq';
import { defineLane, defineUpstream, type Lane } from '../../src/index.ts';
import { toEntry } from '../../src/path/entry.ts';
import { addJob } from '../../src/store/add-jobs.ts';
import { Calendar, type Claim, type Claimed, type Freed, type Release } from '../../src/store/calendar/calendar.ts';
import type { Redis } from '../../src/store/connect.ts';
import { type FetchedJob, type LaneQueue, openLaneQueue, returnJob } from '../../src/store/lane-queue.ts';
import type { Keys } from '../../src/words/keys.ts';
import type { World } from '../support/world.ts';

export const TAG = 'forum';
/** When it begins. */
export const START = 1_700_000_000_000;

export interface Held extends Claim {
  lane: string;
  job: FetchedJob;
  lock: string;
  hasMore: boolean;
}

export interface Terms {
  agents: readonly string[];
  /** Lane -> cooldown in ms. */
  lanes: Record<string, number>;
}

export interface AddTerms {
  agent?: string | undefined;
  priority?: number | undefined;
  at?: number | undefined;
}

export class CalendarWorld {
  readonly lanes = new Map<string, { lane: Lane; queue: LaneQueue; cooldownMs: number }>();
  readonly terms: Terms;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly #pods = new Map<string, Calendar>();
  #now = START;
  #locks = 0;

  constructor(redis: Redis, keys: Keys, terms: Terms) {
    this.redis = redis;
    this.keys = keys;
    this.terms = terms;
    const upstream = defineUpstream({ name: TAG, agents: [...terms.agents] });
    for (const [name, cooldownMs] of Object.entries(terms.lanes)) {
      const lane = defineLane({ name, upstream, agent: { cooldown: `${cooldownMs}ms` } });
      this.lanes.set(name, { lane, queue: openLaneQueue(redis, keys, lane), cooldownMs });
    }
  }

  get now(): number {
    return this.#now;
  }

  /** Registers as a first pod does, and nobody else had anything to tell. */
  async open(): Promise<this> {
    await this.at(this.#now);
    await this.register();
    await this.redis.hdel(this.key('agent-state'), 'closed');
    return this;
  }

  async close(): Promise<void> {
    for (const { queue } of this.lanes.values()) await queue.close();
  }

  async at(now: number): Promise<void> {
    this.#now = now;
    await this.redis.hset(this.key('agent-lanes'), '=now', now);
  }

  after(ms: number): Promise<void> {
    return this.at(this.#now + ms);
  }

  key(name: string): string {
    return this.keys.upstream(TAG) + name;
  }

  calendar(pod = 'p1'): Calendar {
    const calendar = this.#pods.get(pod) ?? new Calendar(this.redis, this.keys, TAG, pod);
    this.#pods.set(pod, calendar);
    return calendar;
  }

  queue(lane: string): LaneQueue {
    return this.#lane(lane).queue;
  }

  register(
    pod = 'p1',
    told: Record<string, number> = {},
    wasKnown = false,
    holding: readonly Held[] = [],
  ): Promise<boolean> {
    const held = holding.map(({ token, agent, lane, job }) => ({ token, agent, lane, job: job.id }));
    return this.calendar(pod).register(this.terms.agents, this.terms.lanes, wasKnown, told, held);
  }

  async add(laneName: string, { agent, priority, at }: AddTerms = {}): Promise<string> {
    const { lane, queue } = this.#lane(laneName);
    const nowAt = this.#now;
    const options = { agent, priority, at };
    const entry = await toEntry({ lane, keys: this.keys, payload: null, options, where: '', nowAt, by: 'ann@desk' });
    await addJob(queue, entry);
    return entry.job.id;
  }

  async ask(
    lane: string,
    { pod = 'p1', leadMs = 0, yields = true, apartMs = 0 } = {},
  ): Promise<Claimed & { lock: string }> {
    const lock = `${pod}:${this.#locks++}`;
    return { ...(await this.calendar(pod).claim(this.queue(lane), lock, leadMs, yields, apartMs)), lock };
  }

  /** Undefined: nothing to do now. */
  async claim(
    lane: string,
    options: { pod?: string; leadMs?: number; yields?: boolean; apartMs?: number } = {},
  ): Promise<Held | undefined> {
    const claimed = await this.ask(lane, options);
    if (claimed.kind !== 'job') return undefined;
    const { claim, job, lock, hasMore } = claimed;
    return { ...claim, lane, job, lock, hasMore };
  }

  /** Done, and charged what its lane says, unless told otherwise. */
  async done(held: Held, change: Partial<Release> = {}, pod = 'p1') {
    const { lane, job, lock } = held;
    const release = this.#release(held, change);
    return this.calendar(pod).release(this.queue(lane), job.id, release, (backend) =>
      backend.moveToCompleted(job as unknown as MinimalJob, null, { count: -1 }, lock, false),
    );
  }

  /** Back into the delayed set for a while. */
  async retry(held: Held, afterMs: number, change: Partial<Release> = {}, pod = 'p1') {
    const { lane, job, lock } = held;
    return this.calendar(pod).release(this.queue(lane), job.id, this.#release(held, change), (backend) =>
      backend.moveToDelayed(job.id, this.#now, afterMs, lock, { skipAttempt: true, fetchNext: false }),
    );
  }

  /** As if it had not been claimed. */
  async giveBack(held: Held, pod = 'p1') {
    const { lane, job, lock } = held;
    const queue = this.queue(lane);
    return this.calendar(pod).release(queue, job.id, this.#release(held, { costMs: null, ok: null }), (backend) =>
      returnJob({ ...queue, backend }, job, lock),
    );
  }

  async beat(pod = 'p1', holding: readonly Held[] = []): Promise<Freed[] | 'gone'> {
    if (!this.#pods.has(pod)) await this.register(pod);
    const lanes = Object.keys(this.terms.lanes);
    const tokens = holding.map(({ token }) => token);
    return (await this.calendar(pod).beat(lanes, tokens))?.freed ?? 'gone';
  }

  /** When its window opens, from now; NaN when that is not known. */
  async opensIn(agent: string): Promise<number> {
    const next = await this.redis.hget(this.keys.agent(TAG, agent), 'next');
    return next === null ? Number.NaN : Number(next) - this.#now;
  }

  field(agent: string, name: string): Promise<string | null> {
    return this.redis.hget(this.keys.agent(TAG, agent), name);
  }

  /** The jobs of one line, first first. */
  line(lane: string, agent?: string): Promise<string[]> {
    return this.redis.zrange(this.keys.line(this.#lane(lane).lane, agent), '0', '-1');
  }

  /** Where BullMQ has a job. */
  async lies(lane: string, id: string): Promise<string | undefined> {
    const { backend } = this.queue(lane);
    for (const set of ['delayed', 'completed', 'failed', 'prioritized'])
      if ((await this.redis.zscore(backend.toKey(set), id)) !== null) return set;
    for (const list of ['active', 'wait', 'paused'])
      if ((await this.redis.lrange(backend.toKey(list), 0, -1)).includes(id)) return list;
    return undefined;
  }

  /** Where each agent stands; an agent in two sets is told as both. */
  async places(): Promise<Record<string, string>> {
    const places: Record<string, string> = {};
    for (const set of ['windows', 'idle', 'silent', 'acting'])
      for (const agent of await this.redis.zrange(this.key(set), '0', '-1'))
        places[agent] = places[agent] === undefined ? set : `${places[agent]}+${set}`;
    return places;
  }

  #release({ lane, agent, token }: Held, change: Partial<Release>): Release {
    const { cooldownMs: costMs } = this.#lane(lane);
    const nothing = {
      agoMs: 0,
      answeredAt: null,
      untilMs: null,
      source: 'policy',
      reason: '',
      ok: 1,
      binds: false,
    } as const;
    return { agent, token, costMs, ...nothing, ...change };
  }

  #lane(name: string) {
    const lane = this.lanes.get(name);
    if (!lane) throw new Error(`no lane ${name}`);
    return lane;
  }
}

export const COOLDOWN = 10_000;
/** Silent for longer, a pod begins nothing any more. */
export const DEAD = 651;
export const SILENT = 15_001;

/** One agent and one lane, unless told otherwise. */
export async function openCalendar(world: World, terms: Partial<Terms> = {}): Promise<CalendarWorld> {
  const calendar = new CalendarWorld(world.redis, world.keys, {
    agents: ['a'],
    lanes: { publish: COOLDOWN },
    ...terms,
  });
  world.defer(() => calendar.close());
  return calendar.open();
}

/** The first pod is silent for so long; another beats, and answers what it took from it. */
export async function dies(calendar: CalendarWorld, silentMs: number) {
  await calendar.after(silentMs);
  return calendar.beat('p2');
}

export async function mustClaim(calendar: CalendarWorld, lane = 'publish', options = {}): Promise<Held> {
  const held = await calendar.claim(lane, options);
  if (!held) throw new Error(`nobody may act through ${lane}`);
  return held;
}

/** Removes keys without a word. */
export async function lose(world: World, match: string): Promise<void> {
  for await (const found of world.redis.scanStream({ match, count: 1_000 }))
    if (found.length > 0) await world.redis.del(...(found as string[]));
}
