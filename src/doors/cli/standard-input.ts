// Standard input as text, or a clear no: it may never end, and it may be no text at all.

import { LanekeeperError } from '../../words/errors.ts';

/** A payload is at most 1 MiB as the JSON we store; people's own may be indented, and hold many blanks. */
const MAX_INPUT_BYTES = 8 * 1024 * 1024;

export async function readStandardInput(): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of process.stdin as AsyncIterable<Uint8Array>) {
    bytes += part.byteLength;
    if (bytes > MAX_INPUT_BYTES) {
      throw new LanekeeperError('LK_INPUT', `standard input: expected at most ${MAX_INPUT_BYTES} bytes, got more`);
    }
    parts.push(part);
  }
  try {
    // Without `fatal`, what is no UTF-8 would be stored as question marks and nobody would hear of it.
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new LanekeeperError('LK_INPUT', 'standard input: expected UTF-8, got other bytes');
  }
}
