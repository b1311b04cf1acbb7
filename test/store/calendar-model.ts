// The calendar in plain TypeScript: who may act when, and who stands where. It does what the scripts promise in the simplest way, one
// list of jobs and one of agents, so that a random history can be held against both.

import { DEAD_MS, SILENT_MS } from '../../src/store/calendar/calendar.ts';

export interface ModelJob {
  id: string;
  lane: string;
  agent: string | null;
  priority: number;
  seq: number;
  state: 'line' | 'active' | 'backoff' | 'done' | 'gone';
  /** When it comes back into line. */
  dueAt: number;
}

export interface ModelAgent {
  next: number;
  isThere: boolean;
  claim: { token: number; job: ModelJob; pod: string; at: number; isSent: boolean } | null;
}

const UNHELD_MS = 2_000;

export class CalendarModel {
  readonly jobs: ModelJob[] = [];
  readonly agents = new Map<string, ModelAgent>();
  readonly beats = new Map<string, number>();
  readonly #cooldowns: Record<string, number>;
  #seq = 0;

  constructor(agents: readonly string[], cooldowns: Record<string, number>, now: number) {
    this.#cooldowns = cooldowns;
    for (const agent of agents) this.agents.set(agent, { next: now, isThere: true, claim: null });
  }

  add(id: string, lane: string, agent: string | null, priority: number): void {
    this.jobs.push({ id, lane, agent, priority, seq: ++this.#seq, state: 'line', dueAt: 0 });
  }

  /** What BullMQ takes out of its sets, it takes out of the line. */
  remove(id: string): void {
    for (const job of this.jobs)
      if (job.id === id && (job.state === 'line' || job.state === 'backoff')) job.state = 'gone';
  }

  /** First first: those of a lane that this agent may do. */
  lineOf(lane: string, agent: string): ModelJob[] {
    return this.jobs
      .filter((job) => job.state === 'line' && job.lane === lane && (job.agent === null || job.agent === agent))
      .sort((a, b) => a.priority - b.priority || a.seq - b.seq);
  }

  isOpen(agent: string, now: number): boolean {
    const known = this.agents.get(agent);
    return known?.isThere === true && known.claim === null && known.next <= now;
  }

  /** The jobs a claim of this lane may name now, with the agents that may do each. */
  mayClaim(lane: string, now: number): { job: ModelJob; agents: string[] } | undefined {
    const open = [...this.agents.keys()].filter((agent) => this.isOpen(agent, now));
    let first: ModelJob | undefined;
    for (const agent of open) {
      const [job] = this.lineOf(lane, agent);
      if (job && (!first || job.priority < first.priority || (job.priority === first.priority && job.seq < first.seq)))
        first = job;
    }
    if (!first) return undefined;
    const job = first;
    return { job, agents: open.filter((agent) => this.lineOf(lane, agent)[0] === job) };
  }

  claim(agent: string, job: ModelJob, pod: string, token: number, now: number): void {
    job.state = 'active';
    (this.agents.get(agent) as ModelAgent).claim = { token, job, pod, at: now, isSent: false };
  }

  sent(agent: string, token: number): boolean {
    const claim = this.agents.get(agent)?.claim;
    if (claim?.token !== token) return false;
    claim.isSent = true;
    return true;
  }

  /** False: it was not theirs any more. */
  release(
    agent: string,
    token: number,
    end: { costMs: number | null; agoMs: number; untilMs: number | null },
    now: number,
  ): boolean {
    const known = this.agents.get(agent);
    if (known?.claim?.token !== token) return false;
    if (end.costMs !== null) known.next = Math.max(known.next, now - end.agoMs + end.costMs);
    if (end.untilMs !== null) known.next = Math.max(known.next, now + end.untilMs);
    known.claim = null;
    return true;
  }

  mark(agent: string, at: number): void {
    const known = this.agents.get(agent);
    if (known?.isThere) known.next = Math.max(known.next, at);
  }

  clear(agent: string, at: number): void {
    const known = this.agents.get(agent);
    if (known?.isThere) known.next = at;
  }

  join(agent: string, now: number): void {
    const known = this.agents.get(agent);
    if (known) known.isThere = true;
    else this.agents.set(agent, { next: now, isThere: true, claim: null });
  }

  leave(agent: string): void {
    const known = this.agents.get(agent);
    if (known) known.isThere = false;
  }

  /** What came back is in line; what the dead held is free; what this pod does not hold, too. Answers the tokens that were taken. */
  beat(pod: string, holding: readonly number[], now: number): number[] {
    this.beats.set(pod, now);
    const freed: number[] = [];
    for (const [agent, known] of this.agents) {
      const { claim } = known;
      if (!claim) continue;
      const silentMs = now - (this.beats.get(claim.pod) ?? now);
      const isDead = silentMs >= (claim.isSent ? SILENT_MS : DEAD_MS);
      const isUnheld = claim.pod === pod && now - claim.at >= UNHELD_MS && !holding.includes(claim.token);
      if (isDead || isUnheld) {
        known.claim = null;
        if (claim.isSent) {
          known.next = Math.max(known.next, now + (this.#cooldowns[claim.job.lane] as number));
          // It goes on as this agent, if it goes on.
          claim.job.agent = agent;
        } else claim.job.state = 'line';
        freed.push(claim.token);
      }
    }
    return freed;
  }

  takeIn(now: number): void {
    for (const job of this.jobs) if (job.state === 'backoff' && job.dueAt <= now) job.state = 'line';
  }
}
