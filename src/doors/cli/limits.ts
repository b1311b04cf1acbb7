// The command about limits: look at them, and change them while everything runs.

import { Argument, type Command } from 'commander';
import { readHeads } from '../../path/heads.ts';
import {
  SPLIT_TODO,
  sayClosed,
  sayDrift,
  sayHold,
  sayLane,
  sayOverride,
  sayRelease,
  saySplit,
} from '../../path/limit-lines.ts';
import { type LimitSeen, type LimitsSeen, lookAtLimits } from '../../path/limit-look.ts';
import {
  type HoldReleased,
  type LimitChange,
  type LimitOrder,
  releaseLimits,
  resetLimit,
  setLimit,
} from '../../path/limit-orders.ts';
import { toReason } from '../../path/reason.ts';
import { redisNow } from '../../store/redis-now.ts';
import { toInstant } from '../../words/clock.ts';
import { formatDuration } from '../../words/duration.ts';
import { quote } from '../../words/errors.ts';
import { dirCommand } from './options.ts';
import { hint, say, sayFacts, sayJson, sayTable } from './print.ts';
import { openSession, type Session } from './session.ts';

type Action = 'set' | 'reset';

interface LimitsOptions {
  dir: string;
  json?: boolean;
  reason?: string;
  for?: string;
}

/** In line are shown at the most so many; JSON has all. */
const MAX_WAITING = 10;
const MAX_AGENTS = 10;
const BAR = 10;
/** No limit is called so: their names come from their kinds. */
const HOLD = 'hold';

export function addLimitsCommand(program: Command): void {
  dirCommand(
    program,
    'limits',
    'show the limits of upstreams and what is in use; set one for all pods at once, or reset it',
  )
    .argument('[upstream]', 'only this one')
    .addArgument(new Argument('[action]', 'what to do').choices(['set', 'reset']))
    .argument('[limit]', "the limit, as shown; for reset also 'hold'; reset without one resets all limits")
    .argument('[value]', 'for set: the size, 1 or more')
    .option('--reason <text>', 'for set and reset: why, for the journal and for whoever asks', toReason)
    .option('--for <duration>', 'for set: until then; without it until somebody resets it')
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper limits\n  $ lanekeeper limits forum set concurrent 2 --for 30m --reason "they are slow today"\n  $ lanekeeper limits forum reset concurrent --reason "they are well again"\n\nAfter a 429 or a used-up quota nobody is let through until the instant that the upstream named. To end that now, for all pods:\n  $ lanekeeper limits forum reset hold --reason "they lifted it"\n',
    )
    .action(
      async (
        name: string | undefined,
        action: Action | undefined,
        limit: string | undefined,
        value: string | undefined,
        options: LimitsOptions,
        self: Command,
      ) => {
        const complaint = findMisuse(action, limit, value, options);
        if (complaint) {
          const words = ['limits', name, action].filter((word) => word !== undefined);
          self.error(`error: '${words.join(' ')}' ${complaint}`, { exitCode: 2 });
        }
        await using session = await openSession(options);
        if (name === undefined) return await show(session, [...session.definitions.upstreams.values()], options);
        const upstream = session.upstream(name);
        if (action === undefined) return await show(session, [upstream], options, name);
        const { redis, keys, who } = session;
        const lanes = [...session.definitions.lanes.values()].filter((lane) => lane.upstream?.name === name);
        const queues = lanes.map((lane) => session.queue(lane));
        const order: LimitOrder = { redis, keys, upstream, queues, lanes, who, reason: options.reason ?? '' };
        if (action === 'reset' && limit === HOLD) {
          const released = await releaseLimits(order);
          return options.json ? sayJson(released) : say(sayReleased(released));
        }
        if (action === 'reset') {
          const changes = await resetLimit(order, limit);
          return options.json ? sayJson(changes) : sayReset(changes, name);
        }
        const change = await setLimit(order, limit ?? '', { size: toNumber(value ?? ''), for: options.for });
        return options.json ? sayJson(change) : say(saySet(change));
      },
    );
}

function findMisuse(
  action: Action | undefined,
  limit: string | undefined,
  value: string | undefined,
  options: LimitsOptions,
): string | undefined {
  if (action === 'set' && value === undefined)
    return `needs ${limit === undefined ? 'a limit and a value' : 'a value'}`;
  if (action === 'reset' && value !== undefined) return `takes no value, got ${quote(value)}`;
  if (action !== 'set' && options.for !== undefined) return 'takes no --for: it is for set';
  if (action !== undefined && options.reason === undefined) return 'needs --reason: it is kept with the order';
  if (action === undefined && options.reason !== undefined) return 'takes no --reason: it is for set and reset';
  return undefined;
}

/** What is no plain number is left as it came, for the complaint about it. */
function toNumber(value: string): number | string {
  return /^-?\d{1,20}(\.\d+)?$/.test(value) ? Number(value) : value;
}

/** A pod asks for permits before it knows of a job: in a lane without any it stands in line all the same. */
interface Seen extends Omit<LimitsSeen, 'waiting'> {
  /** `hasWork`: a job of its lane could run now; null of a lane that this folder has not. */
  waiting: (LimitsSeen['waiting'][number] & { hasWork: boolean | null })[];
}

