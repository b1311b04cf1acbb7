// How a long-running command is told to leave: SIGTERM or Ctrl-C, again to hurry; or the parent that started it is gone.

export function onLeave(leave: (reason: string, isHurry: boolean) => void): void {
  let asked = false;
  const ask = (reason: string) => {
    leave(reason, asked);
    asked = true;
  };
  process.on('SIGTERM', () => ask('SIGTERM'));
  process.on('SIGINT', () => ask('SIGINT'));
  // Started with a channel: when it closes, whoever would have restarted or stopped us is dead.
  if (process.send) process.on('disconnect', () => ask('its parent is gone'));
}

/** Tells the parent, if there is one, that we are up. */
export function tellReady(facts: Record<string, unknown>): void {
  process.send?.(facts, undefined, undefined, () => {});
}
