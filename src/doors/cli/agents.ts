// The command about agents: look at all upstreams' or at one's, and register, remove, mark or clear one while everything runs.

import { Argument, type Command } from 'commander';
import { sayAdd, sayCause } from '../../path/agent-lines.ts';
import { type AgentSeen, type AgentsSeen, lookAtAgents } from '../../path/agent-look.ts';
import {
  type AgentChange,
  type AgentOrders,
  addAgent,
  clearAgent,
  markAgent,
  removeAgent,
} from '../../path/agent-orders.ts';
import { toReason } from '../../path/reason.ts';
import { Calendar } from '../../store/calendar/calendar.ts';
import { toInstant } from '../../words/clock.ts';
import { formatDuration } from '../../words/duration.ts';
import { LanekeeperError, quote, toError } from '../../words/errors.ts';
import { dirCommand } from './options.ts';
import { hint, say, sayFacts, sayJson, sayTable, when } from './print.ts';
import { openSession, type Session } from './session.ts';

const ACTIONS = ['add', 'remove', 'mark', 'clear'] as const;
type Action = (typeof ACTIONS)[number];

interface AgentsOptions {
  dir: string;
  json?: boolean;
  reason?: string;
  until?: string;
  meta?: string;
  heartbeat?: string;
}

/** Rows of the table; JSON has all. */
const MAX_AGENTS = 200;
const MAX_NAMES = 10;

export function addAgentsCommand(program: Command): void {
  dirCommand(
    program,
    'agents',
    'show the agents of an upstream and when each may act; register, remove, mark or clear one',
  )
    .argument('[upstream]', 'whose agents; without one, how many each upstream has')
    .addArgument(new Argument('[action]', 'what to do').choices(ACTIONS))
    .argument('[agent]', 'the agent')
    .option('--reason <text>', 'with an action: why, for the journal and for whoever asks', toReason)
    .option('--until <when>', "for mark: it acts no sooner, such as '2030-01-31T08:00:00Z', or '2h' from now")
    .option('--meta <json>', 'for add: what is to be known of it')
    .option('--heartbeat <duration>', 'for add: it is added again within it, or nobody acts as it until it is')
    .addHelpText(
      'after',
      '\nExamples:\n  $ lanekeeper agents\n  $ lanekeeper agents forum\n  $ lanekeeper agents forum mark a01 --until 24h --reason "banned for a day"\n  $ lanekeeper agents forum clear a01 --reason "they lifted it"\n  $ lanekeeper agents forum add a33 --reason "one more account"\n',
    )
    .action(
      async (
        name: string | undefined,
        action: Action | undefined,
        agent: string | undefined,
        options: AgentsOptions,
        self: Command,
      ) => {
        const complaint = findMisuse(action, agent, options);
        if (complaint) {
          const words = ['agents', name, action].filter((word) => word !== undefined);
          self.error(`error: '${words.join(' ')}' ${complaint}`, { exitCode: 2 });
        }
        await using session = await openSession(options);
        if (name === undefined) return showAll(await lookAtAll(session), options);
        const upstream = session.upstream(name);
        const lanes = lanesOf(session, name);
        const { redis, keys } = session;
        if (action === undefined) {
          const seen = await lookAtAgents(redis, keys, upstream, lanes);
          return options.json ? sayJson(seen) : show(seen);
        }
        const change = await give(toOrders(session, name, lanes), action, agent, options);
        if (options.json) return sayJson(change);
        say(sayChange(change));
        if (action === 'remove' && upstream.agents.includes(change.agent))
          hint(`its definition names it, and does not bring it back: to do so, ${sayAdd(name, change.agent)}`);
      },
    );
}

function lanesOf({ definitions }: Session, upstream: string): string[] {
  const lanes = [...definitions.lanes.values()].filter((lane) => lane.agent && lane.upstream?.name === upstream);
  return lanes.map(({ name }) => name);
}

/** Of the folder, with agents: registered, defined, or asked for by a lane. */
async function lookAtAll(session: Session): Promise<AgentsSeen[]> {
  const { definitions, redis, keys } = session;
  const all: AgentsSeen[] = [];
  for (const upstream of definitions.upstreams.values()) {
    const lanes = lanesOf(session, upstream.name);
    const seen = await lookAtAgents(redis, keys, upstream, lanes);
    if (seen.agents.length + seen.absent.length + lanes.length > 0) all.push(seen);
  }
  return all;
}

