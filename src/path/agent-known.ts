// A job for an agent of whom nobody has heard is refused before anything is written: a misspelt name would wait for ever.

import type { Redis } from '../store/connect.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Keys } from '../words/keys.ts';
import { sayAdd } from './agent-lines.ts';
import { sayKnown } from './agent-orders.ts';
import type { Entry } from './entry.ts';
import type { Lane } from './lane.ts';
import type { Upstream } from './upstream.ts';

const MAX_COMPLAINTS = 10;
const defined = new WeakMap<Upstream, ReadonlySet<string>>();

/** One command, and only where an agent is named that the definition does not; two more when it is refused. */
export async function findUnknownAgents(
  redis: Redis,
  keys: Keys,
  { agent, upstream }: Lane,
  entries: readonly Entry[],
): Promise<LanekeeperError | undefined> {
  if (!agent || !upstream) return undefined;
  const named = entries.flatMap((entry, index) => {
    const name = entry.lining?.agent;
    return name && !isDefined(upstream, name) ? [{ name, entry, index }] : [];
  });
  if (named.length === 0) return undefined;
  const names = [...new Set(named.map(({ name }) => name))];
  const registered = await redis.hmget(keys.agents(upstream.name), ...names);
  const unknown = new Set(names.filter((_, place) => registered[place] === null));
  const strangers = named.filter(({ name }) => unknown.has(name));
  if (strangers.length === 0) return undefined;
  const isIn = await areIn(
    redis,
    strangers.map(({ entry }) => entry),
  );
  const refused = strangers.filter((_, place) => !isIn[place]);
  if (refused.length === 0) return undefined;
  const known = [...new Set([...(await redis.hkeys(keys.agents(upstream.name))), ...upstream.agents])];
  return toComplaint(upstream.name, entries.length, refused, known);
}

function isDefined(upstream: Upstream, agent: string): boolean {
  const names = defined.get(upstream) ?? new Set(upstream.agents);
  defined.set(upstream, names);
  return names.has(agent);
}

/** The same job again, whose agent has left since: it is in, and adding it writes nothing. */
async function areIn(redis: Redis, entries: readonly Entry[]): Promise<boolean[]> {
  const keyed = entries.flatMap(({ reservation }) => reservation?.key ?? []);
  const marks = keyed.length === 0 ? [] : await redis.mget(keyed);
  const standing = new Set(keyed.filter((_, place) => marks[place] !== null));
  return entries.map(({ reservation }) => reservation !== undefined && standing.has(reservation.key));
}

function toComplaint(
  upstream: string,
  count: number,
  refused: readonly { name: string; index: number }[],
  known: readonly string[],
): LanekeeperError {
  const names = [...new Set(refused.map(({ name }) => name))];
  const shown = names.slice(0, MAX_COMPLAINTS).map((name) => {
    const place = count === 1 ? '' : `[${refused.find((one) => one.name === name)?.index}] `;
    return `${place}${quote(name)}`;
  });
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : '';
  const list = count === 1 ? '' : `${refused.length} of ${count} items refused, none added: `;
  const todo = `to register ${names.length === 1 ? 'it' : 'one'}: ${sayAdd(upstream, names.length === 1 ? (names[0] as string) : 'NAME')}`;
  return new LanekeeperError(
    'LK_UNKNOWN',
    `${list}upstream ${quote(upstream)} has no agent ${shown.join(', ')}${more}: expected ${sayKnown(known)}; ${todo}`,
  );
}
