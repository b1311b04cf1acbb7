// When are two jobs the same job? By the caller's key, by content, or by what the lane's own function says of the payload. The
// answer is a reservation: a key of Redis that stands for a while and names the job that came first. It is written in one
// script with that job (store/add-jobs), so there is no moment between the two.

import { hash as digest } from 'node:crypto';
import type { Reservation } from '../store/add-jobs.ts';
import { toCanonicalJson } from '../words/canonical-json.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../words/errors.ts';
import type { Keys, LaneAddress } from '../words/keys.ts';

export interface Dedupe {
  /** Says in a text what makes two payloads the same job; 'content' is payload and agent, 'key' the caller's key alone. */
  readonly by: 'key' | 'content' | ((payload: never) => unknown);
  readonly forMs: number;
}

export interface Sameness {
  payload: unknown;
  agent?: string | undefined;
  key?: string | undefined;
}

/** Undefined when nothing says that the job could be the same as another. A key that is given wins over the lane's rule. */
export function toReservation(
  lane: LaneAddress,
  dedupe: Dedupe,
  keys: Keys,
  id: string,
  given: Sameness,
  where = '',
): Reservation | undefined {
  if (dedupe.by === 'key' && given.key === undefined) return undefined;
  const { kind, text, content } = toSameness(dedupe, given, where);
  return {
    key: keys.reservation(lane, hash(`${kind}\n${text}`)),
    mark: `${id} ${content}`,
    forMs: dedupe.forMs,
  };
}

/** The job a reservation names, and the hash of what that was; '' when any content is the same. */
export function readMark(mark: string): { id: string; content: string } {
  const blank = mark.indexOf(' ');
  return { id: mark.slice(0, blank), content: mark.slice(blank + 1) };
}

function toSameness(dedupe: Dedupe, given: Sameness, where: string): { kind: string; text: string; content: string } {
  if (given.key !== undefined) return { kind: 'key', text: given.key, content: toContent(given) };
  if (typeof dedupe.by !== 'function') return { kind: 'content', text: contentOf(given), content: '' };
  return { kind: 'by', text: askLane(dedupe.by as (payload: unknown) => unknown, given.payload, where), content: '' };
}

/** A hash of payload and agent. */
export function toContent(given: Sameness): string {
  return hash(contentOf(given));
}

function contentOf({ payload, agent }: Sameness): string {
  return toCanonicalJson([payload, agent ?? null]);
}

function askLane(by: (payload: unknown) => unknown, payload: unknown, where: string): string {
  let said: unknown;
  try {
    said = by(payload);
  } catch (thrown) {
    throw new LanekeeperError('LK_INPUT', `${where}dedupe: the lane's function threw: ${toError(thrown).message}`);
  }
  if (typeof said === 'string' && said !== '') return said;
  throw wrongOption('LK_INPUT', `${where}dedupe: the lane's function`, 'to answer a text', said);
}

export function keyTaken(key: string, id: string, where = ''): LanekeeperError {
  return new LanekeeperError(
    'LK_KEY_TAKEN',
    `${where}key ${quote(key)} stands for another payload or agent (job ${id}): use a new key, or send what was sent`,
  );
}

/** 132 bits: no two texts of a fleet's life share them. */
function hash(text: string): string {
  return digest('sha256', text, 'base64url').slice(0, 22);
}
