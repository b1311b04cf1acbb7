// The calendar of an upstream's agents: who may act when, and which job acts next. Its moves are scripts, and those that fetch and
// settle a job stand around BullMQ's own, so an agent and its job change hands together or not at all.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { IQueueBackend, JobJson } from 'bullmq';
import type { Keys } from '../../words/keys.ts';
import type { Redis } from '../connect.ts';
import { WRITE_ENTRY } from '../journal-stream.ts';
import type { FetchedJob, LaneQueue } from '../lane-queue.ts';
import { scriptOf, type Value } from '../together.ts';

/** A pod that is silent for so long may begin nothing any more: others may have what it claimed. */
export const DEAD_MS = 650;
/** Nor go on with what it began. */
export const SILENT_MS = 15_000;
/** A window that opens so soon after an act is looked after by whoever acted. */
export const AHEAD_MS = 300;
/** A pod that holds something says so as often. Of those that hold nothing one does, in turn, while anything stirs. */
export const BEAT_MS = 200;
/** So long a pod that holds nothing is silent at the most: less than would make it look dead. */
export const QUIET_MS = 500;
/** The same while nothing is under way and nothing comes due. */
const SLOW_MS = 1_000;
/** Windows that open within it are looked after by somebody. More than anybody is quiet, so that none opens unseen. */
const LOOK_MS = QUIET_MS + 100;
/** While nothing is known, for pods to tell what they know. */
const CLOSED_MS = 3 * BEAT_MS;

/** Of a claim: `lost`, others have the agent; `outranked`, a job that came after it goes first. */
export type Standing = 'ours' | 'lost' | 'outranked';

export interface Claim {
  agent: string;
  token: number;
  /** From the instant at which Redis answered; below 0 it is open. */
  opensInMs: number;
  /** It may act, because others start just before: no sooner than it opens. */
  startsInMs: number;
  /** Its job, in line. */
  waitedMs: number;
}

export type Claimed =
  | { kind: 'job'; job: FetchedJob; claim: Claim; hasMore: boolean; redisAt: number }
  /** Its jobs go first. */
  | { kind: 'other'; lane: string }
  | { kind: 'none' | 'gone' };

/** How an act ended for its agent. */
export interface Release {
  agent: string;
  token: number;
  /** What it costs, from its last answer; null: it did not act. */
  costMs: number | null;
  agoMs: number;
  /** The same as Redis's clock said then, or a little later; null when that is not known. */
  answeredAt: number | null;
  /** It may not act for so long, whatever it costs. */
  untilMs: number | null;
  source: 'policy' | 'retry-after' | 'quota' | 'ban' | 'operator';
  reason: string;
  ok: 0 | 1 | null;
  /** The job goes on as this agent, if it goes on. */
  binds: boolean;
}

export interface Released {
  /** Undefined: others have the agent. */
  opensInMs: number | undefined;
  isWanted: boolean;
  redisAt: number | undefined;
}

/** What a pod claimed and has not given back. */
export interface Holding {
  token: number;
  agent: string;
  lane: string;
  job: string;
}

export interface Watch {
  agent: string;
  opensInMs: number;
}

export interface Freed {
  lane: string;
  job: string;
  agent: string;
  wasSent: boolean;
}

export interface Beat {
  /** Windows that this pod is to look after. */
  watch: Watch[];
  /** Taken from the dead. */
  freed: Freed[];
  redisAt: number;
  /** After so long it beats again, if it holds nothing until then. */
  turnMs: number;
}

export interface AgentOrder {
  what: 'add' | 'remove' | 'mark' | 'clear';
  agent: string;
  by: string;
  untilAt?: number;
  reason?: string | null;
  source?: string;
  meta?: unknown;
  /** Added so, it is to be added again within it, or nobody acts as it until it is. */
  heartbeatMs?: number | undefined;
}

export type OrderReply =
  | { kind: 'unknown' | 'known' }
  | { kind: 'changed'; before: number | null; after: number | null };

const read = (name: string) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8');
export const CALENDAR = read('./calendar.lua');
/** For the end of an add. */
export const LINE_UP = read('./line-up.lua');
const WHOLE = {
  beat: `${WRITE_ENTRY}\n${read('./beat.lua')}`,
  register: read('./register.lua'),
  change: `${WRITE_ENTRY}\n${read('./change.lua')}`,
  sent: read('./sent.lua'),
};
const AROUND = { claim: read('./claim.lua'), release: read('./release.lua') };

