// Gives out permits of one upstream to the lanes of this pod. A lane asks before it fetches; what it has is handed on from job to
// job without a word to Redis, until another lane is further below its share, or nothing is left to do. All lanes share the
// upstream's holds, and the beat that keeps what they have.

import type { LimitDriver } from '../store/limit-driver.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { EventHub } from '../words/events.ts';
import { type DeskLane, LaneDesk, type Shared } from './lane-desk.ts';

/** A ticket that nobody sends counts for so long too much. */
const BEAT_MS = 100;

export interface DeskOptions {
  upstream: string;
  driver: LimitDriver;
  clock: Clock;
  events: EventHub;
}

export class PermitDesk {
  readonly #options: DeskOptions;
  readonly #shared: Shared;
  #heldUntilMono = Number.NEGATIVE_INFINITY;
  readonly #lanes = new Map<string, LaneDesk>();
  readonly #beat: NodeJS.Timeout;

  constructor(options: DeskOptions) {
    this.#options = options;
    const { driver } = options;
    const desk = this;
    this.#shared = {
      ...options,
      get heldUntilMono() {
        return desk.#heldUntilMono;
      },
      hold: (forMs, reason) => this.hold(forMs, reason),
      shut: (forMs) => this.shut(forMs),
    };
    driver.onNotice((notice) => {
      if (notice.kind === 'held') this.shut(notice.forMs);
      if (notice.kind === 'released') this.#heldUntilMono = Number.NEGATIVE_INFINITY;
      // Sizes may be less than what is held: what ends next goes back then, too.
      if (notice.kind === 'changed') for (const lane of this.#lanes.values()) lane.wanted();
      if (notice.kind === 'wanted') {
        for (const lane of this.#lanes.values()) if (notice.lane !== lane.name) lane.wanted();
        return;
      }
      // Where nothing is taken before a job is here there is nothing to ask for: only a hold kept it waiting.
      const asks = driver.needs.slots || driver.needs.tickets;
      for (const lane of this.#lanes.values()) {
        if (!asks || notice.kind === 'released') lane.wake();
        else if (notice.kind !== 'free' || notice.lane === lane.name) lane.notice();
      }
    });
    this.#beat = setInterval(() => {
      for (const lane of this.#lanes.values()) lane.keep();
    }, BEAT_MS);
  }

  lane(lane: DeskLane): LaneDesk {
    const known = this.#lanes.get(lane.name) ?? new LaneDesk(this.#shared, lane);
    this.#lanes.set(lane.name, known);
    return known;
  }

  /** Nobody of this pod is let through for so long: others find out by themselves. */
  shut(forMs: number): void {
    this.#heldUntilMono = Math.max(this.#heldUntilMono, this.#options.clock.mono() + forMs);
  }

  hold(forMs: number, reason: string): void {
    const { driver, events, upstream } = this.#options;
    this.shut(forMs); // before the word is out
    driver.hold(forMs, reason).then(
      (isNews) => isNews && events.emit('limit.held', { upstream, forMs, reason }),
      (error) => events.emit('redis.failing', { what: `hold ${upstream}`, reason: toError(error).message }),
    );
  }

  /** What is still held goes back; nothing more is given out. */
  async stop(): Promise<void> {
    clearInterval(this.#beat);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    await this.#options.driver.stop();
  }
}
