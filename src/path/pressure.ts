// Whether more may come in: not beyond a lane's backlog, and not while Redis is nearly full, because a full Redis lets nobody
// fetch or settle either. Checked against readings a little old, corrected by what this process has added since.
//
// How far the backlog may be overshot. A reading serves for 250 ms, or until this process has added a 32nd of the room that
// it showed; then whoever adds waits for the next, which all share: one round trip each 250 ms, not one each add. So up to 32
// producers fill the room together and pass the limit by at the most one call each but the last. More of them, all at once, pass
// it by what they write in 250 ms: 20,000 jobs a second are 5,000, half a percent of the default.
//
// Memory is read at the most once a second, or sooner when this process has added a 256th of it: the quarter that is kept free
// holds what 64 producers add between two readings. Nothing is read while nothing is added.

import { type Redis, redisDown } from '../store/connect.ts';
import type { LaneQueue } from '../store/lane-queue.ts';
import {
  FULL_RATIO,
  isFull,
  type RedisMemory,
  ROOMY_RATIO,
  readInfo,
  sayMemory,
  toMemory,
} from '../store/redis-info.ts';
import { systemClock } from '../words/clock.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import type { Lane } from './lane.ts';

/** What stands before the door. One with a reservation may be in already. */
export interface Newcomer {
  readonly job: { readonly data: string };
  readonly reservation: { readonly key: string } | undefined;
}

const COUNT_MS = 250;
const COUNT_SHARE = 32;
const MEMORY_MS = 1_000;
const MEMORY_SHARE = 256;
/** What a job takes beside its data: hash, sets, the queue's event. Measured: 300 to 900 bytes. */
const JOB_BYTES = 1_024;
/** What producers write in one go; a larger call is under way for a while, and no reading shows all of it. */
const ONE_WRITE = 1_000;
const FORGOTTEN_MS = 10_000;

const nowAt = systemClock.mono;

/**
 * Throws LK_BACKLOG_FULL or LK_REDIS_FULL when these items may not come in; then nothing was written. Items that are in already
 * add nothing and are never refused. What it answers is to be held (`using`) until all of them are written.
 */
export async function refuseUnderPressure(
  laneQueue: LaneQueue,
  lane: Pick<Lane, 'name' | 'backlog'>,
  items: readonly Newcomer[],
): Promise<Disposable> {
  const { redis } = laneQueue;
  if (ignored.has(redis)) return NOTHING_HELD;
  const memory = of(memories, redis, () => new Memory(redis));
  const backlog = of(backlogs, laneQueue, () => new Backlog(laneQueue));
  const bytes = items.reduce((sum, { job }) => sum + Buffer.byteLength(job.data) + JOB_BYTES, 0);
  for (let hasLooked = false; ; hasLooked = true) {
    const isCountDue = backlog.isSpent(items.length, lane.backlog, hasLooked);
    const isMemoryDue = memory.isSpent(bytes, hasLooked);
    if (!isCountDue && !isMemoryDue) break;
    await Promise.all([isCountDue && backlog.look(), isMemoryDue && memory.look()]);
  }
  const isOver = memory.isFull || !memory.fits(bytes) || backlog.estimate + items.length > lane.backlog;
  const newCount = isOver ? await countNew(laneQueue, items) : items.length;
  if (newCount > 0 && memory.isFull) throw redisFull(memory.last as RedisMemory);
  if (newCount > 0 && !memory.fits(bytes)) throw tooMuch(memory.last as RedisMemory, bytes);
  if (newCount > 0 && backlog.estimate + newCount > lane.backlog) throw backlogFull(lane, backlog.estimate, newCount);
  memory.bytesSince += bytes;
  return backlog.take(newCount);
}

/** For the test that shows what happens without: nothing added through this connection is refused. */
export function ignorePressure(redis: Redis): void {
  ignored.add(redis);
}

const ignored = new WeakSet<Redis>();
const memories = new WeakMap<Redis, Memory>();
const backlogs = new WeakMap<LaneQueue, Backlog>();
const NOTHING_HELD: Disposable = { [Symbol.dispose]() {} };

function of<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key) ?? make();
  map.set(key, known);
  return known;
}

/** One look at a time, shared by all who wait for it. */
abstract class Gauge {
  protected readAt = Number.NEGATIVE_INFINITY;
  private looking: Promise<void> | undefined;
  protected readonly redis: Redis;

  constructor(redis: Redis) {
    this.redis = redis;
  }

  look(): Promise<void> {
    this.looking ??= this.lookOnce().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async lookOnce(): Promise<void> {
    // Whatever was let in before is sent by then, on this connection, and so it is in the answer.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await this.read();
    } catch (error) {
      // A Redis that answers but will not say (loading, no right to ask) says it again to the write itself.
      if (toError(error).name !== 'ReplyError') throw redisDown(addressOf(this.redis), error);
    }
    this.readAt = nowAt();
  }

