// How many attempts a pod runs at once, over all its lanes. When it is full, lanes stand in line, so one lane with a long
// backlog hands its slots on, one by one, to the others that have work.

export interface Slots {
  readonly taken: number;
  readonly size: number;
  tryTake(): boolean;
  /** Calls back once, when a slot may be free. Asking twice keeps the first place. */
  whenFree(lane: string, callback: () => void): void;
  /** Whether another lane waits, so that a finished attempt should not fetch its own lane's next job. */
  wantedByAnother(lane: string): boolean;
  giveBack(): void;
}

export function createSlots(size: number): Slots {
  const line = new Map<string, () => void>();
  let taken = 0;
  return {
    get taken() {
      return taken;
    },
    size,
    tryTake() {
      if (taken >= size) return false;
      taken++;
      return true;
    },
    whenFree(lane, callback) {
      if (!line.has(lane)) line.set(lane, callback);
    },
    wantedByAnother: (lane) => line.size > (line.has(lane) ? 1 : 0),
    giveBack() {
      taken--;
      // A lane that has no use for it any more takes none: the next in line is asked.
      for (const [lane, callback] of line) {
        if (taken >= size) return;
        line.delete(lane);
        callback();
      }
    },
  };
}
