// Speaks to Redis for all attempts of a pod that hold limits only their jobs decide (path/own-hold): what they give back goes out
// together with what else a turn brings, and what they keep is named again every 2 s.

import { SLOT_MS } from '../store/limit-driver.ts';
import type { Change, OwnLimits, OwnVerdict, Take } from '../store/own-limit-scripts.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { KEEP_MS, LEASE_MARGIN_MS } from './lane-pocket.ts';

/** A script's time: 200 changes hold Redis for about 2 ms. */
const MAX_CHANGES = 200;
/** Told while Redis was away. */
const MAX_KEPT = 10_000;

export interface OwnDeskOptions {
  pod: string;
  own: OwnLimits;
  /** Nobody is let through for so long: the lanes of this pod need not fetch. */
  shut: (forMs: number) => void;
  clock: Clock;
  events: EventHub;
}

/** What one attempt has under way: a piece of its agent's `concurrent`, or tokens, which nothing takes from it. */
export interface Lease {
  /** Of tokens, as many as are known to be used by now. */
  use: Take;
  /** By the monotonic clock: from then on it may be another's. */
  untilMono: number;
  namedMono: number;
  readonly isOnWire: boolean;
  lose(): void;
}

/** A settle counts from when it was told, not from when it is written. */
type Told = Change & { mono: number };

export class OwnDesk {
  readonly options: OwnDeskOptions;
  readonly #leases = new Set<Lease>();
  readonly #beat: NodeJS.Timeout;
  #told: Told[] = [];
  #isSoon = false;
  #ids = 0;

  constructor(options: OwnDeskOptions) {
    this.options = options;
    this.#beat = setInterval(() => this.#keep(), KEEP_MS / 4);
  }

  newId(lane: string, job: string): string {
    return `${lane}|${job}|${this.options.pod}|${this.#ids++}`;
  }

  /** What was given back before is known before this is asked: the next job of an agent needs it. */
  take(compose: () => readonly Take[], tries: number): Promise<OwnVerdict> {
    const { own, shut } = this.options;
    void this.#flush();
    const asked = own.take(compose, tries);
    asked.then(
      (verdict) => verdict.kind === 'shut' && shut(verdict.forMs),
      () => {},
    );
    return asked;
  }

  later(...changes: Change[]): void {
    const mono = this.options.clock.mono();
    for (const change of changes) this.#told.push({ ...change, mono });
    if (this.#isSoon || this.#told.length === 0) return;
    this.#isSoon = true;
    setImmediate(() => {
      this.#isSoon = false;
      void this.#flush();
    });
  }

  /** As a take says it: until the lease of what was asked for at that instant is surely ours. */
  lease(lease: Lease, askedAt: number): void {
    lease.untilMono = isTokens(lease) ? Number.POSITIVE_INFINITY : leaseFrom(askedAt);
    lease.namedMono = askedAt;
    this.#leases.add(lease);
  }

  end(lease: Lease): void {
    this.#leases.delete(lease);
  }

  /** Held for as long as an answer may take, whatever becomes of this pod. */
  async extend(lease: Lease, forMs: number): Promise<boolean> {
    const { own, clock } = this.options;
    const askedAt = clock.mono();
    const wireMs = forMs + own.travelMs + LEASE_MARGIN_MS;
    const lost = await own.settle([{ ...lease.use, what: 'keep', forMs: wireMs, isWired: true }]);
    if (lost.length > 0) return false;
    lease.untilMono = Math.max(lease.untilMono, askedAt + forMs);
    return true;
  }

  async stop(): Promise<void> {
    clearInterval(this.#beat);
    await this.#flush();
  }

  /** Several may be under way: they arrive in the order in which they were sent. What may not have arrived is sent again. */
  async #flush(): Promise<void> {
    const told = this.#told;
    this.#told = [];
    const pages: Promise<void>[] = [];
    for (let start = 0; start < told.length; start += MAX_CHANGES) {
      pages.push(this.#write(told.slice(start, start + MAX_CHANGES)));
    }
    await Promise.all(pages);
  }

  async #write(page: Told[]): Promise<void> {
    const { own, clock, events } = this.options;
    const now = clock.mono();
    try {
      await own.settle(page.map((each) => (each.what === 'settle' ? { ...each, agoMs: now - each.mono } : each)));
    } catch (error) {
      events.emit('redis.failing', { what: `settle limits of ${own.upstream}`, reason: toError(error).message });
      // Beyond that it runs out by itself, later than it must.
      if (this.#told.length < MAX_KEPT) this.#told.push(...page);
    }
  }

  #keep(): void {
    const { clock, events, own } = this.options;
    if (this.#told.length > 0) void this.#flush();
    const now = clock.mono();
    const due: Lease[] = [];
    for (const lease of this.#leases) {
      if (now >= lease.untilMono) this.#lose(lease);
      else if (now - lease.namedMono >= KEEP_MS) due.push(lease);
    }
    for (let start = 0; start < due.length; start += MAX_CHANGES) {
      this.#name(due.slice(start, start + MAX_CHANGES), now).catch((error) =>
        events.emit('redis.failing', { what: `keep limits of ${own.upstream}`, reason: toError(error).message }),
      );
    }
  }

  async #name(leases: readonly Lease[], askedAt: number): Promise<void> {
    // Before it is asked: asked once is asked, however long the answer takes.
    for (const lease of leases) {
      lease.namedMono = askedAt;
      // Redis makes it shorter where nothing is on the wire: no request that begins before the answer may rely on the longer one.
      if (!isTokens(lease) && !lease.isOnWire) lease.untilMono = Math.min(lease.untilMono, leaseFrom(askedAt));
    }
    const lost = await this.options.own.settle(
      leases.map((lease) =>
        // Known already, nothing comes of it; after a FLUSHALL it counts again while it is still under way.
        isTokens(lease)
          ? { ...lease.use, what: 'raise' }
          : { ...lease.use, what: 'keep', forMs: SLOT_MS, isWired: lease.isOnWire },
      ),
    );
    for (const lease of leases) {
      if (!this.#leases.has(lease) || isTokens(lease)) continue;
      if (lost.includes(lease.use.id)) this.#lose(lease);
      else lease.untilMono = Math.max(lease.isOnWire ? lease.untilMono : 0, leaseFrom(askedAt));
    }
  }

  #lose(lease: Lease): void {
    this.#leases.delete(lease);
    lease.lose();
  }
}

function isTokens({ use }: Lease): boolean {
  return use.limit.kind === 'tokens';
}

/** Monotonic: until when it is surely ours. */
function leaseFrom(askedAt: number): number {
  return askedAt + SLOT_MS - LEASE_MARGIN_MS;
}
