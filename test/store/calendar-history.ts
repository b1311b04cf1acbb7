// Random histories of a calendar, played on the scripts and on the model at once. After each move both must say the same, nobody may
// have acted early, and in the end every job must have ended.

import fc from 'fast-check';
import type { Redis } from '../../src/store/connect.ts';
import type { Keys } from '../../src/words/keys.ts';
import { CalendarModel, type ModelJob } from './calendar-model.ts';
import { CalendarWorld, type Held, START } from './calendar-world.ts';

const AGENTS = ['a', 'b', 'c'];
const LANES = { publish: 1_000, comment: 300 };
const LANE_NAMES = Object.keys(LANES);
const PODS = ['p1', 'p2'];

const lane = fc.constantFrom(...LANE_NAMES);
const agent = fc.constantFrom(...AGENTS);
const pod = fc.constantFrom(...PODS);
const pick = fc.nat(9);

/** `pick` says which of those there are then. */
const MOVE = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('add'), lane, agent: fc.option(agent), priority: fc.nat(2) }) },
  { weight: 7, arbitrary: fc.record({ what: fc.constant('claim'), lane, pod }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('sent'), pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('release'),
      pick,
      how: fc.constantFrom('done', 'retry', 'back'),
      agoMs: fc.constantFrom(0, 7, 120),
      untilMs: fc.option(fc.constantFrom(50, 2_500)),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({ what: fc.constant('wait'), ms: fc.constantFrom(1, 99, 300, 760, 1_000, 2_000, 15_100) }),
  },
  { weight: 5, arbitrary: fc.record({ what: fc.constant('beat'), pod }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('forget'), pick }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('mark'), agent, ms: fc.constantFrom(0, 40, 1_500) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('join', 'leave', 'clear'), agent }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('remove'), pick }) },
);

export type Move = {
  what: string;
  lane?: string;
  agent?: string | null;
  priority?: number;
  pod?: string;
  pick?: number;
  how?: string;
  agoMs?: number;
  untilMs?: number | null;
  ms?: number;
};

export const HISTORY = fc.array(MOVE as fc.Arbitrary<Move>, { minLength: 10, maxLength: 60 });

/** Throws at the first move after which they differ. */
export async function play(redis: Redis, keys: Keys, history: readonly Move[]): Promise<void> {
  const world = await new CalendarWorld(redis, keys, { agents: AGENTS, lanes: LANES }).open();
  try {
    const both = new Both(world);
    for (const pod of PODS) await both.move({ what: 'beat', pod });
    for (const [place, move] of history.entries()) {
      await both.move(move).catch((error) => {
        throw new Error(`move ${place}, ${JSON.stringify(move)}: ${(error as Error).message}`);
      });
    }
    await both.end();
  } finally {
    await world.close();
  }
}

function same(real: unknown, wanted: unknown, what: string): void {
  const [one, two] = [JSON.stringify(real), JSON.stringify(wanted)];
  if (one !== two) throw new Error(`${what}: the scripts say ${one}, the model ${two}`);
}

class Both {
  readonly #world: CalendarWorld;
  readonly #model: CalendarModel;
  /** What its pods hold, and what stale hands still hold. */
  #held: (Held & { pod: string })[] = [];
  /** By agent: before then it may not act, by what was paid and said. */
  readonly #notBefore = new Map<string, number>();

  constructor(world: CalendarWorld) {
    this.#world = world;
    this.#model = new CalendarModel(AGENTS, LANES, START);
  }

