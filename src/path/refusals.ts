// What a lane's settles do while Redis refuses to write, because it or its disk is full: they keep their locks and wait, and one
// asks each second for all. Each for itself, 400 attempts asked 400 times a second. Redis's first yes lets all of them go.

const ASK_AGAIN_MS = 1_000;

export interface Refusals {
  /** Whether this one may ask now. Not while Redis refuses and another has asked in this second. */
  mayAsk(): boolean;
  refused(): void;
  answered(): void;
  /** Resolves when it is time to look again. */
  again(): Promise<void>;
}

export function createRefusals(): Refusals {
  let isRefusing = false;
  let hasAsked = false;
  let next: { promise: Promise<void>; wake: () => void } | undefined;

  function startSecond(): { promise: Promise<void>; wake: () => void } {
    let open = () => {};
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    const wake = () => {
      clearTimeout(timer);
      next = undefined;
      hasAsked = false;
      open();
    };
    const timer = setTimeout(wake, ASK_AGAIN_MS);
    return { promise, wake };
  }

  return {
    mayAsk() {
      if (!isRefusing) return true;
      if (hasAsked) return false;
      hasAsked = true;
      return true;
    },
    refused() {
      isRefusing = true;
      hasAsked = true;
    },
    answered() {
      if (!isRefusing) return;
      isRefusing = false;
      next?.wake();
    },
    again() {
      next ??= startSecond();
      return next.promise;
    },
  };
}
