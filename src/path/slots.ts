// How many attempts a pod runs at once, over all its lanes. When it is full, lanes stand in line, so one lane with a long
// backlog hands its slots on, one by one, to the others that have work. A job under suspicion gets the pod to itself.

export interface Slots {
  readonly taken: number;
  readonly size: number;
  tryTake(): boolean;
  /** Calls back once, when a slot may be free. Asking twice keeps the first place. */
  whenFree(lane: string, callback: () => void): void;
  /** Whether another waits, so that a finished attempt should not fetch its own lane's next job. */
  wantedByAnother(lane: string): boolean;
  giveBack(): void;
  /** For one who holds a slot and must run alone: nobody new is let in until it ends. */
  quarantine(): Quarantine;
}

export interface Quarantine {
  /** Resolves when nothing else runs, except others in quarantine, who wait their turn. */
  readonly alone: Promise<void>;
  end(): void;
}

export function createSlots(size: number): Slots {
  const line = new Map<string, () => void>();
  const suspects: { start: () => void }[] = [];
  let taken = 0;

  function serve(): void {
    // Only suspects hold slots: the first of them may run. Starting it twice does nothing.
    if (suspects.length > 0) {
      if (taken === suspects.length) suspects[0]?.start();
      return;
    }
    // A lane that has no use for it any more takes none: the next in line is asked.
    for (const [lane, callback] of line) {
      if (taken >= size) return;
      line.delete(lane);
      callback();
    }
  }

  return {
    get taken() {
      return taken;
    },
    size,
    tryTake() {
      if (taken >= size || suspects.length > 0) return false;
      taken++;
      return true;
    },
    whenFree(lane, callback) {
      if (!line.has(lane)) line.set(lane, callback);
    },
    wantedByAnother: (lane) => suspects.length > 0 || line.size > (line.has(lane) ? 1 : 0),
    giveBack() {
      taken--;
      serve();
    },
    quarantine() {
      let start = () => {};
      const alone = new Promise<void>((resolve) => {
        start = resolve;
      });
      const suspect = { start };
      suspects.push(suspect);
      serve();
      return {
        alone,
        end() {
          const place = suspects.indexOf(suspect);
          if (place >= 0) suspects.splice(place, 1);
          // Its own slot is still taken: whoever waits is served when that comes back.
        },
      };
    },
  };
}
