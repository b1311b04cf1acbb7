// Instants as people and programs write them, as epoch ms. What cannot be an instant is undefined, never a guess.

/**
 * The end of the year 9999, the last that RFC 3339 can write. BullMQ's score of a delayed job (instant x 4096) is then exact
 * to 128, still a fraction of a millisecond.
 */
const MAX_EPOCH_MS = Date.UTC(10_000, 0, 1) - 1;

export const INSTANT_FORM = "an instant such as '2030-01-31T08:00:00Z', a Date or epoch milliseconds";

export function toEpochMs(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? parseRfc3339(value) : typeof value === 'object' ? readDate(value) : value;
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 && ms <= MAX_EPOCH_MS ? Math.round(ms) : undefined;
}

/** Asking a revoked proxy whether it is a Date throws, and so may the getTime of somebody's own. */
function readDate(value: object | null): unknown {
  try {
    return value instanceof Date ? value.getTime() : undefined;
  } catch {
    return undefined;
  }
}

/** Date.parse also takes '1', 'May' and local times: an instant without a zone means another moment on every machine. */
function parseRfc3339(text: string): number {
  return /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
}
