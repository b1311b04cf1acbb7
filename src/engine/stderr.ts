// Where the log goes: stderr, in few writes, off the event loop, and nowhere once nobody reads it. pino's own destination writes
// for ever when it flushes at exit into a pipe whose reader is dead: pods outlived the `up` that was killed.

import { write, writeSync } from 'node:fs';

const STDERR = 2;
/** A write per line would cost a lane of 15,000 jobs a second more than the jobs. A kill -9 loses the last 100 ms. */
const ENOUGH_CHARS = 4_096;
const FLUSH_MS = 100;
/** A reader that stands still is asked again this often; what it does not take meanwhile is held up to this much, then dropped. */
const BUSY_MS = 50;
const MAX_HELD_CHARS = 1024 * 1024;

export interface Stderr {
  write(line: string): void;
}

export function createStderr(): Stderr {
  let held = '';
  let isWriting = false;
  let isBroken = false;
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (isWriting || isBroken || held === '') return;
    isWriting = true;
    const bytes = Buffer.from(held);
    held = '';
    send(bytes);
  }

  function send(bytes: Buffer): void {
    write(STDERR, bytes, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(send, BUSY_MS, bytes).unref();
      } else if (error) {
        isBroken = true;
      } else if (written < bytes.length) {
        send(bytes.subarray(written));
      } else {
        isWriting = false;
        flush();
      }
    });
  }

  process.on('exit', () => {
    try {
      if (!isBroken && held !== '') writeSync(STDERR, held);
    } catch {
      // Nobody reads, or not fast enough: a process that ends waits for neither.
    }
  });

  return {
    write(line) {
      if (isBroken || held.length > MAX_HELD_CHARS) return;
      held += line;
      if (held.length >= ENOUGH_CHARS) flush();
      else timer ??= setTimeout(flush, FLUSH_MS).unref();
    },
  };
}
