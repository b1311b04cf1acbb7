// ctx.fetch: a request to the lane's upstream, by an attempt that still may. Adds the base URL, the pins, the fence and the
// idempotency key; turns every answer that is not 2xx or 3xx into an UpstreamError with its class.

import { classifyAnswer, classifyThrown } from '../policies/classify.ts';
import { readHold, readRetryAfter } from '../policies/rate-headers.ts';
import type { Clock } from '../words/clock.ts';
import { LanekeeperError, quote, toError } from '../words/errors.ts';
import { type FailureClass, UpstreamError } from '../words/failure.ts';
import type { Attempt } from './attempt.ts';
import { createChecked, type FetchDispatcher } from './fetch-hooks.ts';
import type { Context } from './handler.ts';
import type { Permit } from './permit.ts';
import { createPermitted, type Traffic } from './permitted.ts';

/** An error page is kept for the dead letter, not a download. */
const MAX_BODY_BYTES = 64 * 1024;

export function createRequest(attempt: Attempt, clock: Clock): Context['fetch'] {
  const { lane, id } = attempt;
  const kept = lane.upstream?.limits?.limits.filter(({ kind }) => kind === 'count');
  const traffic: Traffic = { waiting: 0, unread: new Set(), underWay: new Set() };
  attempt.sayLate = () => sayTraffic(traffic);
  attempt.cutRequests = cut;
  let effects = 0;
  /** Ends what waits for a permit. No signal of ours goes to fetch: listening to one costs a request a tenth of its time. */
  let waiting: AbortController | undefined;

  return async (path, { raw = false, ...init } = {}) => {
    refuseIfOver(attempt, 'fetch', path);
    const { permit } = attempt;
    const url = toUrl(lane, path);
    const method = (init.method ?? 'GET').toUpperCase();
    const headers = new Headers(init.headers);
    // Last, so that no handler unpins by accident what the upstream's definition promises.
    for (const [name, value] of Object.entries(lane.upstream?.pins ?? {})) headers.set(name, value);
    const { token, scope } = attempt.fence;
    headers.set('x-fence-token', token);
    headers.set('x-fence-scope', scope);
    // The same for every attempt, so that a post whose answer was lost is not made twice.
    const isEffect = method !== 'GET' && method !== 'HEAD';
    if (isEffect && lane.upstream?.idempotency !== false && !headers.has('idempotency-key')) {
      effects++;
      headers.set('idempotency-key', effects === 1 ? id : `${id}/${effects}`);
    }
    const { hold } = attempt;
    if (hold) {
      await hold.mayAct();
      refuseIfOver(attempt, 'fetch', path);
    }
    const check = () => refuseIfOver(attempt, 'fetch', path);
    const through = init.dispatcher as FetchDispatcher | undefined;
    const permitted =
      permit &&
      createPermitted({
        name: `${method} ${url.pathname}`,
        permit,
        traffic,
        signal: untilCut(init.signal),
        own: init.signal,
        clock,
        through,
        forMs() {
          // Again, because it may have waited for long.
          check();
          return Math.max(0, attempt.startedMonoAt + lane.timeoutMs - clock.mono());
        },
        lockedUntilMono: () => attempt.safeUntilMono,
      });
    // Without a permit too: a pod may have been stopped between this line and the first byte. An act begins with that byte: where
    // nobody listens no agent has acted.
    const act = hold && { begun: () => hold.sending(), ended: () => hold.ended() };
    const dispatcher =
      permitted && !act ? permitted : createChecked(check, permitted ?? through, traffic.underWay, act);
    let answer: Response;
    try {
      const options = { redirect: 'manual', ...init, dispatcher, method, headers } as RequestInit;
      answer = await fetch(url, options);
    } catch (thrown) {
      // Cut by the end of its attempt, it is awaited by nobody: a rejection would be a stray one.
      if ((permit || hold) && attempt.ended === 'settled') return new Promise<never>(() => {});
      if (attempt.ended && attempt.ended !== 'settled') throw attempt.cause ?? thrown;
      if (init.signal?.aborted) throw init.signal.reason ?? thrown;
      if (permitted?.refusal) throw permitted.refusal;
      const cause = toError((thrown as Error).cause ?? thrown);
      const what = (cause as { code?: string }).code ?? cause.message;
      throw new UpstreamError(`${method} ${url.pathname}: no answer: ${what}`, {
        class: classifyThrown(cause),
        status: null,
        cause: thrown,
      });
    }
    const { status } = answer;
    const isFailure = status >= 400;
    let failure = isFailure ? classifyAnswer({ status, headers: answer.headers, body: undefined }) : null;
    // Before the body is here: the others should not run into it too.
    const isHeld = holdAll(permit, answer, failure);
    if (raw || !isFailure) return answer;
    const body = await readBody(answer);
    failure = classifyAnswer({ status, headers: answer.headers, body });
    if (!isHeld) holdAll(permit, answer, failure);
    throw new UpstreamError(`${method} ${url.pathname}: ${status}${sayBody(body)}`, {
      class: failure,
      status,
      retryAfterAt: readRetryAfter(answer.headers, clock.now()),
      body,
    });
  };

  function untilCut(own: AbortSignal | null | undefined): AbortSignal {
    waiting ??= new AbortController();
    return own ? AbortSignal.any([waiting.signal, own]) : waiting.signal;
  }

  /** A normal end aborts no signal of the attempt's, but what is still open then would hold its permit, or its agent. */
  function cut(given: Error | undefined): void {
    if (traffic.waiting + traffic.underWay.size === 0 || !(given || attempt.permit || attempt.hold)) return;
    const why = given ?? attemptOver(attempt, `it has ended (${attempt.ended})`);
    waiting?.abort(why);
    for (const end of [...traffic.underWay]) end(why);
  }

  /** True when it told everybody to wait. */
  function holdAll(permit: Permit | undefined, { status, headers }: Response, failure: FailureClass | null): boolean {
    const hold = permit && readHold({ class: failure, headers, nowAt: clock.now(), kept });
    if (hold) permit.hold(hold.forMs, `${status} ${hold.reason}`);
    return hold !== undefined;
  }
}

