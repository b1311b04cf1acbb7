// Who gives an order, for the journal: user@host.

import { hostname, userInfo } from 'node:os';

export function whoami(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}@${hostname()}`;
  }
}
