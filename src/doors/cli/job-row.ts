// One job as one line of a table.

import type { JobView } from '../../path/inspect.ts';
import { systemClock } from '../../words/clock.ts';
import { when } from './print.ts';

export function toRow(job: JobView): unknown[] {
  const nowAt = systemClock.now();
  const since = job.finishedAt ?? job.sinceAt ?? (job.state === 'active' ? job.startedAt : null) ?? job.enqueuedAt;
  const state = job.gate ? `${job.state} (${job.gate})` : job.class ? `${job.state} (${job.class})` : job.state;
  return [
    job.id,
    state,
    job.agent,
    job.attempt,
    when(since, nowAt),
    when(job.untilAt, nowAt),
    JSON.stringify(job.payload),
  ];
}
