// Writes lines no faster than their reader takes them. A reader that has had enough (`… | head -1`) is no error.

import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Resolves when all are written, or when nobody reads any more. */
export async function writeLines(stream: Writable, lines: AsyncIterable<string>): Promise<void> {
  const failure = new AbortController();
  const onError = (error: NodeJS.ErrnoException) => failure.abort(error);
  stream.on('error', onError);
  try {
    for await (const line of lines) {
      if (!stream.write(`${line}\n`)) await once(stream, 'drain', { signal: failure.signal });
      failure.signal.throwIfAborted();
    }
    // Written to the end: only then is it known that the reader was there.
    await new Promise((resolve) => stream.write('', resolve));
    failure.signal.throwIfAborted();
  } catch (error) {
    const cause = failure.signal.aborted ? failure.signal.reason : error;
    if ((cause as NodeJS.ErrnoException).code !== 'EPIPE') throw cause;
  }
}
