// What may be behind an incident: one table of patterns, each with the evidence in the journal that speaks for it. Without evidence a
// pattern is not named; with none left the answer is that the journal supports none.

import { formatDuration } from '../words/duration.ts';
import { type Incident, PRELUDE_MS, sumOf } from './incident.ts';
import type { Ordered } from './incident-orders.ts';
import { numberOf, type TimelineLine, textOf } from './timeline-line.ts';
import { BESIDE_MS } from './timeline-order.ts';

export interface Hypothesis {
  name: string;
  /** What may be the case, and what to look at next. */
  says: string;
  next: string;
  evidence: string[];
}

interface Pattern extends Omit<Hypothesis, 'evidence'> {
  /** undefined: the journal does not speak for it. */
  find(facts: Facts): (string | null)[] | undefined;
}

/** The incident, and what is asked of it again and again. */
interface Facts {
  incident: Incident;
  /** Failures by class over all lanes. */
  failed(name: string): number;
  total: number;
  done: number;
  counts(what: string): number;
  /** Orders before the first sign, or in the same moment. */
  before: Ordered[];
}

const OWNERS = ['lane.taken', 'lane.displaced', 'lane.released'];
const isMore = (line: TimelineLine) =>
  (numberOf(line, 'after') ?? 0) > (numberOf(line, 'before') ?? Number.POSITIVE_INFINITY);
const isLess = (line: TimelineLine) =>
  (numberOf(line, 'after') ?? Number.POSITIVE_INFINITY) < (numberOf(line, 'before') ?? 0);

