// Sees what the event loop cannot: that it is blocked. A handler that computes for minutes stops lock renewals, health and
// shutdown alike. A thread counts its own seconds without a beat of the loop (a stopped process stops both, so a SIGSTOP is
// no block), names the jobs that run, and after 40 s ends the process, so that what it holds runs elsewhere.

import { Worker } from 'node:worker_threads';
import type { Clock } from '../words/clock.ts';

const WARN_S = 10;
/** Twice the life of a lock: by then nothing that the pod holds can settle. */
const KILL_S = 40;
const BEAT_MS = 500;
const NAME_BYTES = 512;

export interface Watchdog {
  stop(): Promise<void>;
}

/** A loop that late has missed renewals; shorter pauses are everyday garbage collection and busy neighbours. */
const LATE_MS = 5_000;

export interface WatchdogOptions {
  /** Names what runs now, for the last words of a blocked pod. */
  running: () => string;
  /** Told afterwards, when the loop runs again: it was blocked, or the process was stopped. */
  onLate: (lateMs: number) => void;
  clock: Clock;
  killAfterS?: number;
}

export function startWatchdog({ running, onLate, clock, killAfterS = KILL_S }: WatchdogOptions): Watchdog {
  const shared = new SharedArrayBuffer(8 + NAME_BYTES);
  const beat = new Int32Array(shared, 0, 2);
  const names = Buffer.from(shared, 8);
  const thread = new Worker(THREAD, { eval: true, workerData: { shared, warnS: WARN_S, killS: killAfterS } });
  thread.unref();
  let beatAt = clock.mono();
  const timer = setInterval(() => {
    const lateMs = clock.mono() - beatAt - BEAT_MS;
    beatAt = clock.mono();
    if (lateMs > LATE_MS) onLate(Math.round(lateMs));
    Atomics.add(beat, 0, 1);
    beat[1] = names.write(running(), 0, NAME_BYTES);
  }, BEAT_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await thread.terminate();
    },
  };
}

// Plain JavaScript in a text, because a thread's file would have to be found from source, from dist and from a bundle.
const THREAD = `
const { workerData: { shared, warnS, killS } } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const beat = new Int32Array(shared, 0, 2);
let last = -1, silent = 0;
const say = (level, text) => writeSync(2, JSON.stringify({
  level, time: new Date().toISOString(), pid: process.pid, msg: 'pod.blocked', blockedS: silent,
  running: Buffer.from(shared, 8, beat[1]).toString(), reason: text }) + '\\n');
setInterval(() => {
  const now = Atomics.load(beat, 0);
  if (now !== last) { last = now; silent = 0; return; }
  silent++;
  if (silent === warnS) say(40, 'the event loop is blocked: locks are not renewed, its jobs will run elsewhere');
  if (silent >= killS) { say(60, 'the event loop stays blocked: ending this pod'); process.kill(process.pid, 'SIGKILL'); }
}, 1000);
`;
