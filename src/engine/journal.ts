// Appends what happened to the journal. Outcomes go in micro-batches, one stream entry per tag and batch, because one entry
// per outcome would cost Redis as much as the move it records. A killed pod may lose its last batch; what a person ordered
// is written by itself and awaited (`append`).

import type { Redis } from '../store/connect.ts';
import { type Told, writeBatch } from '../store/journal-stream.ts';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import { EVENT_CATALOGUE, type EventHub, type EventName, type Events } from '../words/events.ts';
import type { Keys } from '../words/keys.ts';

/** 20 ms: at 15,000 outcomes a second, 300 entries a write; nobody reads a timeline closer than that. */
const FLUSH_MS = 20;
/** While Redis is away. What does not fit is counted and said in the next batch: a gap is named, never hidden. */
const MAX_HELD = 10_000;

export interface Journal {
  subscribe(events: EventHub): void;
  /** Writes one entry now and resolves when it stands: for what people order. */
  append<N extends EventName>(what: N, data: Events[N]): Promise<void>;
  stop(): Promise<void>;
}

export interface JournalOptions {
  redis: Redis;
  keys: Keys;
  who: string;
  /** The tag of a lane; undefined for what belongs to none, which goes to the fleet's stream. */
  tagOf: (lane: string) => string | undefined;
  clock: Clock;
}

export function createJournal({ redis, keys, who, tagOf, clock }: JournalOptions): Journal {
  let held: { stream: string; at: number; what: EventName; data: object }[] = [];
  /** Entries that did not get through, by stream: each stream names its own gap. */
  const dropped = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> | undefined;
  let heard: EventHub | undefined;

  const streamOf = (data: object) => {
    // What is told of an upstream is told in its own stream, whoever tells it.
    const tag =
      'upstream' in data ? (data.upstream as string) : 'lane' in data ? tagOf(data.lane as string) : undefined;
    return tag === undefined ? keys.fleetJournal() : keys.journal(tag);
  };
  const drop = (stream: string, count: number) => void dropped.set(stream, (dropped.get(stream) ?? 0) + count);

  function hold(what: EventName, data: object): void {
    if (held.length >= MAX_HELD) for (const { stream } of held.splice(0, MAX_HELD / 10)) drop(stream, 1);
    held.push({ stream: streamOf(data), at: clock.mono(), what, data });
    timer ??= setTimeout(flush, FLUSH_MS);
  }

  function flush(): Promise<void> {
    flushing ??= write().finally(() => {
      flushing = undefined;
      timer = held.length > 0 ? setTimeout(flush, FLUSH_MS) : undefined;
    });
    return flushing;
  }

  async function write(): Promise<void> {
    const batch = held;
    held = [];
    const writtenAt = clock.mono();
    const byStream = new Map<string, Told[]>();
    for (const { stream, at, what, data } of batch) {
      const told = byStream.get(stream) ?? [];
      told.push({ what, age: Math.round(writtenAt - at), data });
      byStream.set(stream, told);
    }
    await Promise.all(
      [...byStream].map(async ([stream, entries]) => {
        const gap = dropped.get(stream) ?? 0;
        dropped.delete(stream);
        // Refused (out of memory, say): counted, and said in the next batch that gets through.
        await writeBatch(redis, stream, who, entries, gap).catch((error) => {
          drop(stream, gap + entries.length);
          const { name, message } = toError(error);
          if (name === 'ReplyError') heard?.emit('redis.failing', { what: 'journal', reason: message });
        });
      }),
    );
  }

  return {
    subscribe(events) {
      heard = events;
      events.onAny((name, data) => {
        if (EVENT_CATALOGUE[name].journal) hold(name, data);
      });
    },
    async append(what, data) {
      await writeBatch(redis, streamOf(data), who, [{ what, age: 0, data }]);
    },
    async stop() {
      clearTimeout(timer);
      await flushing;
      if (held.length > 0) await write();
    },
  };
}
