// Handlers as they must never be written. One request first, so that the stand-in upstream's record shows each start.

import { handle } from 'lanekeeper';
import { type Poison, poison } from '../queues/lanes.ts';

const POD = process.env.FAULTS_POD ?? `pid-${process.pid}`;

export const poisoner = handle(poison, {
  async run(job, ctx) {
    const { kind, blockMs } = job.payload;
    const path = `/poison/${kind}?pod=${POD}&attempt=${job.attempt}&start=${ctx.fence}`;
    await ctx.fetch(path, { method: 'POST', headers: { 'x-job-id': job.id } });
    return misbehave(kind, ctx.fence === '1' ? blockMs : 0);
  },
});

function misbehave(kind: Poison, blockMs: number): unknown {
  switch (kind) {
    case 'throw-string':
      throw 'a string, not an Error';
    case 'throw-null':
      throw null;
    case 'throw-bare-object':
      throw Object.create(null); // String() of it throws
    case 'throw-hostile-getter':
      throw {
        get name(): string {
          throw new Error('even its name throws');
        },
      };
    case 'throw-hostile-stack':
      throw Object.defineProperty(new Error('its stack throws'), 'stack', {
        get() {
          throw new Error('no stack for you');
        },
      });
    case 'never':
      return new Promise(() => {});
    case 'bigint':
      return { count: 1n };
    case 'circular': {
      const self: { self?: unknown } = {};
      self.self = self;
      return self;
    }
    case 'huge':
      return 'x'.repeat(64 * 1024 * 1024);
    case 'fickle': {
      // As an entity whose connection was closed meanwhile: it can be serialized once.
      let asked = 0;
      return {
        toJSON() {
          asked++;
          if (asked > 1) throw new Error('cannot be serialized a second time');
          return 'once';
        },
      };
    }
    case 'function':
      return () => {};
    case 'stray':
      void Promise.reject(new Error('nobody waits for me'));
      return 'fine';
    case 'block':
      block(blockMs);
      return 'blocked';
    case 'block-always':
      block(Number.POSITIVE_INFINITY);
      return 'unreachable';
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return 'unreachable';
  }
}

/** Holds the event loop as a long computation would, but leaves the cores to the others of this machine. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
