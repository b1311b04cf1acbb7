// What one attempt holds of the limits that its job decides, and its permit as its requests see it: the one it was fetched with
// (path/held-permit), behind what its agent may still send.

import { SLOT_MS } from '../store/limit-driver.ts';
import type { OwnVerdict, Take } from '../store/own-limit-scripts.ts';
import { LanekeeperError } from '../words/errors.ts';
import { UpstreamError } from '../words/failure.ts';
import type { Attempt } from './attempt.ts';
import { pause } from './held-permit.ts';
import { startOfWait } from './limit-lines.ts';
import type { Lease, OwnDesk } from './own-desk.ts';
import type { Permit, Sending } from './permit.ts';
import { attemptOver } from './request.ts';

/** How long a request may be sent after it was taken from its agent's `count`. */
const SEND_MS = 100;
/** An agent's wait for longer than this leaves the upstream's slot to other agents: it costs a round trip, and a place in line. */
const ASIDE_MS = 100;
/** What is written at the last instant is on its way by then. */
const WRITE_MS = 2;

/** The right of one request, by every `count` of its agent. */
interface Ticket {
  readonly uses: readonly Take[];
  readonly untilMono: number;
}

export class OwnHold implements Permit {
  readonly #desk: OwnDesk;
  readonly #attempt: Attempt;
  readonly #inner: Permit;
  readonly #takenMono: number;
  #leases: Lease[] = [];
  #tokens: Lease[] = [];
  #ticket: Ticket | undefined;
  #open = 0;
  #hasBegun = false;
  #isOver = false;

  constructor(desk: OwnDesk, attempt: Attempt, inner: Permit) {
    this.#desk = desk;
    this.#attempt = attempt;
    this.#inner = inner;
    this.#takenMono = desk.options.clock.mono();
  }

