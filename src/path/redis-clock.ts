// What time it is at Redis, between two bounds, by this pod's monotonic clock. Redis read its clock after it was asked and before its
// answer was here, so each answer bounds the difference of the two from both sides; the quickest of the last second bound it best:
// within 0.3 ms, where one answer under load is on its way for 2.

/** Clocks drift apart by 0.5 ms a second at the worst, so an older answer says nothing. */
const FOR_MS = 1_000;
/** What they may have drifted since. */
const DRIFT = 0.0005;

interface Bound {
  ms: number;
  /** The clocks may drift apart from here. */
  atMono: number;
}

export class RedisClock {
  #least: Bound | undefined;
  #most: Bound | undefined;

  /** Redis's clock said `redisAt` between the two instants of ours. */
  heard(askedMono: number, repliedMono: number, redisAt: number): void {
    const least = { ms: askedMono - redisAt, atMono: askedMono };
    const most = { ms: repliedMono - redisAt, atMono: askedMono };
    // A clock that was set leaves no room between the bounds: then the new answer is all that is known.
    const isSet = this.#least && this.#most && (most.ms < this.#least.ms || least.ms > this.#most.ms);
    if (isSet || this.#isOld(this.#least, repliedMono) || least.ms >= this.#leastMs(repliedMono)) this.#least = least;
    if (isSet || this.#isOld(this.#most, repliedMono) || most.ms <= this.#mostMs(repliedMono)) this.#most = most;
  }

  /** Surely no earlier than Redis's clock says this: in ours. */
  toMono(redisAt: number, nowMono: number): number {
    return redisAt + this.#mostMs(nowMono);
  }

  /** Surely no earlier than that instant of ours: as Redis's clock says it. Undefined when nothing was heard of late. */
  toRedis(mono: number, nowMono: number): number | undefined {
    return this.#isOld(this.#least, nowMono) ? undefined : mono - this.#leastMs(nowMono);
  }

  #isOld(bound: Bound | undefined, nowMono: number): boolean {
    return !bound || nowMono - bound.atMono > FOR_MS;
  }

  #leastMs(nowMono: number): number {
    return this.#least ? this.#least.ms - (nowMono - this.#least.atMono) * DRIFT : Number.NEGATIVE_INFINITY;
  }

  #mostMs(nowMono: number): number {
    return this.#most ? this.#most.ms + (nowMono - this.#most.atMono) * DRIFT : Number.POSITIVE_INFINITY;
  }
}
