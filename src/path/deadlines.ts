// Ends attempts that take longer than their lane allows. All attempts of a lane have the same time, so they run out in the order
// in which they began: one timer for the oldest serves them all, where one each cost 3 us and a share of the garbage.

import type { Clock } from '../words/clock.ts';
import type { Attempt } from './attempt.ts';

export interface Deadlines {
  watch(attempt: Attempt): void;
  forget(attempt: Attempt): void;
}

export function createDeadlines(timeoutMs: number, clock: Clock): Deadlines {
  /** Attempt -> the instant (monotonic) at which it is over; oldest first. */
  const watched = new Map<Attempt, number>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    timer = undefined;
    for (const [attempt, endsAt] of watched) {
      // Node's timers may be a millisecond early: the clock decides.
      if (clock.mono() < endsAt) {
        arm(endsAt);
        return;
      }
      watched.delete(attempt);
      const why = attempt.sayLate?.() ?? '';
      attempt.end('timeout', new DOMException(`no end within ${timeoutMs} ms${why}`, 'TimeoutError'));
    }
  }

  function arm(endsAt: number): void {
    timer = setTimeout(look, Math.max(1, Math.ceil(endsAt - clock.mono()))).unref();
  }

  return {
    watch(attempt) {
      const endsAt = clock.mono() + timeoutMs;
      watched.set(attempt, endsAt);
      if (!timer) arm(endsAt);
    },
    forget(attempt) {
      watched.delete(attempt);
    },
  };
}
