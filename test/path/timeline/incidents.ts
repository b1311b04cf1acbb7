// Whole incidents as the journal would keep them: lists of lines that the tests tell.

import type { TimelineLine } from '../../../src/path/timeline-line.ts';

export const SECOND = 1_000;
export const MINUTE = 60_000;
/** 14 May 2026, 14:00 UTC. */
export const START = Date.UTC(2026, 4, 14, 14, 0);

type Fields = Record<string, unknown> & { what: string };

/** Lines with instants in seconds after START; sorted as the reader hands them out. */
export class Script {
  readonly lines: TimelineLine[] = [];

  at(seconds: number, tag: string | null, who: string, fields: Fields): this {
    this.lines.push({ at: START + Math.round(seconds * SECOND), tag, who, ...fields });
    return this;
  }

  /** So many attempts, evenly from one second to the other; each job has an id of its own. */
  attempts(
    fromS: number,
    untilS: number,
    count: number,
    lane: string,
    tag: string,
    fields: Record<string, unknown>,
  ): this {
    for (let index = 0; index < count; index++) {
      const at = fromS + ((untilS - fromS) * index) / count;
      const job = `${lane[0]}${fromS}-${index}`;
      const end = { lane, job, attempt: 1, durationMs: 400, ...fields };
      this.at(at, tag, index % 2 ? 'pod-1' : 'pod-2', { what: 'attempt.finished', ...end });
    }
    return this;
  }

  done(): TimelineLine[] {
    return this.lines.sort((a, b) => a.at - b.at);
  }
}

const DONE = { outcome: 'done' };
const agents = Array.from({ length: 32 }, (_, index) => `a${String(index + 1).padStart(2, '0')}`);

/** DESIGN.md: a cron runs, somebody starts a manual batch on the same accounts, both run into the limit, every agent is blocked. */
export function stormBesideCron(): TimelineLine[] {
  const script = new Script();
  script.at(0, 'forum', 'cron@pod-1', {
    what: 'lane.taken',
    lane: 'publish',
    as: 'cron',
    by: 'cron@pod-1',
    reason: 'the nightly posts',
  });
  script.attempts(0, 20 * 60, 200, 'publish', 'forum', DONE); // ten a minute
  script.attempts(0, 40 * 60, 80, 'collect', 'feed', DONE);
  script.at(20 * 60 + 5, 'forum', 'ann@desk', {
    what: 'lane.displaced',
    lane: 'publish',
    lanes: ['publish'],
    as: 'cron',
    by: 'cron@pod-1',
    reason: 'the nightly posts',
    to: 'manual of ann@desk',
    why: 'backfill of 500 posts',
    jobs: 3,
  });
  script.at(20 * 60 + 5, 'forum', 'ann@desk', {
    what: 'lane.taken',
    lane: 'publish',
    lanes: ['publish'],
    as: 'manual',
    by: 'ann@desk',
    reason: 'backfill of 500 posts',
    isForced: true,
    from: 'cron of cron@pod-1',
  });
  script.attempts(20 * 60 + 6, 21 * 60, 420, 'publish', 'forum', DONE);
  const refused = { outcome: 'park', class: 'rate-limit', gate: 'limit', reason: 'POST /posts: 429 slow down' };
  script.at(21 * 60 + 2, 'forum', 'pod-1', {
    what: 'limit.held',
    upstream: 'forum',
    forMs: 120_000,
    reason: '429 slow down',
  });
  for (const [index, agent] of agents.entries())
    script.attempts(21 * 60 + 1 + index / 2, 21 * 60 + 2 + index / 2, 10, 'publish', 'forum', { ...refused, agent });
  for (const [index, agent] of agents.entries())
    script.at(22 * 60 + index / 4, 'forum', 'pod-2', {
      what: 'agent.ordered',
      upstream: 'forum',
      agent,
      order: 'mark',
      reason: 'blocked by the forum',
      beforeAt: START,
      afterAt: START + 142 * MINUTE,
    });
  script.attempts(23 * 60 + 5, 28 * 60, 60, 'publish', 'forum', refused);
  script.at(24 * 60 + 30, 'forum', 'bob@desk', {
    what: 'lane.noted',
    lane: 'publish',
    text: 'tried the other token: no change',
  });
  script.at(28 * 60, 'forum', 'bob@desk', { what: 'lane.paused', lane: 'publish', reason: 'stop the bleeding' });
  script.at(35 * 60, 'forum', 'pod-1', {
    what: 'lane.overdue',
    lane: 'publish',
    job: 'p1266-7',
    ageMs: 900_000,
    dueMs: 600_000,
  });
  return script.done();
}

