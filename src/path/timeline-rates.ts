// What was usual in the minutes before, so that what is not is named: a rate that jumps, one that falls away, attempts that take far
// longer. Everything is compared with the last ten minutes, which must be known: at the beginning of a telling nothing is unusual.

/** Ten minutes: longer than a herd's echo, short enough to notice the second wave. */
const KNOWN_MINUTES = 10;
const MIN_KNOWN = 3;
/** 4 times the mean and twice the most: a cron that adds fifty jobs every five minutes is no jump. */
const JUMP = 4;
const OVER_MOST = 2;
/** Fewer are chance. */
const MIN_COUNT = 20;
const MIN_BAD = 5;
/** What begins within so long of its last is one run. */
const MAX_KEYS = 2_000;

export interface Change {
  /** Mean of the minutes before. */
  before: number;
  minutes: number;
}

export class Rates {
  readonly #recent = new Map<string, number[]>();
  readonly #since = new Map<string, number>();
  #minutes = 0;

  /** The minute is over: what it had of each key. Keys without any count as none. */
  next(counts: ReadonlyMap<string, { count: number; firstAt: number }>): void {
    for (const [key, recent] of this.#recent) {
      recent.push(counts.get(key)?.count ?? 0);
      if (recent.length > KNOWN_MINUTES) recent.shift();
      if (recent.every((count) => count === 0)) this.#recent.delete(key);
      if (!counts.has(key)) this.#since.delete(key);
    }
    for (const [key, { count, firstAt }] of counts) {
      if (this.#since.size < MAX_KEYS && !this.#since.has(key)) this.#since.set(key, firstAt);
      if (this.#recent.size < MAX_KEYS && !this.#recent.has(key)) this.#recent.set(key, [...this.#zeros(), count]);
    }
    this.#minutes = Math.min(KNOWN_MINUTES, this.#minutes + 1);
  }

  /** When the run of minutes in a row with it began. */
  sinceAt(key: string, firstAt: number): number {
    return this.#since.get(key) ?? firstAt;
  }

  jump(key: string, count: number, isBad: boolean): Change | undefined {
    const usual = this.#usual(key);
    if (!usual || count < (isBad ? MIN_BAD : MIN_COUNT)) return undefined;
    return count >= usual.mean * JUMP && count >= usual.most * OVER_MOST ? toChange(usual) : undefined;
  }

  fall(key: string, count: number): Change | undefined {
    const usual = this.#usual(key);
    if (!usual || usual.mean < MIN_COUNT || (count === 0 && usual.last === 0)) return undefined;
    return count <= usual.mean / JUMP && count <= usual.least / OVER_MOST ? toChange(usual) : undefined;
  }

  /** Every key that had any in the minutes before. */
  keys(): Iterable<string> {
    return this.#recent.keys();
  }

  #zeros(): number[] {
    return new Array<number>(this.#minutes === KNOWN_MINUTES ? KNOWN_MINUTES - 1 : this.#minutes).fill(0);
  }

  #usual(key: string) {
    if (this.#minutes < MIN_KNOWN) return undefined;
    const recent = this.#recent.get(key) ?? [0];
    const sum = recent.reduce((total, count) => total + count, 0);
    return {
      mean: sum / recent.length,
      most: Math.max(...recent),
      least: Math.min(...recent),
      last: recent[recent.length - 1] ?? 0,
      minutes: this.#minutes,
    };
  }
}

function toChange({ mean, minutes }: { mean: number; minutes: number }): Change {
  return { before: mean, minutes };
}