const PATTERNS: readonly Pattern[] = [
  {
    name: 'two-hands',
    says: 'a second source feeds work into a limit that was just enough for the first',
    next: 'stop the newcomer (pause its lane, or give the lane back to its owner), then wait out the hold',
    find({ failed, before, incident }) {
      const owners = before.filter(({ line }) => OWNERS.includes(line.what) || line.what === 'operation.begun');
      if (limited(failed) === 0 || owners.length === 0) return undefined;
      return [`${limited(failed)} refusals for rate or quota`, ...owners.map(sayOrder), agentsOf(incident)];
    },
  },
  {
    name: 'limit-raised',
    says: 'our limit is now above what the upstream allows',
    next: 'set the limit back to what it was',
    find({ failed, before, counts }) {
      const raised = before.filter(({ line }) => line.what.startsWith('limit.') && isMore(line));
      const drifts = counts('limit.drift');
      if (limited(failed) === 0 || raised.length + drifts === 0) return undefined;
      return [
        `${limited(failed)} refusals for rate or quota`,
        ...raised.map(sayOrder),
        drifts > 0 ? `pods define a limit differently (${drifts} told)` : null,
      ];
    },
  },
  {
    name: 'upstream-stricter',
    says: 'the upstream allows less than it did, or somebody outside uses the same allowance',
    next: 'ask who else uses these accounts; lower the limit until refusals end',
    find({ failed, before, incident, counts }) {
      const local = before.filter(
        ({ line }) => OWNERS.includes(line.what) || (line.what.startsWith('limit.') && isMore(line)),
      );
      if (limited(failed) === 0 || local.length > 0) return undefined;
      const held = incident.samples.get('limit.held');
      return [
        `${limited(failed)} refusals for rate or quota`,
        counts('limit.held') > 0 && held ? `it asked to be left alone: ${textOf(held, 'reason')}` : null,
        `no owner, limit or replay was changed in the ${formatDuration(PRELUDE_MS)} before the first sign`,
      ];
    },
  },
  {
    name: 'upstream-down',
    says: 'the upstream, or the way to it, is down or slow',
    next: 'look at its status and try one request by hand; pause its lanes if it stays so',
    find({ failed, total, done, incident }) {
      const broken = failed('transient') + failed('timeout');
      if (broken < 5 || broken * 4 < total) return undefined;
      const sample = incident.samples.get('retry:timeout') ?? incident.samples.get('retry:transient');
      return [`${broken} of ${total} attempts broke or timed out, ${done} were done`, quoted(sample)];
    },
  },
  {
    name: 'rollout',
    says: 'the upstream answers in another form, from some of its servers or from all',
    next: 'compare an answer that fails with one that works, and pin the version',
    find({ failed, total, done, incident }) {
      const drifted = failed('schema-drift');
      if (drifted === 0) return undefined;
      const sample = incident.samples.get('dead:schema-drift') ?? incident.samples.get('retry:schema-drift');
      const isGradual =
        done > 0
          ? `${done} of ${total} attempts were done meanwhile: a gradual rollout answers from two versions`
          : null;
      return [`${drifted} answers of another form`, quoted(sample), isGradual];
    },
  },
  {
    name: 'locked-out',
    says: 'the upstream no longer accepts who we are',
    next: 'check the credentials and the accounts; nothing else helps',
    find({ failed, incident }) {
      const refused = failed('auth');
      if (refused === 0) return undefined;
      return [
        `${refused} attempts refused for who we are`,
        quoted(incident.samples.get('dead:auth') ?? incident.samples.get('retry:auth')),
      ];
    },
  },
  {
    name: 'pod-killer',
    says: 'a job kills the pod that runs it',
    next: 'look at that job; drop or cancel it before it is fetched again',
    find({ counts, incident }) {
      const { worstJob } = incident;
      if (!worstJob || worstJob.count < 2 || counts('pod.silent') + counts('pod.late') === 0) return undefined;
      return [
        `job ${worstJob.job} stalled ${times(worstJob.count)}`,
        `a pod fell silent ${times(counts('pod.silent'))}`,
        countOf(counts, 'pod.started'),
      ];
    },
  },
  {
    name: 'pods-lost',
    says: 'pods die or freeze by themselves',
    next: 'look at their last lines, their memory and their machine',
    find({ counts, incident }) {
      const { worstJob, pods } = incident;
      const lost = counts('pod.silent') + counts('pod.late');
      if (lost === 0 || (worstJob && worstJob.count > 1) || counts('redis.back') > 0) return undefined;
      return [
        `a pod fell silent, or its loop was blocked, ${times(lost)} (${pods.slice(0, 5).join(', ')})`,
        countOf(counts, 'job.stalled'),
      ];
    },
  },
  {
    name: 'no-pods',
    says: 'no pod runs the lane',
    next: 'start one, and look why the last one left',
    find({ counts, incident }) {
      const line = incident.open.find(({ what }) => what === 'lane.unattended');
      return line && [line.text, countOf(counts, 'pod.stopped')];
    },
  },
  {
    name: 'redis-full',
    says: 'Redis has no memory left for work',
    next: "give it memory, or keep less: 'lanekeeper lanes' shows which lane holds most",
    find({ counts, incident }) {
      const line = incident.samples.get('redis.full');
      if (counts('redis.full') === 0 || !line) return undefined;
      return [
        `${Math.round((numberOf(line, 'ratio') ?? 0) * 100)} % of its memory was used`,
        countOf(counts, 'redis.roomy'),
      ];
    },
  },
  {
    name: 'redis-away',
    says: 'Redis was away or frozen, and what follows is its echo',
    next: 'look at the log of Redis: restart, failover, a slow disk or a long command',
    find({ counts, incident }) {
      const line = incident.samples.get('redis.back');
      if (counts('redis.back') === 0 || !line) return undefined;
      return [
        `away for ${formatDuration(numberOf(line, 'awayMs') ?? 0)}, told by ${counts('redis.back')} pods`,
        countOf(counts, 'job.stalled'),
      ];
    },
  },
  {
    name: 'limit-lowered',
    says: 'our own limit is too low for the work that comes',
    next: 'raise it again, or let less work in',
    find({ incident, before, failed, counts }) {
      const lowered = [...new Set([...before, ...incident.orders])].filter(
        ({ line }) => line.what === 'limit.set' && isLess(line),
      );
      const late = counts('lane.overdue') + counts('lane.overparked');
      if (lowered.length === 0 || late === 0 || limited(failed) > 0) return undefined;
      return [...lowered.map(sayOrder), `a lane was told to be late ${times(late)}`, 'the upstream refused nothing'];
    },
  },
  {
    name: 'still-paused',
    says: 'a lane is paused and its work waits',
    next: 'resume it, if the reason is gone',
    find({ incident }) {
      const paused = incident.open.filter(({ what }) => what === 'lane.paused');
      return paused.length === 0
        ? undefined
        : paused.map(({ text, line }) => `${text} (${line.who}), not resumed since`);
    },
  },
  {
    name: 'left-behind',
    says: 'a term was over before the work that was fed in it',
    next: "take the lane again as that owner, or adopt or drop what lies aside ('lanekeeper owner LANE adopt|drop --of AS')",
    find({ incident, counts }) {
      const term = incident.samples.get('lane.expired');
      const aside = incident.open.filter(({ what }) => what === 'jobs.displaced');
      if (!term || counts('jobs.displaced') === 0 || aside.length === 0) return undefined;
      return [`the term of ${textOf(term, 'as')} (${textOf(term, 'by')}) ended`, ...aside.map(({ text }) => text)];
    },
  },
  {
    name: 'too-much-work',
    says: 'more work comes than the lane can do',
    next: 'see who adds it; more pods or a higher limit if the upstream allows',
    find({ incident, counts, failed, total }) {
      const failures = incident.lanes.reduce((sum, { bad }) => sum + sumOf(bad), 0);
      const isCaused =
        counts('pod.silent') +
        counts('redis.back') +
        counts('redis.full') +
        counts('lane.paused') +
        counts('limit.set');
      if (counts('lane.overdue') === 0 || isCaused > 0 || limited(failed) > 0 || failures * 10 > total)
        return undefined;
      return [`overdue ${times(counts('lane.overdue'))}, while ${total - failures} of ${total} attempts did not fail`];
    },
  },
];