/** A job kills its pod, again and again; the pod is started anew each time. */
export function podCrashLoop(): TimelineLine[] {
  const script = new Script();
  script.at(1, null, 'pod-2', { what: 'pod.started', lanes: ['draft'], concurrency: 8 });
  script.attempts(0, 30 * 60, 900, 'draft', 'model', DONE);
  for (const [round, minute] of [10, 13, 16].entries()) {
    const at = minute * 60;
    const pod = `pod-${round + 3}`;
    script.at(at + 22, 'model', 'pod-2', { what: 'job.stalled', lane: 'draft', job: 'd-poison' });
    for (let index = 0; index < 7; index++)
      script.at(at + 22 + index / 10, 'model', 'pod-2', {
        what: 'job.stalled',
        lane: 'draft',
        job: `d${round}-${index}`,
      });
    script.at(at + 30, null, 'pod-2', { what: 'pod.silent', pod, silentMs: 29_000, lanes: ['draft'] });
    script.at(at + 35, null, `pod-${round + 4}`, { what: 'pod.started', lanes: ['draft'], concurrency: 8 });
  }
  script.at(17 * 60, 'model', 'pod-2', {
    what: 'job.buried',
    lane: 'draft',
    job: 'd-poison',
    class: 'stalled',
    reason: 'its pod died or froze under it 6 times',
    was: 'waiting',
  });
  return script.done();
}

/** Redis fills up, adds are refused, then it is restarted with more memory. */
export function redisFull(): TimelineLine[] {
  const script = new Script();
  script.attempts(0, 10 * 60, 3_000, 'draft', 'model', DONE);
  script.at(10 * 60 + 4, null, 'pod-1', { what: 'redis.full', ratio: 0.76, limitBytes: 1e9 });
  script.attempts(10 * 60, 12 * 60, 20, 'draft', 'model', DONE);
  script.at(12 * 60 + 2, 'model', 'pod-1', { what: 'journal.gap', lost: 1_204, untilAt: START + 722_000 });
  for (const pod of ['pod-1', 'pod-2', 'pod-3', 'pod-4'])
    script.at(18 * 60 + 10, null, pod, { what: 'redis.back', awayMs: 345_000 });
  script.at(18 * 60 + 20, null, 'pod-1', { what: 'redis.roomy', ratio: 0.31, limitBytes: 4e9 });
  script.at(18 * 60 + 32, 'model', 'pod-1', { what: 'job.stalled', lane: 'draft', job: 'd1' });
  script.attempts(18 * 60 + 15, 25 * 60, 2_400, 'draft', 'model', DONE);
  return script.done();
}

/** Somebody lowers a limit; work waits longer, until the lane is overdue. */
export function limitLowered(): TimelineLine[] {
  const script = new Script();
  script.attempts(0, 12 * 60, 1_440, 'draft', 'model', DONE);
  script.at(12 * 60 + 3, 'model', 'eve@desk', {
    what: 'limit.set',
    upstream: 'model',
    limit: 'concurrent',
    reason: 'the bill',
    before: 20,
    after: 1,
    defined: 20,
    untilAt: null,
  });
  script.attempts(12 * 60 + 4, 30 * 60, 108, 'draft', 'model', { ...DONE, durationMs: 5_200 });
  script.at(21 * 60, 'model', 'pod-1', {
    what: 'lane.overdue',
    lane: 'draft',
    job: 'd9',
    ageMs: 420_000,
    dueMs: 300_000,
  });
  script.at(26 * 60, 'model', 'eve@desk', {
    what: 'limit.reset',
    upstream: 'model',
    limit: 'concurrent',
    reason: 'drafts are late',
    before: 1,
    after: 20,
    defined: 20,
  });
  script.attempts(26 * 60 + 1, 32 * 60, 900, 'draft', 'model', DONE);
  script.at(29 * 60, 'model', 'pod-1', { what: 'lane.recovered', lane: 'draft', forMs: 480_000 });
  return script.done();
}

export function quietDay(): TimelineLine[] {
  const script = new Script();
  script.at(0, null, 'pod-1', { what: 'pod.started', lanes: ['collect', 'draft'], concurrency: 64 });
  script.attempts(5, 24 * 60 * 60, 2_880, 'collect', 'feed', DONE);
  script.attempts(5, 24 * 60 * 60, 1_440, 'draft', 'model', DONE);
  return script.done();
}

/** Entries fell out of retention in the middle. */
export function gapInTheMiddle(): TimelineLine[] {
  const script = new Script();
  script.attempts(0, 4 * 60, 40, 'publish', 'forum', DONE);
  script.at(4 * 60, 'forum', 'journal', { what: 'journal.gap', lost: null, untilAt: START + 20 * MINUTE });
  script.attempts(20 * 60, 24 * 60, 40, 'publish', 'forum', DONE);
  return script.done();
}