  async move(move: Move): Promise<void> {
    const world = this.#world;
    const model = this.#model;
    const of = <T>(all: readonly T[]) => all[(move.pick ?? 0) % Math.max(1, all.length)];
    switch (move.what) {
      case 'add': {
        const { lane = '', agent = null, priority = 0 } = move;
        model.add(await world.add(lane, { agent: agent ?? undefined, priority }), lane, agent, priority);
        break;
      }
      case 'claim':
        // A pod that has not beaten for long claims nothing; and whoever has nothing to do is called by a beat at the latest.
        await this.#beat(move.pod ?? '');
        await this.#claim(move.lane ?? '', move.pod ?? '');
        break;
      case 'sent': {
        const held = of(this.#held);
        if (!held) break;
        const { standing } = await world.calendar(held.pod).sent(held.agent, held.token);
        same(standing === 'ours', model.sent(held.agent, held.token), 'sent');
        break;
      }
      case 'release': {
        const held = of(this.#held);
        if (held) await this.#release(held, move);
        break;
      }
      case 'wait':
        await world.after(move.ms ?? 0);
        break;
      case 'beat':
        await this.#beat(move.pod ?? '');
        break;
      case 'forget': {
        const held = of(this.#held);
        if (held) this.#held = this.#held.filter((one) => one !== held);
        break;
      }
      case 'mark':
        await this.#order('mark', move.agent ?? '', world.now + (move.ms ?? 0));
        break;
      case 'clear':
        await this.#order('clear', move.agent ?? '', world.now);
        break;
      case 'join':
      case 'leave': {
        const what = move.what === 'join' ? 'add' : 'remove';
        await world.calendar().change({ what, agent: move.agent ?? '', by: 'test' });
        if (what === 'add') model.join(move.agent ?? '', world.now);
        else model.leave(move.agent ?? '');
        break;
      }
      case 'remove': {
        const job = of(model.jobs.filter(({ state }) => state === 'line'));
        if (!job) break;
        await world.queue(job.lane).queue.remove(job.id);
        model.remove(job.id);
        break;
      }
    }
    await this.#compare();
  }

  /** Everybody beats and claims until nothing is left: each job has ended. */
  async end(): Promise<void> {
    const { jobs } = this.#model;
    for (const agent of AGENTS) await this.move({ what: 'join', agent });
    for (let round = 0; round < 400; round++) {
      for (const held of [...this.#held])
        await this.#release(held, { what: 'release', how: 'done', agoMs: 0, untilMs: null });
      await this.#world.after(1_000);
      await this.#beat('p1');
      for (const lane of LANE_NAMES) while (await this.#claim(lane, 'p1'));
      if (jobs.every(({ state }) => state !== 'line' && state !== 'backoff') && this.#held.length === 0) break;
    }
    const left = jobs.filter(({ state }) => state === 'line' || state === 'backoff');
    same(left, [], 'jobs that did not end');
    for (const job of jobs) {
      // What was sent by a pod that let go of it is left to its lock.
      const where = { done: 'completed', gone: undefined, active: 'active' }[job.state as 'done'];
      same(await this.#world.lies(job.lane, job.id), where, `job ${job.id}`);
    }
  }

  async #claim(lane: string, pod: string): Promise<boolean> {
    const world = this.#world;
    const model = this.#model;
    model.takeIn(world.now);
    const wanted = model.mayClaim(lane, world.now);
    const held = await world.claim(lane, { pod, yields: false });
    same(held?.job.id, wanted?.job.id, `the first of ${lane}`);
    if (!held || !wanted) return false;
    same(wanted.agents.includes(held.agent), true, `${held.agent} of ${wanted.agents}`);
    same(world.now >= (this.#notBefore.get(held.agent) ?? 0), true, `${held.agent} is not early`);
    model.claim(held.agent, wanted.job, pod, held.token, world.now);
    this.#held.push({ ...held, pod });
    return true;
  }

  async #release(held: Held & { pod: string }, { how, agoMs = 0, untilMs = null }: Move): Promise<void> {
    const world = this.#world;
    const model = this.#model;
    this.#held = this.#held.filter((one) => one !== held);
    const { lane, agent, token, pod } = held;
    const costMs = how === 'back' ? null : LANES[lane as 'publish'];
    const end = how === 'back' ? { costMs, agoMs: 0, untilMs: null } : { costMs, agoMs, untilMs };
    const job = model.jobs.find(({ id }) => id === held.job.id) as ModelJob;
    // BullMQ's lock says whose job it is, the token whose agent: a job may be its own pod's while its agent is not.
    const lock = await world.redis.get(`${world.queue(lane).jobKey(job.id)}:lock`);
    const isLocked = lock === held.lock && job.state === 'active';
    const isOurs = model.release(agent, token, end, world.now);
    const change = { ...end, source: 'policy', reason: '' } as const;
    const released = await (how === 'back'
      ? world.giveBack(held, pod)
      : how === 'retry'
        ? world.retry(held, 400, change, pod)
        : world.done(held, change, pod)
    ).catch((error: { code?: number }) => {
      same(isLocked, false, `refused with ${error.code}`);
      return undefined;
    });
    if (released) same(released.released.opensInMs !== undefined, isOurs, 'whose agent it is');
    if (isOurs && costMs !== null)
      this.#notBefore.set(agent, Math.max(world.now - end.agoMs + costMs, world.now + (end.untilMs ?? 0)));
    if (!isLocked) return;
    job.state = how === 'done' ? 'done' : 'backoff';
    job.dueAt = how === 'retry' ? world.now + 400 : world.now;
  }

  async #beat(pod: string): Promise<void> {
    const world = this.#world;
    const own = this.#held.filter((held) => held.pod === pod);
    const before = new Map([...this.#model.agents].map(([name, { claim }]) => [claim?.token, name]));
    const freed = this.#model.beat(
      pod,
      own.map(({ token }) => token),
      world.now,
    );
    for (const token of freed) {
      const name = before.get(token) as string;
      this.#notBefore.set(name, this.#model.agents.get(name)?.next ?? 0);
    }
    this.#model.takeIn(world.now);
    const told = await world.beat(pod, own);
    same(
      told === 'gone' ? told : told.map(({ agent }) => agent).sort(),
      freed.map((token) => before.get(token)).sort(),
      'freed',
    );
  }

  async #order(what: 'mark' | 'clear', agent: string, at: number): Promise<void> {
    await this.#world.calendar().change({ what, agent, by: 'test', untilAt: at });
    this.#model[what](agent, at);
    // Only this lets anybody act sooner.
    if (what === 'clear' && this.#model.agents.get(agent)?.isThere) this.#notBefore.delete(agent);
  }

  /** Each agent's window, and who holds it. */
  async #compare(): Promise<void> {
    const pipeline = this.#world.redis.pipeline();
    const known = [...this.#model.agents];
    for (const [name] of known) pipeline.hmget(this.#world.keys.agent('forum', name), 'next', 'token');
    const replies = (await pipeline.exec()) ?? [];
    for (const [place, [name, { next, claim }]] of known.entries()) {
      const [realNext, token] = (replies[place]?.[1] ?? []) as [string | null, string | null];
      same(Number(realNext), next, `when ${name} opens`);
      same(token === null ? null : Number(token), claim?.token ?? null, `who has ${name}`);
    }
  }
}