/** What each script is told last: what the keys begin with. */
export function calendarPrefixes(keys: Keys, tag: string): [string, string, string] {
  const lane = { name: '', tag };
  return [keys.upstream(tag), keys.lanes(tag), `${keys.queuePrefix(lane)}:`];
}

export class Calendar {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #tag: string;
  readonly #pod: string;
  /** Of what is known in Redis, since when this pod told what it knows. */
  #epoch = '';

  constructor(redis: Redis, keys: Keys, tag: string, pod: string) {
    this.#redis = redis;
    this.#keys = keys;
    this.#tag = tag;
    this.#pod = pod;
  }

  /** `told` is what this pod knows of when agents may act again. True: what was known of this upstream had been lost. */
  async register(
    agents: readonly string[],
    lanes: Record<string, number>,
    wasKnown: boolean,
    told: Record<string, number>,
    holding: readonly Holding[] = [],
  ): Promise<boolean> {
    const known = [JSON.stringify(agents), JSON.stringify(lanes), wasKnown ? 1 : 0, JSON.stringify(told), CLOSED_MS];
    const given = [...known, this.#pod, JSON.stringify(holding), this.#epoch, this.#keys.agentNotice(this.#tag)];
    const [isLost, epoch] = (await this.#run('register', given)) as [number, string];
    this.#epoch = epoch;
    return isLost === 1;
  }

  /** Undefined: register again. */
  async beat(lanes: readonly string[], holding: readonly number[]): Promise<Beat | undefined> {
    const who = [this.#pod, JSON.stringify(lanes)];
    const given = [...who, DEAD_MS, SILENT_MS, LOOK_MS, JSON.stringify(holding), this.#epoch];
    const reply = (await this.#run('beat', [...given, BEAT_MS, QUIET_MS, SLOW_MS, this.#tag])) as [
      string,
      string[]?,
      (string | number)[]?,
      string?,
      string?,
    ];
    const [kind, open = [], freed = [], redisAt, turnMs] = reply;
    if (kind === 'gone') return undefined;
    return {
      redisAt: Number(redisAt),
      turnMs: Number(turnMs),
      watch: inGroups(open, 2).map(([agent, ms]) => ({ agent: String(agent), opensInMs: Number(ms) })),
      freed: inGroups(freed, 4).map(([lane, job, agent, sent]) => ({
        lane: String(lane),
        job: String(job),
        agent: String(agent),
        wasSent: Number(sent) === 1,
      })),
    };
  }

  async change(order: AgentOrder): Promise<OrderReply> {
    const wire = JSON.stringify({ ...order, upstream: this.#tag });
    const reply = (await this.#run('change', [wire, this.#keys.agentNotice(this.#tag)])) as string[];
    const [kind, before = '', after = ''] = reply;
    if (kind !== 'changed') return { kind: kind as 'unknown' | 'known' };
    return { kind, before: before === '' ? null : Number(before), after: after === '' ? null : Number(after) };
  }

  /** The first job, of this lane, that an agent may do now or within `leadMs`. Two agents start `apartMs` from each other. */
  async claim(laneQueue: LaneQueue, token: string, leadMs: number, yields: boolean, apartMs: number): Promise<Claimed> {
    let told: unknown[] = [];
    const { name } = laneQueue.lane;
    const backend = around(
      laneQueue,
      'claim',
      [name, this.#pod, leadMs, yields ? 1 : 0, apartMs, ...this.#prefixes()],
      {
        // In a lane with agents the line decides who leaves the delayed set, so BullMQ is shown an empty one.
        hide: [laneQueue.backend.toKey('delayed'), `${this.#keys.lanes(this.#tag)}${name}:none`],
        reply: (raw) => {
          told = raw as unknown[];
          return told[0] === 'job' ? told[1] : undefined;
        },
      },
    );
    const reply = (await backend.moveToActive(token, this.#pod)) as unknown as [JobJson?, string?];
    const [kind, second, agent, claimToken, opensInMs, startsInMs, waitedMs, more, redisAt] = told as [
      Claimed['kind'],
      ...unknown[],
    ];
    if (kind === 'other') return { kind, lane: String(second) };
    if (kind !== 'job') return { kind };
    const [job, id] = reply as [JobJson, string];
    job.id = id;
    const claim = {
      agent: String(agent),
      token: Number(claimToken),
      opensInMs: Number(opensInMs),
      startsInMs: Number(startsInMs),
      waitedMs: Number(waitedMs),
    };
    return { kind, job: job as FetchedJob, claim, hasMore: more === 1, redisAt: Number(redisAt) };
  }

  /** Settles by `move` on the backend it is given, and gives the agent back in the same script. */
  async release<T>(
    laneQueue: LaneQueue,
    job: string,
    release: Release,
    move: (backend: IQueueBackend) => Promise<T>,
  ): Promise<{ reply: T; released: Released }> {
    let released: Released = { opensInMs: undefined, isWanted: false, redisAt: undefined };
    const wire = { ...release, lane: laneQueue.lane.name, job, pod: this.#pod, aheadMs: AHEAD_MS };
    const backend = around(laneQueue, 'release', [JSON.stringify(wire), ...this.#prefixes()], {
      reply: (raw) => {
        const [reply, opensInMs, isWanted, redisAt] = raw as [unknown, string?, number?, string?];
        if (opensInMs !== undefined) {
          released = { opensInMs: Number(opensInMs), isWanted: isWanted === 1, redisAt: Number(redisAt) };
        }
        return reply ?? undefined;
      },
    });
    const reply = await move(backend);
    return { reply, released };
  }

  /** A request is about to go out. With `yields` not while a job that came after the claim stands before its own. */
  async sent(agent: string, token: number, yields = false): Promise<{ standing: Standing; redisAt: number }> {
    const [standing, redisAt] = (await this.#run('sent', [agent, token, 1, yields ? 1 : 0])) as [Standing, string];
    return { standing, redisAt: Number(redisAt) };
  }

  /** None did go out, and none is about to. */
  async unsent(agent: string, token: number): Promise<void> {
    await this.#run('sent', [agent, token, 0, 0]);
  }

  #prefixes(): [string, string, string] {
    return calendarPrefixes(this.#keys, this.#tag);
  }

  #run(name: keyof typeof WHOLE, given: Value[]): Promise<unknown> {
    const command = `lk:calendar:${name}`;
    if (!(command in this.#redis)) {
      this.#redis.defineCommand(command, { numberOfKeys: 1, lua: `${CALENDAR}\n${WHOLE[name]}` });
    }
    return send(this.#redis, command, [this.#keys.windows(this.#tag), ...given, ...this.#prefixes()]);
  }
}

interface Around {
  /** A key that is given to BullMQ's script as another. */
  hide?: [from: string, to: string];
  /** Takes out what is ours of the answer, and gives BullMQ its own. */
  reply: (raw: unknown) => unknown;
}

/** BullMQ's backend, which packs what its script takes and reads what it answers; the script it sends has ours around it. */
function around(
  laneQueue: LaneQueue,
  ours: keyof typeof AROUND,
  more: Value[],
  { hide, reply }: Around,
): IQueueBackend {
  const { redis } = laneQueue;
  return Object.assign(Object.create(laneQueue.backend), {
    async execCommand(this: { version: string }, _: unknown, name: string, args: Value[]) {
      const command = `${name}:${this.version}`;
      const merged = `lk:calendar:${ours}:${command}`;
      const { numberOfKeys } = scriptOf(redis, command);
      if (!(merged in redis)) {
        const bull = `local function bull(KEYS, ARGV)\n${scriptOf(redis, command).lua}\nend`;
        redis.defineCommand(merged, { numberOfKeys, lua: `${bull}\n${CALENDAR}\n${AROUND[ours]}` });
      }
      const given = hide ? args.map((arg, place) => (place < numberOfKeys && arg === hide[0] ? hide[1] : arg)) : args;
      return reply(await send(redis, merged, [...given, ...more]));
    },
  }) as IQueueBackend;
}

function send(redis: Redis, command: string, given: Value[]): Promise<unknown> {
  const commands = redis as unknown as Record<string, (...given: Value[]) => Promise<unknown>>;
  return (commands[command] as (...given: Value[]) => Promise<unknown>).call(redis, ...given);
}

function inGroups<T>(flat: readonly T[], size: number): T[][] {
  return Array.from({ length: flat.length / size }, (_, index) => flat.slice(index * size, index * size + size));
}
