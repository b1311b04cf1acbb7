// ctx.add: a job adds the next one. It is a step, so a retried attempt adds nothing twice, however late it comes; and it keeps
// what it added, so that code which would add something else in its place is refused instead of believed.

import { crashPoint } from '../words/crash-point.ts';
import { LanekeeperError, quote } from '../words/errors.ts';
import type { Attempt } from './attempt.ts';
import { toDataText } from './data-text.ts';
import { toContent } from './dedupe.ts';
import type { AddOptions } from './entry.ts';
import type { Lane } from './lane.ts';
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
      const added = await addFrom(parent, lane, payload, { ...options, ...(key !== undefined && { key }) });
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
