// Requests that wait in this pod for a permit's part, first come first served: for a ticket beyond their attempt's first, or for the
// slots that it let others have.

import type { Clock } from '../words/clock.ts';

interface Waiter<T> {
  /** Monotonic: no answer that came later would be awaited. */
  readonly untilMono: number;
  take(given: T): void;
  refuse(why: Error): void;
}

export class PermitLine<T> {
  readonly #clock: Clock;
  #waiters: Waiter<T>[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiters.length;
  }

  /** Rejects with the signal's reason when that is aborted first. */
  join(forMs: number, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<T> = {
        untilMono: this.#clock.mono() + forMs,
        take: (given) => {
          signal.removeEventListener('abort', leave);
          resolve(given);
        },
        refuse: (why) => {
          signal.removeEventListener('abort', leave);
          reject(why);
        },
      };
      const leave = () => {
        this.#waiters = this.#waiters.filter((waiting) => waiting !== waiter);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** To the first of the line. */
  serve(given: T): void {
    this.#waiters.shift()?.take(given);
  }

  /** Waiting would use up the attempt: it parks instead, and uses none. */
  refuseLate(forMs: number, why: () => Error): void {
    const untilMono = this.#clock.mono() + forMs;
    const late = this.#waiters.filter((waiter) => waiter.untilMono <= untilMono);
    this.#waiters = this.#waiters.filter((waiter) => !late.includes(waiter));
    for (const { refuse } of late) refuse(why());
  }
}
