// The order in which a minute is told: by time, but a cause before what it brought about, where it was written a moment later. Writers
// keep their entries for up to 20 ms, beats look every second or two: an effect may stand in the journal first.

/** As long as the slowest of the beats that tell of a cause at once; what is told later than that, was known later. */
export const BESIDE_MS = 2_000;

/** What a told event came of, where that is told in the same minute. */
export interface Caused<E extends { at: number }> {
  event: E;
  /** Its group and its cause's. */
  key: string;
  causeKey: string | undefined;
}

/** Nothing but the order changes: each keeps its instant. */
export function causesFirst<E extends { at: number }>(told: readonly Caused<E>[]): E[] {
  const byKey = new Map(told.map((one) => [one.key, one]));
  const ordered = new Set<Caused<E>>();
  const begun = new Set<Caused<E>>();

  function put(one: Caused<E>): void {
    if (begun.has(one)) return; // put, or two that name each other
    begun.add(one);
    const cause = one.causeKey === undefined ? undefined : byKey.get(one.causeKey);
    if (cause && cause.event.at <= one.event.at + BESIDE_MS) put(cause);
    ordered.add(one);
  }

  for (const one of [...told].sort((a, b) => a.event.at - b.event.at)) put(one);
  return [...ordered].map(({ event }) => event);
}