  /** At admission: all of it, or nothing. `tokens` is what it is expected to use. */
  async take(tokens: number): Promise<OwnVerdict> {
    const { lane, id, start, number, agent } = this.#attempt;
    const { own, clock } = this.#desk.options;
    const useId = this.#desk.newId(lane.name, id);
    let takes: Take[] = [];
    const compose = () => {
      takes = own.limitsOf(agent).map((limit): Take => {
        const use = { limit, agent, id: useId };
        if (limit.kind === 'concurrent') return { ...use, amount: lane.requests, forMs: SLOT_MS };
        if (limit.kind === 'count') return { ...use, amount: 1, forMs: SEND_MS + own.travelMs };
        return { ...use, amount: tokens, forMs: lane.timeoutMs };
      });
      return takes;
    };
    let askedAt = clock.mono();
    let verdict: OwnVerdict;
    try {
      verdict = await this.#desk.take(() => {
        askedAt = clock.mono();
        return compose();
      }, start - number);
    } catch (error) {
      this.#drop(takes); // it may have arrived
      throw error;
    }
    if (verdict.kind !== 'taken') return verdict;
    // It came too late for its attempt: nothing of it was used.
    if (this.#isOver) {
      this.#drop(takes);
      return verdict;
    }
    this.#hasBegun = true;
    const of = (kind: string) => takes.filter(({ limit }) => limit.kind === kind);
    this.#tokens = of('tokens').map((use) => this.#lease(use, askedAt));
    this.#leases = of('concurrent').map((use) => this.#lease(use, askedAt));
    const uses = of('count');
    if (uses.length > 0) this.#ticket = { uses, untilMono: askedAt + SEND_MS - WRITE_MS };
    return verdict;
  }

  /** Raised at once, or what goes beyond its estimate would be seen when it is too late. */
  spent(total: number): void {
    if (this.#isOver) return;
    for (const lease of this.#tokens) {
      if (lease.use.amount >= total) continue;
      lease.use = { ...lease.use, amount: total };
      this.#desk.later({ ...lease.use, what: 'raise' });
    }
  }

  /** After its settle, or when its last request has ended. */
  giveBack(): void {
    this.#isOver = true;
    if (this.#open > 0 || !this.#hasBegun) return;
    this.#hasBegun = false;
    const heldMs = this.#desk.options.clock.mono() - this.#takenMono;
    for (const lease of this.#leases) {
      this.#desk.end(lease);
      this.#desk.later({ ...lease.use, what: 'drop', heldMs });
    }
    if (this.#ticket) this.#drop(this.#ticket.uses);
    for (const lease of this.#tokens) {
      this.#desk.end(lease);
      const amount = this.#attempt.spent ?? lease.use.amount;
      this.#desk.later({ ...lease.use, what: 'settle', amount, agoMs: 0, heldMs });
    }
  }

  async toSend(forMs: number, signal: AbortSignal): Promise<Sending> {
    this.#open++;
    try {
      for (;;) {
        const sending = await this.#inner.toSend(forMs, signal);
        const waitMs = await this.#passOwn(forMs).catch((error) => {
          sending.unsent();
          throw error;
        });
        if (typeof waitMs !== 'number') return this.#both(sending, waitMs.ticket);
        sending.unsent();
        if (waitMs > ASIDE_MS) this.#inner.stepAside();
        await pause(waitMs, signal);
      }
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  stepAside(): void {
    this.#inner.stepAside();
  }

  hold(forMs: number, reason: string): void {
    this.#inner.hold(forMs, reason);
  }

  #lease(use: Take, askedAt: number): Lease {
    const isOnWire = () => this.#open > 0;
    const attempt = this.#attempt;
    const lease: Lease = {
      use,
      untilMono: 0,
      namedMono: 0,
      get isOnWire() {
        return isOnWire();
      },
      lose: () => attempt.end('unpermitted', attemptOver(attempt, `its ${use.limit.name} ran out`)),
    };
    this.#desk.lease(lease, askedAt);
    return lease;
  }

  /** The ticket of the next request, or how long until there may be one. */
  async #passOwn(forMs: number): Promise<{ ticket: Ticket | undefined } | number> {
    const { clock } = this.#desk.options;
    for (const lease of this.#leases) {
      if (lease.untilMono >= clock.mono() + forMs || (await this.#desk.extend(lease, forMs))) continue;
      lease.lose();
      throw new LanekeeperError('LK_ATTEMPT_OVER', 'its permit ran out: another attempt may have it by now');
    }
    const first = this.#ticket;
    this.#ticket = undefined;
    if (first && clock.mono() < first.untilMono) return { ticket: first };
    if (first) this.#drop(first.uses);
    return this.#nextTicket(forMs);
  }

  async #nextTicket(forMs: number): Promise<{ ticket: Ticket | undefined } | number> {
    const { own, clock } = this.#desk.options;
    const { lane, id, agent } = this.#attempt;
    const forOne = { agent, id: this.#desk.newId(lane.name, id), amount: 1, forMs: SEND_MS + own.travelMs };
    const compose = () =>
      own
        .limitsOf(agent)
        .filter(({ kind }) => kind === 'count')
        .map((limit): Take => ({ limit, ...forOne }));
    if (compose().length === 0) return { ticket: undefined };
    let askedAt = clock.mono();
    let uses: Take[] = [];
    const verdict = await this.#desk.take(() => {
      askedAt = clock.mono();
      uses = compose();
      return uses;
    }, 1);
    if (verdict.kind === 'taken') return { ticket: { uses, untilMono: askedAt + SEND_MS - WRITE_MS } };
    if (verdict.kind === 'over') return { ticket: undefined };
    // Longer than this attempt lives: it parks instead of waiting to no end.
    if (verdict.forMs < forMs) return verdict.forMs;
    throw new UpstreamError(sayVerdict(verdict, own.upstream, agent, 1), {
      class: 'rate-limit',
      status: null,
      retryAfterAt: Math.ceil(clock.now() + verdict.forMs),
    });
  }

  #both(sending: Sending, ticket: Ticket | undefined): Sending {
    const { clock, own } = this.#desk.options;
    let hasArrived = false;
    const arrived = () => {
      if (hasArrived) return;
      hasArrived = true;
      for (const use of ticket?.uses ?? []) this.#desk.later({ ...use, what: 'settle', agoMs: 0 });
    };
    const leasedMono = Math.min(...this.#leases.map(({ untilMono }) => untilMono));
    return {
      untilMono: Math.min(sending.untilMono, ticket?.untilMono ?? Number.POSITIVE_INFINITY, leasedMono),
      unsent: () => {
        sending.unsent();
        if (ticket && !this.#ticket && clock.mono() < ticket.untilMono) this.#ticket = ticket;
        else if (ticket) this.#drop(ticket.uses);
        this.#close();
      },
      answered: () => {
        arrived();
        sending.answered();
      },
      ended: (wasCut) => {
        if (!wasCut) arrived();
        sending.ended(wasCut);
        // The upstream notices a cut a little later; its ticket counts as if it had arrived at the last instant.
        if (wasCut) setTimeout(() => this.#close(), own.travelMs);
        else this.#close();
      },
    };
  }

  #close(): void {
    this.#open--;
    if (this.#isOver) this.giveBack();
  }

  #drop(uses: readonly Take[]): void {
    this.#desk.later(...uses.map((use) => ({ ...use, what: 'drop' as const })));
  }
}

/** Why it was not let through, with the numbers that decided. */
export function sayVerdict(
  verdict: Exclude<OwnVerdict, { kind: 'taken' }>,
  upstream: string,
  agent: string | null,
  needed: number,
): string {
  if (verdict.kind === 'shut') return `${upstream} lets nobody through now`;
  const { limit, size } = verdict;
  if (verdict.kind === 'over') {
    return `tokens: expected at most ${size}, the present size of '${limit}' of ${upstream}, got ${needed}`;
  }
  const whose = limit.endsWith('-by-agent') ? `agent ${agent} uses` : 'in use are';
  const more = limit.startsWith('tokens-') ? `, ${needed} more are needed` : '';
  return `${startOfWait(limit, upstream)} ${whose} ${verdict.used} of ${size}${more}`;
}

/** It would fit what the lane's own definition allows. */
export function sayForNow(limit: string, size: number, upstream: string, needed: number): string {
  return `${startOfWait(limit, upstream)} ${needed} are needed at once, and for now it is ${size}, by order or as another pod defines it`;
}
