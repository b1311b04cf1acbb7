// What a limit sees of ctx.fetch: each request that goes out (one that fetch repeats after a 421, or a redirect that it follows,
// is one more) asks for its permit, is written within it or not at all, and tells when its answer has ended. The answer is read
// from the network whether the handler looks at it or not, so that one that is ignored does not hold the permit.

import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import {
  dispatcherOf,
  type FetchDispatcher,
  type FetchHandler,
  failHandler,
  type UnderWay,
  type Watcher,
  watch,
} from './fetch-hooks.ts';
import type { Permit, Sending } from './permit.ts';

/** What is kept of a body that the handler has not read yet; beyond it the upstream has to wait for the handler. */
const MAX_AHEAD_BYTES = 1024 * 1024;

/** How the requests of one attempt stand in each other's way. */
export interface Traffic {
  /** For a permit. */
  waiting: number;
  /** Those whose answer goes on only when the handler reads it. */
  readonly unread: Set<{ readonly name: string }>;
  readonly underWay: UnderWay;
}

export interface Sender {
  /** As an error calls it. */
  name: string;
  permit: Permit;
  traffic: Traffic;
  /** For how long its answer would be awaited, if it went out now. Throws when it may not go out at all. */
  forMs(): number;
  /** Nothing is written after it, whatever the permit says. */
  lockedUntilMono(): number;
  /** Ends the wait for a permit. */
  signal: AbortSignal;
  /** Of the handler: fetch listens to it too, but gives back nothing of what it has not begun to write. */
  own: AbortSignal | null | undefined;
  clock: Clock;
  /** Whose connections to use, when not Node's own. */
  through: FetchDispatcher | undefined;
}

/** To be passed to fetch as its `dispatcher`. */
export interface Permitted extends FetchDispatcher {
  /** Why nothing was sent, when it is neither the network's doing nor fetch's. */
  refusal: Error | undefined;
}

export function createPermitted(sender: Sender): Permitted {
  const permitted: Permitted = {
    refusal: undefined,
    dispatch(request, handler) {
      const refuse = (why: Error) => {
        permitted.refusal = why;
        failHandler(handler, why);
      };
      void new Exchange(sender, request, handler, refuse).send();
      return true;
    },
  };
  return permitted;
}

/** One request and its answer. */
class Exchange implements Watcher {
  readonly #sender: Sender;
  readonly #request: unknown;
  readonly #handler: FetchHandler;
  readonly #refuse: (why: Error) => void;
  /** Until it has been told how it went. */
  #sending: Sending | undefined = undefined;
  /** Known once it is written. */
  #cut: ((why: Error) => void) | undefined = undefined;
  #isLate = false;
  #hasAnswered = false;
  #aheadBytes = 0;

  constructor(sender: Sender, request: unknown, handler: FetchHandler, refuse: (why: Error) => void) {
    this.#sender = sender;
    this.#request = request;
    this.#handler = handler;
    this.#refuse = refuse;
  }

  get name(): string {
    return this.#sender.name;
  }

  async send(): Promise<void> {
    this.#isLate = false;
    const { signal, through, own, traffic } = this.#sender;
    try {
      this.#sending = await this.#mayGo();
      if (signal.aborted) throw toError(signal.reason);
      traffic.underWay.add(this.#end);
      own?.addEventListener('abort', this.#onAbort);
      (through ?? dispatcherOf(this.#handler)).dispatch(this.#request, watch(this.#handler, this));
    } catch (thrown) {
      this.#finish();
      this.#refuse(toError(thrown));
    }
  }

  async #mayGo(): Promise<Sending> {
    const { permit, signal, forMs, traffic } = this.#sender;
    traffic.waiting++;
    try {
      return await permit.toSend(forMs(), signal);
    } finally {
      traffic.waiting--;
    }
  }

  beforeWrite(cut: (why: Error) => void): void {
    if (this.#cut) throw new Error('its connection broke, and it is not sent twice');
    const { clock, lockedUntilMono, forMs } = this.#sender;
    // Throws for an attempt that ended since it was dispatched.
    forMs();
    this.#isLate = clock.mono() > Math.min(this.#sending?.untilMono ?? 0, lockedUntilMono());
    if (this.#isLate) throw new Error('its permit ran out before it could be sent');
    this.#cut = cut;
  }

  answered(): void {
    if (!this.#hasAnswered) this.#sending?.answered();
    this.#hasAnswered = true;
  }

  mayReadAhead(bytes: number): boolean {
    this.#aheadBytes += bytes;
    const mayGoOn = this.#aheadBytes < MAX_AHEAD_BYTES;
    if (!mayGoOn) this.#sender.traffic.unread.add(this);
    return mayGoOn;
  }

  hasRoom(): void {
    this.#aheadBytes = 0;
    this.#sender.traffic.unread.delete(this);
  }

  ended(): void {
    this.#finish();
  }

  /**
   * What was not written in time goes out with another permit: connecting may take longer than one lasts. In another turn of the
   * event loop: its connection is free again by then, and permits that are always too short leave the loop to others.
   */
  failed(): boolean {
    const isOver = !this.#isLate || this.#sender.signal.aborted;
    this.#finish(true);
    if (!isOver) setImmediate(() => void this.send());
    return isOver;
  }

  readonly #end = (why: Error): void => {
    if (this.#cut) this.#cut(why);
    else this.#finish();
  };

  readonly #onAbort = (): void => this.#end(toError(this.#sender.own?.reason));

  #finish(wasCut = false): void {
    const { own, traffic } = this.#sender;
    own?.removeEventListener('abort', this.#onAbort);
    traffic.underWay.delete(this.#end);
    traffic.unread.delete(this);
    const sending = this.#sending;
    this.#sending = undefined;
    if (this.#cut) sending?.ended(wasCut);
    else sending?.unsent();
  }
}
