// One limiter of Bottleneck's as the driver of limits uses it: a job of weight 1 for each piece, that starts when the piece is
// granted and ends when it is given back. In Redis each piece has a lease, not a deadline of Bottleneck's own: it is
// registered with `leaseMs`, and whoever holds it makes the lease anew (scripts/sync-bottleneck).

import Bottleneck from 'bottleneck';
import type { Clock } from '../words/clock.ts';
import { toError } from '../words/errors.ts';
import type { BottleneckConnection } from './bottleneck-connection.ts';

/** Bottleneck offers freed capacity to one pod at a time, and looks again with every beat. */
const HEARTBEAT_MS = 1_000;
const CLIENT_TIMEOUT_MS = 10_000;

export interface BottleneckSettings {
  maxConcurrent?: number;
  minTime?: number;
}

export interface Piece {
  /** Its name in Redis. */
  readonly id: string;
  /** It was granted, by Redis's clock, between these two instants of ours, and starts `waitMs` later. */
  readonly askedMono: number;
  readonly answeredMono: number;
  /** Whole ms, cut off. */
  readonly waitMs: number;
  giveBack(): void;
}

export interface BottleneckLimiter {
  /** Its name for this pod, in Redis. */
  readonly client: string;
  readonly ready: Promise<unknown>;
  /** Resolves when it starts; rejects when Bottleneck dropped it, and on close. */
  take(): Promise<Piece>;
  /** Asked for, and not started. */
  pending(): number;
  /** Asked for, and not granted; and for how long now without any being granted. */
  queued(): number;
  queuedForMs(): number;
  update(settings: BottleneckSettings): Promise<void>;
  /** Drops what is queued; what is held goes on. */
  close(): void;
  /** Hears and beats no more, while others go on on the same connection. */
  leave(): void;
  /** When Redis has been told of everything that was given back. */
  givenBack(): Promise<unknown>;
}

interface Registered {
  success: boolean;
  wait: number;
}

/** The private parts of a limiter that we listen to. */
interface Inside {
  _run(index: string, job: { options: { id: string } }, wait: number): unknown;
  _store: {
    clientId: string;
    __register__(index: string, weight: number, expiration?: number): Promise<Registered>;
    __free__(index: string, weight: number): Promise<unknown>;
  };
}

export function openBottleneckLimiter(
  { bottleneck: connection }: BottleneckConnection,
  id: string,
  settings: BottleneckSettings,
  leaseMs: number,
  clock: Clock,
  onError: (error: Error) => void,
): BottleneckLimiter {
  const limiter = new Bottleneck({
    id,
    connection,
    ...settings,
    heartbeatInterval: HEARTBEAT_MS,
    clientTimeout: CLIENT_TIMEOUT_MS,
    timeout: null,
  });
  limiter.on('error', (error) => onError(toError(error)));
  const inside = limiter as unknown as Inside;
  const store = inside._store;
  const granted = new Map<string, Omit<Piece, 'giveBack'>>();
  const ending = new Set<Promise<unknown>>();
  let last = { askedMono: 0, answeredMono: 0 };
  let taken = 0;
  let queued = 0;
  let pending = 0;
  let queuedSinceMono = 0;

  // Registers one at a time, and runs what it registered before the next.
  const register = store.__register__.bind(store);
  store.__register__ = async (index, weight) => {
    const askedMono = clock.mono();
    const registered = await register(index, weight, leaseMs);
    last = { askedMono, answeredMono: clock.mono() };
    return registered;
  };
  // Once more when the connection was cut: done twice it does nothing, left undone the slot is lost until its lease ends.
  const free = store.__free__.bind(store);
  store.__free__ = (index, weight) => free(index, weight).catch(() => free(index, weight));
  const run = inside._run.bind(limiter);
  inside._run = (index, job, waitMs) => {
    granted.set(job.options.id, { id: index, ...last, waitMs });
    queued--;
    queuedSinceMono = clock.mono();
    return run(index, job, waitMs);
  };

  return {
    client: store.clientId,
    ready: limiter.ready(),
    take() {
      const name = `${++taken}`;
      if (queued++ === 0) queuedSinceMono = clock.mono();
      pending++;
      return new Promise((resolve, reject) => {
        const job = () =>
          new Promise<void>((end) => {
            const piece = granted.get(name) as Omit<Piece, 'giveBack'>;
            granted.delete(name);
            pending--;
            const giveBack = () => {
              ending.add(ended);
              end();
            };
            resolve({ ...piece, giveBack });
          });
        const ended: Promise<unknown> = limiter.schedule({ id: name }, job).catch((error) => {
          if (!granted.delete(name)) queued--;
          pending--;
          reject(error);
        });
        void ended.then(() => ending.delete(ended));
      });
    },
    pending: () => pending,
    queued: () => queued,
    queuedForMs: () => (queued > 0 ? clock.mono() - queuedSinceMono : 0),
    async update(changed) {
      await limiter.updateSettings(changed);
    },
    close() {
      limiter.stop({ dropWaitingJobs: true }).catch(() => {});
    },
    leave() {
      void limiter.disconnect(false);
    },
    givenBack: () => Promise.allSettled(ending),
  };
}
