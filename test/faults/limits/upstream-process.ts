// The stand-in upstream as a process of its own (`lanekeeper simulate`), so that a busy test process moves no arrival: steered,
// read and asked for its verdict over HTTP.

import { join } from 'node:path';
import { ROOT } from '../../../scripts/prepare.js';
import type { BehaviourChange, LimitInput, RequestRecord, RulesInput, Verdict } from '../../../src/simulator/index.ts';
import { type ArenaPod, startProcess } from '../harness/pods.ts';

export interface Arrival {
  readonly n: number;
  readonly at: number;
  /** Infinity while it is under way. */
  readonly endedAt: number;
  readonly pod: string;
  readonly lane: string;
  readonly job: string;
  readonly start: number;
  readonly agent: string | null;
  /** What it cost, as its request said. */
  readonly tokens: number;
  readonly status: number | null;
}

export interface UpstreamProcess {
  readonly url: string;
  configure(change: BehaviourChange): Promise<void>;
  /** By the terms in force when each request came; refused ones count. With rules, by those. */
  verdict(rules?: RulesInput): Promise<Verdict>;
  /** All since the start or the last reset, in order. */
  arrivals(): Promise<readonly Arrival[]>;
  reset(): Promise<void>;
  stop(): void;
}

export async function startUpstream(limits: readonly LimitInput[], latency: string): Promise<UpstreamProcess> {
  const process_: ArenaPod = await startProcess(
    'upstream',
    [join(ROOT, 'dist', 'main.js'), 'simulate', '--port', '0'],
    {
      ...process.env,
    },
  );
  const { url } = process_;
  let known: Arrival[] = [];

  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const init =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await fetch(`${url}/_sim/${path}`, { method, ...init });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  const upstream: UpstreamProcess = {
    url,
    async configure(change) {
      await call('PATCH', 'behaviour', change);
    },
    verdict: (rules) => (rules ? call('POST', 'verdict', rules) : call('GET', 'verdict')) as Promise<Verdict>,
    async arrivals() {
      // What was under way when it was read last is read again.
      const open = known.findIndex(({ endedAt }) => endedAt === Number.POSITIVE_INFINITY);
      if (open >= 0) known = known.slice(0, open);
      for (;;) {
        const page = await call('GET', `log?after=${known.at(-1)?.n ?? 0}&limit=100000`);
        const { records, more } = page as { records: RequestRecord[]; more: number };
        known.push(...records.map(toArrival));
        if (more === 0) return known;
      }
    },
    async reset() {
      await call('POST', 'reset');
      known = [];
    },
    stop: () => process_.signal('SIGKILL'),
  };
  await upstream.configure({ limits, latency: latency as `${number}ms`, enforce: true, countRefused: true });
  return upstream;
}

function toArrival(record: RequestRecord): Arrival {
  const query = new URLSearchParams(record.query);
  return {
    n: record.n,
    at: record.arrivedAt,
    endedAt: record.answeredAt ?? record.closedAt ?? Number.POSITIVE_INFINITY,
    pod: query.get('pod') ?? '',
    lane: query.get('lane') ?? '',
    job: record.jobId ?? '',
    start: Number(query.get('start')),
    agent: record.agent,
    tokens: Number(query.get('tokens')),
    status: record.status,
  };
}

/** The share of a limit that was used in a span: of `concurrent` the time requests were under way, of `count` the arrivals. */
export function measureUse(arrivals: readonly Arrival[], limit: LimitInput, fromAt: number, untilAt: number): number {
  const spanMs = untilAt - fromAt;
  if ('concurrent' in limit) {
    const underWayMs = arrivals.reduce(
      (sum, { at, endedAt }) => sum + Math.max(0, Math.min(endedAt, untilAt) - Math.max(at, fromAt)),
      0,
    );
    return underWayMs / (limit.concurrent * spanMs);
  }
  const count = arrivals.filter(({ at }) => at >= fromAt && at < untilAt).length;
  return (count * toMs(limit.per)) / (limit.count * spanMs);
}

export function toMs(duration: unknown): number {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(String(duration)) ?? [];
  return Number(count) * ({ ms: 1, s: 1_000, m: 60_000 }[unit ?? ''] ?? Number.NaN);
}
