// ctx.add: a job adds the next one. It is a step, so a retried attempt adds nothing twice, however late it comes; and it keeps
// what it added, so that code which would add something else in its place is refused instead of believed.

import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Attempt } from './attempt.ts';
import { toDataText } from './data-text.ts';
import { toContent } from './dedupe.ts';
import type { AddOptions } from './entry.ts';
import { groupAddress } from './group.ts';
import { isLane, type Lane } from './lane.ts';
import type { Feeder } from './owned.ts';
import type { Added, HandingProducer } from './producer.ts';
import type { Steps } from './steps.ts';

export type AddFrom = HandingProducer['addFrom'];

export function createHandOver(attempt: Attempt, steps: () => Steps, addFrom: AddFrom) {
  let count = 0;

  return async (lane: Lane, payload: unknown, options: AddOptions = {}): Promise<Added> => {
    count++;
    const parent = `${attempt.lane.name}/${attempt.id}`;
    // A lane that knows its jobs by content knows them better than by who added them.
    const isByKey = !lane?.dedupe || lane.dedupe.by === 'key';
    const key = options.key ?? (isByKey ? `${attempt.id}/${count}` : undefined);
    toDataText({ payload }, `ctx.add ${count}: `); // what JSON cannot hold is said as in any other add
    const what = toContent({ payload: [lane?.name, payload ?? null], agent: options.agent });
    const step = await steps().run(`add ${count}`, async () => {
      crashPoint('before-hand-over');
      const given = { ...options, ...(key !== undefined && { key }) };
      const added = await addFrom(parent, lane, payload, given, feederFor(attempt, lane));
      crashPoint('after-hand-over');
      return { what, added };
    });
    if (step.what === what) return step.added;
    throw new LanekeeperError(
      'LK_STEPS',
      `ctx.add ${count}: when this job last ran it added another job here (${step.added.id} of ${quote(lane?.name)}): ` +
        'read what changes in a step of its own, before',
    );
  };
}

/** What a job adds in its own group is fed by whoever fed it. Into another group it has no word: its owner may not be that one's. */
function feederFor({ lane: own, fedBy }: Attempt, lane: Lane): Feeder | undefined {
  if (!isLane(lane) || lane.ownership !== 'exclusive') return undefined;
  const [from, to] = [groupAddress(own), groupAddress(lane)];
  const isTogether = own.ownership === 'exclusive' && from.tag === to.tag && from.name === to.name;
  if (isTogether && fedBy) return { as: fedBy.as, by: fedBy.by };
  throw new LanekeeperError(
    'LK_OWNED',
    `ctx.add: lane ${quote(lane.name)} is exclusive, and lane ${quote(own.name)} is not of its group: expected a lane that anybody may ` +
      'feed; take it in a service (producer.take), and add there',
  );
}
