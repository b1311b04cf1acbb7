// Reads a request's body: at most 1 MiB, as JSON where it should be JSON, else as text.

import type { IncomingMessage } from 'node:http';

const MAX_BYTES = 1024 * 1024;
/** A sender that is cut off in the middle sees a reset instead of the 413, so this much is read and thrown away first. */
const MAX_DRAINED_BYTES = 64 * MAX_BYTES;

export type Body =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' | 'too-large' | 'cut-off' };

export async function readBody(request: IncomingMessage): Promise<Body> {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding === undefined && (length === undefined || length === '0')) return { kind: 'none' };
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= MAX_BYTES) chunks.push(chunk);
      else if (size > MAX_DRAINED_BYTES) break;
    }
  } catch {
    return { kind: 'cut-off' };
  }
  if (size > MAX_BYTES) return { kind: 'too-large' };
  return size === 0 ? { kind: 'none' } : parseBody(Buffer.concat(chunks).toString('utf8'), request);
}

function parseBody(text: string, request: IncomingMessage): Body {
  const type = request.headers['content-type'];
  try {
    // Without a type, or with the one that fetch gives to any string, it is JSON if it reads as JSON.
    if (type === undefined || /json|text\/plain/.test(type)) return { kind: 'json', value: JSON.parse(text) };
  } catch {
    if (type?.includes('json')) return { kind: 'malformed' };
  }
  return { kind: 'text', value: text };
}