/** Nothing leaves a pod for an attempt that is over, or whose lock has run out by this pod's own monotonic clock. */
export function refuseIfOver(attempt: Attempt, what: string, name?: unknown): void {
  if (!attempt.ended && !attempt.isLocked()) attempt.end(attempt.lapsed, attemptOver(attempt, 'its lock ran out'));
  if (!attempt.ended) return;
  // Quoted here, because quoting costs more than looking.
  const named = name === undefined ? what : `${what} ${quote(name)}`;
  throw attemptOver(attempt, `${named} came after its end (${attempt.ended})`);
}

export function attemptOver(attempt: Attempt, why: string): LanekeeperError {
  return new LanekeeperError(
    'LK_ATTEMPT_OVER',
    `attempt ${attempt.number} of ${attempt.lane.name}/${attempt.id} is over: ${why}`,
  );
}

/** With the permit shared one at a time, an answer that nobody reads holds up the next request for ever. */
function sayTraffic({ waiting, unread: [first] }: Traffic): string {
  if (waiting === 0 || !first) return '';
  return `: a ctx.fetch waited for the answer to ${first.name}, of which more than 1 MiB is unread: read it first, or answer.body.cancel()`;
}

/** Of each base URL: what all below it begin with. */
const roots = new Map<string, string>();

function rootOf(base: string): string {
  const root = roots.get(base) ?? `${new URL(base).href.replace(/\/$/, '')}/`;
  roots.set(base, root);
  return root;
}

function toUrl(lane: Attempt['lane'], path: string): URL {
  const base = lane.upstream?.baseUrl;
  if (base) {
    const isPath = typeof path === 'string' && path.startsWith('/') && !path.startsWith('//');
    const url = isPath ? new URL(base + path) : undefined;
    // '/../x' would climb out of a base that ends in a path.
    if (url?.href.startsWith(rootOf(base))) return url;
    throw new LanekeeperError('LK_INPUT', `ctx.fetch: expected a path of ${base} such as '/posts', got ${quote(path)}`);
  }
  if (typeof path === 'string' && /^https?:\/\//.test(path) && URL.canParse(path)) return new URL(path);
  const owner = lane.upstream ? `upstream ${quote(lane.upstream.name)}` : `lane ${quote(lane.name)}`;
  throw new LanekeeperError(
    'LK_INPUT',
    `ctx.fetch: ${owner} has no baseUrl: expected a full address, got ${quote(path)}`,
  );
}

async function readBody(answer: Response): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of answer.body ?? []) {
      parts.push(part);
      bytes += part.byteLength;
      if (bytes >= MAX_BODY_BYTES) break;
    }
  } catch {
    // The status is what counts; a body that breaks off tells what it told.
  }
  const text = Buffer.concat(parts).subarray(0, MAX_BODY_BYTES).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function sayBody(body: unknown): string {
  const text = (typeof body === 'string' ? body : JSON.stringify(body)).replace(/\s+/g, ' ').trim();
  return text ? ` ${text.length > 200 ? `${text.slice(0, 197)}...` : text}` : '';
}
