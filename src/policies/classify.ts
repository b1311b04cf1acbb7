// What kind of failure is this? The only place that turns an upstream's answer, or anything a handler threw, into a class.

import { FAILURE_CLASSES, type FailureClass } from '../words/failure.ts';

export interface AnswerFacts {
  status: number;
  headers: Headers;
  body: unknown;
}

/** The class of an answer that is neither 2xx nor 3xx. */
export function classifyAnswer({ status, headers, body }: AnswerFacts): FailureClass {
  const isTold = headers.has('retry-after');
  // 403 is how some APIs say 429. On other answers a remaining of 0 only says that this request was the last one allowed.
  const isLimit =
    status === 429 || (status === 403 && (isTold || headers.get('x-ratelimit-remaining')?.trim() === '0'));
  if (status === 402 || ((status === 429 || status === 403) && speaksOf(/quota/i, body))) return 'quota';
  if (isLimit) return 'rate-limit';
  if (status === 401 || status === 403 || status === 407) return 'auth';
  if (status === 404 || status === 410) return 'gone';
  if (status === 408) return 'timeout';
  // 409, 423, 425: somebody else is at it. 421: the wrong connection. All pass.
  if (status === 409 || status === 421 || status === 423 || status === 425 || status >= 500) return 'transient';
  if (status === 400 || status === 405 || status === 406 || status === 415 || status === 422) return 'schema-drift';
  if (isTold) return 'rate-limit';
  return 'fatal';
}

/** Our own complaints. A lane that is full, or a Redis that is, passes and uses no attempt; what is wrong stays wrong. */
const OURS: ReadonlyMap<string, FailureClass> = new Map([
  ['LK_BACKLOG_FULL', 'rate-limit'],
  ['LK_REDIS_FULL', 'rate-limit'],
  ['LK_INPUT', 'fatal'],
  ['LK_STEPS', 'fatal'],
  ['LK_KEY_TAKEN', 'fatal'],
]);

/** The class of whatever came out of a handler. Unknown exceptions may pass, as in every queue people know. */
export function classifyThrown(thrown: unknown): FailureClass {
  const { name, code, class: ofClass } = readParts(thrown);
  const known = FAILURE_CLASSES.find((one) => one === ofClass);
  // By name, because a folder may have its own copy of the class.
  if (name === 'UpstreamError' && known) return known;
  if (name === 'LanekeeperError' && typeof code === 'string') return OURS.get(code) ?? 'transient';
  if (name === 'TimeoutError' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
    return 'timeout';
  // An answer that no longer parses: JSON.parse throws SyntaxError, zod ZodError, valibot ValiError, arktype TraversalError.
  if (name === 'SyntaxError' || name === 'ZodError' || name === 'ValiError' || name === 'TraversalError') {
    return 'schema-drift';
  }
  return 'transient';
}

/** Looking at what was thrown may throw: a getter, a revoked proxy. Then it has no parts. */
function readParts(thrown: unknown): { name?: unknown; code?: unknown; class?: unknown } {
  try {
    const { name, code, class: ofClass } = (thrown ?? {}) as Record<string, unknown>;
    return { name, code, class: ofClass };
  } catch {
    return {};
  }
}

/** That whoever asked is shut out, and not only too early. When it may come again says the answer, or nobody does. */
export function isBan(body: unknown): boolean {
  return speaksOf(/\bbann?ed|suspended/i, body);
}

function speaksOf(word: RegExp, body: unknown): boolean {
  try {
    const { error, code, type } = (body ?? {}) as { error?: unknown; code?: unknown; type?: unknown };
    const inner = (error ?? {}) as { code?: unknown; type?: unknown };
    return [error, code, type, inner.code, inner.type].some((text) => typeof text === 'string' && word.test(text));
  } catch {
    return false; // as in readParts: it has no parts
  }
}