async function withWork({ redis, definitions, queue }: Session, seen: LimitsSeen): Promise<Seen> {
  const names = [...new Set(seen.waiting.map(({ lane }) => lane))];
  const nowAt = names.length > 0 ? await redisNow(redis) : 0;
  const known = names.flatMap((name) => definitions.lanes.get(name) ?? []);
  const work = await Promise.all(
    known.map(async (lane) => [lane.name, (await readHeads(queue(lane), nowAt)).oldest !== undefined] as const),
  );
  const hasWork = new Map(work);
  return { ...seen, waiting: seen.waiting.map((one) => ({ ...one, hasWork: hasWork.get(one.lane) ?? null })) };
}

async function show(
  session: Session,
  upstreams: Parameters<typeof lookAtLimits>[2][],
  options: LimitsOptions,
  only?: string,
): Promise<void> {
  const seen = await Promise.all(
    upstreams.map(async (upstream) => withWork(session, await lookAtLimits(session.redis, session.keys, upstream))),
  );
  if (options.json) return sayJson(only === undefined ? seen : seen[0]);
  const limited = seen.filter(({ limits, unused }) => limits.length > 0 || unused.length > 0);
  if (limited.length === 0) return hint(`${only ?? 'no upstream of this folder'} has ${only ? 'no ' : ''}limits`);
  sayTable(
    ['UPSTREAM', 'LIMIT', 'USE', 'IN USE', 'SIZE', 'BY LANE', 'NOTE'],
    limited.flatMap((one) => one.limits.flatMap((limit) => toRows(one, limit))),
  );
  sayFacts(limited.flatMap(toFacts));
}

/** A limit by agent has a row for each of its fullest. */
function toRows({ upstream, seenAt }: LimitsSeen, limit: LimitSeen): unknown[][] {
  const { limit: name, size, agents } = limit;
  const uses = agents.length > 0 ? agents.slice(0, MAX_AGENTS) : [limit];
  return uses.map(({ inUse, agent, byLane }, index) => {
    const filled = Math.min(BAR, Math.ceil((inUse / size) * BAR));
    const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}`;
    const use = agent === null || inUse === 0 ? inUse : `${inUse} (${agent})`;
    const note = index === 0 ? sayOverride(limit, seenAt) : undefined;
    return [upstream, name, bar, use, size, byLane.map(sayLane).join(', ') || null, note ?? null];
  });
}

function toFacts(seen: Seen): [string, string | undefined][] {
  const { upstream, limits, waiting, drift, split, unused, seenAt } = seen;
  const others = limits.flatMap(({ limit, agents }) =>
    agents.length > MAX_AGENTS ? [`${agents.length - MAX_AGENTS} more use ${limit}, none of them more`] : [],
  );
  const shown = waiting.slice(0, MAX_WAITING).map(({ lane, pod, want, sinceAt, place, hasWork }) => {
    const asks = hasWork === false ? `asks ahead, no job waits there` : `wants ${want}`;
    return `${place}. ${lane} on ${pod} ${asks}, for ${formatDuration(Math.max(0, seenAt - sinceAt))}`;
  });
  if (waiting.length > MAX_WAITING) shown.push(`and ${waiting.length - MAX_WAITING} more`);
  const hold = sayHold(seen);
  return [
    [`${upstream} lost`, sayClosed(seen)],
    [`${upstream} hold`, hold && `${hold}\nto end it now: ${sayRelease(upstream)}`],
    [`${upstream} agents`, others.join('\n')],
    [`${upstream} waiting`, shown.join('\n')],
    [`${upstream} driver`, split ? `${saySplit(split)}\nto end that: ${SPLIT_TODO}` : undefined],
    [`${upstream} drift`, drift.map(sayDrift).join('\n')],
    [
      `${upstream} unused`,
      unused.map((order) => `${order.limit}: an order of ${order.who}, but no such limit`).join('\n'),
    ],
  ];
}

function saySet({ upstream, limit, before, after, definedSize, untilAt, inUse, called }: LimitChange): string {
  const parts = [`set ${limit} of ${upstream} from ${before} to ${after}, for all pods`];
  if (untilAt !== null) parts.push(`until ${toInstant(untilAt)}`);
  if (definedSize !== null && after !== null && after > definedSize)
    parts.push(`more than the ${definedSize} of its definition`);
  if (after !== null && inUse > after)
    parts.push(`${inUse} are in use: nothing new is granted until fewer than ${after} are`);
  if (called > 0) parts.push(sayCalled(called));
  return parts.join('; ');
}

function sayReleased({ upstream, leftMs, toldBy, told, called }: HoldReleased): string {
  const by = toldBy === null ? '' : ` by ${toldBy}`;
  const parts = [`ended the hold of ${upstream}, for all pods`];
  parts.push(`${formatDuration(leftMs)} before its end, told${by}: ${told ?? 'no reason given'}`);
  if (called > 0) parts.push(sayCalled(called));
  return parts.join('; ');
}

function sayReset(changes: readonly LimitChange[], upstream: string): void {
  if (changes.length === 0) hint(`${upstream}: nothing changed: no order stood`);
  for (const { limit, before, after, called } of changes) {
    const more = called > 0 ? `; ${sayCalled(called)}` : '';
    say(`reset ${limit} of ${upstream} from ${before} to ${after ?? 'nothing: no definition has it'}${more}`);
  }
}

function sayCalled(count: number): string {
  return `${count} parked ${count === 1 ? 'job comes' : 'jobs come'} sooner`;
}