/** Most evidence first. */
export function findHypotheses(incident: Incident): Hypothesis[] {
  if (incident.first === null) return [];
  const firstAt = incident.first.at;
  const failed = (name: string) => {
    const ends = incident.lanes.flatMap(({ bad }) => [...bad]);
    return ends.reduce((sum, [end, count]) => sum + (end.endsWith(`:${name}`) ? count : 0), 0);
  };
  const facts: Facts = {
    incident,
    failed,
    total: incident.lanes.reduce((sum, { attempts }) => sum + attempts, 0),
    done: incident.lanes.reduce((sum, { done }) => sum + done, 0),
    counts: (what) => incident.counts.get(what) ?? 0,
    before: incident.orders.filter(({ line }) => line.at <= firstAt + BESIDE_MS),
  };
  return PATTERNS.flatMap(({ name, says, next, find }) => {
    const evidence = find(facts)?.filter((one) => one !== null);
    return evidence ? [{ name, says, next, evidence }] : [];
  }).sort((a, b) => b.evidence.length - a.evidence.length);
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`);
const limited = (failed: Facts['failed']) => failed('rate-limit') + failed('quota');
const sayOrder = ({ line, text }: Ordered) => `${text} (${line.who})`;

function agentsOf({ agents }: Incident): string | null {
  return agents.count === 0 ? null : `${agents.count} agents were hit at once`;
}

function countOf(counts: Facts['counts'], what: string): string | null {
  return counts(what) === 0 ? null : `${what}: ${times(counts(what))}`;
}

function quoted(line: TimelineLine | undefined): string | null {
  const reason = line && textOf(line, 'reason');
  return reason ? `such as: ${reason}` : null;
}
