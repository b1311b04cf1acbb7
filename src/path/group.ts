// Which exclusive lanes have one owner together. Agents belong to the upstream, so all of its exclusive lanes that act as agents
// are one group: who feeds one of them uses up the windows of all. A lane that acts as nobody is a group of its own.

import { quote } from '../words/errors.ts';
import type { GroupAddress } from '../words/keys.ts';
import type { Displaced, OwnerGroup } from '../words/owner.ts';
import type { Lane } from './lane.ts';

export function groupAddress({ name, tag, agent }: Lane): GroupAddress {
  return { tag, name: agent ? null : name };
}

/** The group of a lane, of those that are defined beside it. */
export function groupOf(lane: Lane, all: Iterable<Lane>): OwnerGroup {
  const members = [lane, ...all].filter((other) => isTogether(lane, other));
  const lanes: Record<string, Displaced> = {};
  for (const { name, displaced } of members) lanes[name] = displaced;
  return { address: groupAddress(lane), lane: lane.name, lanes };
}

function isTogether(lane: Lane, other: Lane): boolean {
  if (other.ownership !== 'exclusive') return false;
  return lane.name === other.name || Boolean(lane.agent && other.agent && lane.tag === other.tag);
}

/** One line for each upstream whose agents an open lane would use beside the owner of an exclusive one. */
export function listMixedAgents(lanes: Iterable<Lane>): string[] {
  const acting = [...lanes].filter(({ agent, upstream }) => agent && upstream);
  return [...new Set(acting.map(({ tag }) => tag))].flatMap((upstream) => {
    const named = (ownership: Lane['ownership']) =>
      acting.filter((lane) => lane.tag === upstream && lane.ownership === ownership).map(({ name }) => quote(name));
    const [exclusive, open] = [named('exclusive'), named('open')];
    if (exclusive.length === 0 || open.length === 0) return [];
    return [
      `lanes ${exclusive.join(', ')} (exclusive) and ${open.join(', ')} (open) act as the same agents, of upstream ${quote(upstream)}: ` +
        "expected all of them to be exclusive, or none; an open lane would act behind the owner's back",
    ];
  });
}
