// Job ids. Never the caller's text: BullMQ keeps a job under `<queue>:<id>`, so an id 'wait' or 'meta' would overwrite the
// queue itself (seen: one such add bricked a lane).

import { createHash, randomBytes } from 'node:crypto';

const ID_FORM = /^j_[A-Za-z0-9_-]{22}$/;

/** Time first, so that ids sort by their making; 74 random bits behind it. */
export function newJobId(nowAt: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowAt, 0, 6);
  return `j_${bytes.toString('base64url')}`;
}

/** The same key makes the same id, in every process: while the job is kept, adding it again writes nothing. */
export function keyedJobId(lane: string, key: string): string {
  return `j_${createHash('sha256').update(`${lane}\n${key}`).digest().subarray(0, 16).toString('base64url')}`;
}

export function isJobId(id: string): boolean {
  return ID_FORM.test(id);
}