function findMisuse(
  action: Action | undefined,
  agent: string | undefined,
  { reason, until, meta, heartbeat }: AgentsOptions,
): string | undefined {
  if (action !== undefined && agent === undefined) return 'needs an agent';
  if (action === 'mark' && until === undefined) return 'needs --until: before that instant it does not act';
  if (action !== 'mark' && until !== undefined) return 'takes no --until: it is for mark';
  if (action !== 'add' && meta !== undefined) return 'takes no --meta: it is for add';
  if (action !== 'add' && heartbeat !== undefined) return 'takes no --heartbeat: it is for add';
  if (action !== undefined && reason === undefined) return 'needs --reason: it is kept with the order';
  if (action === undefined && reason !== undefined) return `takes no --reason: it is for ${ACTIONS.join(', ')}`;
  return undefined;
}

function toOrders({ redis, keys, who }: Session, upstream: string, lanes: readonly string[]): AgentOrders {
  return { calendar: new Calendar(redis, keys, upstream, who), redis, keys, upstream, lanes, who };
}

function give(
  orders: AgentOrders,
  action: Action,
  agent: string | undefined,
  { reason, until, meta, heartbeat }: AgentsOptions,
): Promise<AgentChange> {
  switch (action) {
    case 'add':
      return addAgent(orders, agent, meta === undefined ? undefined : parseMeta(meta), reason, { heartbeat });
    case 'remove':
      return removeAgent(orders, agent, reason);
    case 'mark':
      return markAgent(orders, agent, until, reason);
    case 'clear':
      return clearAgent(orders, agent, reason);
  }
}

function parseMeta(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new LanekeeperError('LK_INPUT', `--meta: expected JSON, got ${quote(json)} (${toError(error).message})`);
  }
}

function showAll(all: readonly AgentsSeen[], { json }: AgentsOptions): void {
  const rows = all.map(toSummary);
  if (json) sayJson(rows);
  else if (rows.length === 0) hint('no upstream of this folder has agents');
  else {
    sayTable(
      ['UPSTREAM', 'AGENTS', 'OPEN', 'ACTING', 'COOLING', 'SILENT', 'NEXT OPENING', 'WAITING'],
      rows.map(({ upstream, agents, open, acting, cooling, silent, nextAt, waiting, seenAt }) => {
        return [upstream, agents, open, acting, cooling, silent, when(nextAt, seenAt), waiting];
      }),
    );
  }
}

/** `nextAt`: of those that cool down, the one that opens first; null when none does. */
function toSummary({ upstream, seenAt, agents, lanes, absent }: AgentsSeen) {
  const count = (wanted: AgentSeen['state']) => agents.filter(({ state }) => state === wanted).length;
  const opensAt = agents.flatMap(({ state, nextAt }) => (state === 'cooling' && nextAt !== null ? [nextAt] : []));
  const waiting = [...agents, ...lanes, ...absent].reduce((sum, one) => sum + one.waiting, 0);
  return {
    upstream,
    seenAt,
    agents: agents.length,
    open: count('open'),
    acting: count('acting'),
    cooling: count('cooling'),
    silent: count('silent'),
    nextAt: opensAt.length > 0 ? Math.min(...opensAt) : null,
    waiting,
  };
}

function show(seen: AgentsSeen): void {
  const { upstream, agents, seenAt } = seen;
  if (agents.length === 0) hint(`${upstream} has no agents: ${sayAdd(upstream, 'NAME')}`);
  else {
    sayTable(
      ['AGENT', 'STATE', 'NEXT WINDOW', 'LAST ACT', 'WHY', 'WAITING', 'ACTS', 'SUCCESS'],
      agents.slice(0, MAX_AGENTS).map((agent) => toRow(agent, seenAt)),
    );
  }
  const facts = toFacts(seen);
  if (facts.some(([, text]) => text)) sayFacts(facts);
}

function toRow(seen: AgentSeen, nowAt: number): unknown[] {
  const { agent, state, nextAt, lastAt, acting, waiting, acts, success } = seen;
  const next =
    state === 'acting'
      ? 'after this act'
      : state === 'silent'
        ? 'when heard'
        : nextAt === null
          ? 'not known'
          : when(nextAt, nowAt);
  const why = acting
    ? `${acting.lane} ${acting.job} on ${acting.pod} for ${formatDuration(Math.max(0, nowAt - acting.sinceAt))}`
    : state === 'silent'
      ? `silent since ${when(seen.silentSinceAt, nowAt)}${sayHeartbeat(seen)}`
      : state === 'open'
        ? null
        : sayCause(seen);
  const share = success === null ? null : `${Math.round(success * 100)} %`;
  return [agent, state, next, when(lastAt, nowAt), why, waiting, acts, share];
}