  protected abstract read(): Promise<void>;
}

class Backlog extends Gauge {
  private counted = 0;
  private addedSince = 0;
  /** Of calls that take several writes: all that are under way, and those that were when the reading was asked for. */
  private held = 0;
  private heldBefore = 0;

  private readonly laneQueue: LaneQueue;

  constructor(laneQueue: LaneQueue) {
    super(laneQueue.redis);
    this.laneQueue = laneQueue;
  }

  /** Never too low for what this process added; too high, while it adds many at once, by at the most those. */
  get estimate(): number {
    return this.counted + this.heldBefore + this.addedSince;
  }

  isSpent(count: number, limit: number, hasLooked: boolean): boolean {
    if (!hasLooked && nowAt() - this.readAt > COUNT_MS) return true;
    const room = Math.max(0, limit - this.counted - this.heldBefore);
    return this.addedSince > 0 && this.addedSince + count > room / COUNT_SHARE;
  }

  take(count: number): Disposable {
    this.addedSince += count;
    if (count <= ONE_WRITE) return NOTHING_HELD;
    this.held += count;
    let isHeld = true;
    const end = () => {
      if (isHeld) this.held -= count;
      isHeld = false;
      clearTimeout(forgotten);
    };
    const forgotten = setTimeout(end, FORGOTTEN_MS).unref();
    return { [Symbol.dispose]: end };
  }

  protected async read(): Promise<void> {
    const { addedSince, held } = this;
    const counts = await this.laneQueue.backend.getCounts(['wait', 'prioritized', 'delayed']);
    this.counted = counts.reduce((sum, count) => sum + count, 0);
    this.addedSince -= addedSince;
    this.heldBefore = held;
  }
}

class Memory extends Gauge {
  bytesSince = 0;
  isFull = false;
  last: RedisMemory | undefined;

  isSpent(bytes: number, hasLooked: boolean): boolean {
    if (!hasLooked && nowAt() - this.readAt > MEMORY_MS) return true;
    const shareBytes = (this.last?.limitBytes ?? Number.POSITIVE_INFINITY) / MEMORY_SHARE;
    return this.bytesSince > 0 && this.bytesSince + bytes > shareBytes;
  }

  /** One call may be larger than all that is kept free. */
  fits(bytes: number): boolean {
    if (!this.last) return true;
    const { usedBytes, limitBytes } = this.last;
    return usedBytes + this.bytesSince + bytes < limitBytes * FULL_RATIO;
  }

  protected async read(): Promise<void> {
    const { bytesSince } = this;
    this.last = toMemory(await readInfo(this.redis, 'memory'));
    this.bytesSince -= bytesSince;
    this.isFull = this.last !== undefined && isFull(this.last, this.isFull);
  }
}

/** Only asked when some are to be refused. */
async function countNew({ redis }: LaneQueue, items: readonly Newcomer[]): Promise<number> {
  const keys = items.flatMap(({ reservation }) => reservation?.key ?? []);
  if (keys.length === 0) return items.length;
  const thereCount = await redis.exists(...keys).catch((error) => {
    throw redisDown(addressOf(redis), error);
  });
  return items.length - thereCount;
}

function backlogFull(
  { name, backlog }: Pick<Lane, 'name' | 'backlog'>,
  waiting: number,
  count: number,
): LanekeeperError {
  return new LanekeeperError(
    'LK_BACKLOG_FULL',
    `lane ${quote(name)}: backlog full: expected at most ${backlog} waiting jobs, got ${waiting} and ${count} more; try again later, start more pods, or raise backlog`,
  );
}

function redisFull(memory: RedisMemory): LanekeeperError {
  const [full, roomy] = [FULL_RATIO * 100, ROOMY_RATIO * 100];
  const what = memory.isLimited ? 'raise maxmemory' : "set maxmemory: it is the machine's memory that runs out";
  return new LanekeeperError(
    'LK_REDIS_FULL',
    `Redis uses ${sayMemory(memory)} (limit ${full} %): nothing is added until it is below ${roomy} %; let pods drain it, keep less (done.keep, dead.keep), or ${what}`,
  );
}

function tooMuch(memory: RedisMemory, bytes: number): LanekeeperError {
  const mib = Math.ceil(bytes / 2 ** 20);
  return new LanekeeperError(
    'LK_REDIS_FULL',
    `Redis uses ${sayMemory(memory)} (limit ${FULL_RATIO * 100} %) and this would add about ${mib} MiB: add less at once, or let pods drain it`,
  );
}

function addressOf({ options: { host, port, path } }: Redis): string {
  return path ? `redis://${path}` : `redis://${host}:${port}`;
}
