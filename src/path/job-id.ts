// Job ids. Never the caller's text: BullMQ keeps a job under `<queue>:<id>`, so an id 'wait' or 'meta' would overwrite the
// queue itself (seen: one such add bricked a lane).

import { randomUUID } from 'node:crypto';

/** Time first, in hex, so that ids sort by their making; 56 random bits behind it (randomUUID is cheap: it buffers entropy). */
export function newJobId(nowAt: number): string {
  const random = randomUUID();
  return `j_${nowAt.toString(16).padStart(12, '0')}${random.slice(0, 2)}${random.slice(24)}`;
}