function toFacts({ upstream, agents, lanes, absent, closedUntilAt, pods, seenAt }: AgentsSeen): [string, string][] {
  const waiting = lanes.filter((lane) => lane.waiting > 0);
  const missed = absent.filter((one) => one.waiting > 0);
  const unregistered = absent.filter((one) => !one.isRemoved);
  const costs = lanes.filter((lane) => lane.cooldownMs !== null);
  return [
    [`${upstream} cooldown`, costs.map((lane) => `${lane.lane} ${formatDuration(lane.cooldownMs ?? 0)}`).join(', ')],
    [`${upstream} any agent`, waiting.map((lane) => `${lane.waiting} of ${lane.lane} wait`).join(', ')],
    [`${upstream} missing`, missed.map((one) => sayMissing(one, upstream)).join('\n')],
    [
      `${upstream} not registered`,
      unregistered.length === 0 ? '' : `${some(unregistered)}: a pod that runs a lane of ${upstream} registers them`,
    ],
    [
      `${upstream} lost`,
      closedUntilAt === null
        ? ''
        : `what was known of its agents was lost, or nothing is known yet: nobody acts for ${formatDuration(closedUntilAt - seenAt)} more`,
    ],
    [`${upstream} heard`, sayHeard(agents, seenAt)],
    [`${upstream} pods`, pods > 0 || agents.length === 0 ? '' : 'none looks after them: no window is used'],
    [`${upstream} more`, agents.length > MAX_AGENTS ? `${agents.length - MAX_AGENTS} agents: --json has all` : ''],
  ];
}

function sayHeartbeat({ heartbeatMs }: AgentSeen): string {
  return heartbeatMs === null ? '' : `, heartbeat ${formatDuration(heartbeatMs)}`;
}

/** Of those whose services say again and again that they are there, or promised to: the longest silent first. */
function sayHeard(agents: readonly AgentSeen[], nowAt: number): string {
  const heard = agents.flatMap((one) => {
    const { agent, addedAt, heardAt, heartbeatMs } = one;
    const isTold = heardAt !== null && (heartbeatMs !== null || heardAt > (addedAt ?? heardAt));
    return isTold ? [{ agent, heardAt, heartbeat: sayHeartbeat(one) }] : [];
  });
  heard.sort((a, b) => a.heardAt - b.heardAt);
  const shown = heard.slice(0, MAX_NAMES);
  const more = heard.length > MAX_NAMES ? ` and ${heard.length - MAX_NAMES} more` : '';
  return `${shown.map(({ agent, heardAt, heartbeat }) => `${agent} ${formatDuration(Math.max(0, nowAt - heardAt))} ago${heartbeat}`).join('; ')}${more}`;
}

function sayMissing({ agent, waiting }: AgentsSeen['absent'][number], upstream: string): string {
  return `${sayJobs(waiting)} for ${agent}, which is not registered: ${sayAdd(upstream, agent)}`;
}

function some(absent: AgentsSeen['absent']): string {
  const names = absent.slice(0, MAX_NAMES).map(({ agent }) => agent);
  return `${names.join(', ')}${absent.length > MAX_NAMES ? ` and ${absent.length - MAX_NAMES} more` : ''}`;
}

function sayJobs(count: number): string {
  return count === 1 ? '1 job waits' : `${count} jobs wait`;
}

function sayChange(change: AgentChange): string {
  const { upstream, agent, order, isChanged, beforeAt, afterAt, orderedAt, isActing, waiting } = change;
  const wasFor = beforeAt === null ? 0 : beforeAt - orderedAt;
  const opens = `its window ${afterAt === null || afterAt <= orderedAt ? 'is open' : `opens ${when(afterAt, orderedAt)}`}`;
  const acts = isActing ? ['an act of it is under way, and costs its cooldown'] : [];
  switch (order) {
    case 'add':
      return isChanged
        ? `registered ${agent} with ${upstream}; ${opens}`
        : `${agent} was registered with ${upstream} before: a sign of life, and its metadata is replaced; ${opens}`;
    case 'remove':
      return [
        `removed ${agent} from ${upstream}`,
        ...(isActing ? ['an act of it is under way, and ends as ever'] : []),
        ...(waiting > 0 ? [`${sayJobs(waiting)} for it: parked until it is added again, or they are cancelled`] : []),
      ].join('; ');
    case 'mark': {
      const isLater = beforeAt !== null && beforeAt === afterAt;
      return [
        `marked ${agent} of ${upstream}: it acts no sooner than ${afterAt === null ? 'never' : toInstant(afterAt)}, for all pods`,
        ...(isLater ? ['as before: only clearing lets it act sooner'] : []),
        ...acts,
      ].join('; ');
    }
    case 'clear':
      return [
        `cleared ${agent} of ${upstream}: it may act now`,
        ...(wasFor > 0 ? [`${formatDuration(wasFor)} before its window would have opened`] : []),
        ...acts,
      ].join('; ');
  }
}
