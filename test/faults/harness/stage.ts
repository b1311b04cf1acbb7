// Sets up what a fault needs, lets it take place, and takes all of it down again, whatever became of it: what goes wrong on the way
// stands among the problems.

export interface Staged {
  readonly problems: string[];
  tookMs: number;
}

export type Defer = (cleanup: () => unknown) => void;

/** `defer` is called with what is to be undone, last first. */
export async function onStage<E extends Staged>(evidence: E, play: (defer: Defer) => Promise<void>): Promise<E> {
  const startedAt = performance.now();
  const cleanups: (() => unknown)[] = [];
  try {
    await play((cleanup) => void cleanups.push(cleanup));
  } catch (error) {
    evidence.problems.push(`broke off: ${(error as Error).message}`);
  } finally {
    for (const cleanup of cleanups.reverse()) {
      try {
        await cleanup();
      } catch (error) {
        evidence.problems.push(`could not be taken down: ${(error as Error).message}`);
      }
    }
  }
  evidence.tookMs = performance.now() - startedAt;
  return evidence;
}
