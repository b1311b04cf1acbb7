// One request's way through the stand-in upstream: noted, weighed at the door, read, made to wait, worked on, answered or
// broken off, and ended. It lives under the behaviour in force when it arrived; a change is for those that come after.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { toError } from '../words/errors.ts';
import { toErrorAnswer } from './answers.ts';
import type { Behaviour, ResetPoint } from './behaviour.ts';
import { type Body, readBody } from './body.ts';
import { type Admission, admit } from './door.ts';
import type { Answer } from './effects.ts';
import { toFenceScope } from './fences.ts';
import { toLatencyMs } from './latency.ts';
import { isWrite, type RequestRecord } from './record.ts';
import { answerCall } from './routes.ts';
import type { World } from './world.ts';

/** What a timer can hold; longer ones fire at once. 24 days, so whoever asks for more means for ever. */
const MAX_TIMER_MS = 2_147_483_647;

export interface ExchangeOptions {
  now(): number;
  world(): World;
  behaviour(): Behaviour;
  seed: number;
  /** The text at `/`. */
  frontPage(): string;
  /** The request is over and so is its work: nothing of its record changes any more. */
  onOver(record: RequestRecord): void;
}

export interface Exchange {
  /** To be called for each connection, before its first request. */
  watch(socket: Socket): void;
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Ends what is under way as reset and gives up work that waits. The caller breaks the connections. */
  stop(): void;
}

/** A request under way, with what of it is not for the record. */
interface Passage {
  readonly record: RequestRecord;
  readonly world: World;
  readonly behaviour: Behaviour;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  admission: Admission | undefined;
  timer: NodeJS.Timeout | undefined;
  /** Right before the write of a whole answer: who asked may read it before the write has returned to us. */
  handedOverAt: number | undefined;
  isReset: boolean;
  isWorked: boolean;
  isEnded: boolean;
}

export function createExchange(options: ExchangeOptions): Exchange {
  const bySocket = new WeakMap<Socket, Set<Passage>>();
  const underWay = new Set<Passage>();
  let lastNumber = 0;
  let isStopping = false;

  function watch(socket: Socket): void {
    const passages = new Set<Passage>();
    bySocket.set(socket, passages);
    socket.on('close', () => {
      for (const passage of passages) end(passage, passage.isReset ? 'reset' : 'aborted');
    });
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const at = options.now(); // first of all: everything is judged by it
    lastNumber += 1;
    const record = toRecord(request, lastNumber, at);
    const passage: Passage = {
      record,
      world: options.world(),
      behaviour: options.behaviour(),
      request,
      response,
      admission: undefined,
      timer: undefined,
      handedOverAt: undefined,
      isReset: false,
      isWorked: false,
      isEnded: false,
    };
    passage.world.records.add(record);
    underWay.add(passage);
    bySocket.get(request.socket)?.add(passage);
    // 'finish' also follows a write that failed because the other side is gone; that is no answer.
    response.on('finish', () => end(passage, request.socket.errored ? 'aborted' : 'answered'));
    if (record.counted) pass(passage);
    else finish(passage, record.path === '/' ? options.frontPage() : { status: 200, body: { status: 'ok' } });
  }

  function pass(passage: Passage): void {
    const { record, world, behaviour, request } = passage;
    const admission = admit({ record, world, behaviour, pin: headerOf(request, 'x-api-version'), seed: options.seed });
    passage.admission = admission;
    if (admission.refusal) {
      finish(passage, admission.refusal);
      return;
    }
    void readBody(request).then((body) => {
      if (body.kind === 'cut-off' || isStopping) {
        over(passage);
        return;
      }
      const waitMs = Math.min(toLatencyMs(behaviour.latency, admission.luck.latency), MAX_TIMER_MS);
      if (waitMs > 0) passage.timer = setTimeout(perform, waitMs, passage, admission, body);
      else perform(passage, admission, body);
    });
  }

  /** The work goes on when the client has left, as in every real upstream: that is how doubled effects come about. */
  function perform(passage: Passage, admission: Admission, body: Body): void {
    if (admission.resetAt === 'before-work') {
      breakOff(passage);
      return;
    }
    try {
      finish(passage, work(passage, admission, body), admission.resetAt);
    } catch (error) {
      // An echo nested too deeply to be written, for one. It is this request's trouble and no other's.
      finish(passage, toErrorAnswer(500, 'broken', toError(error).message));
    }
  }

  function work({ record, world, behaviour, request }: Passage, admission: Admission, body: Body): Answer {
    const { version, luck } = admission;
    record.version = version.name;
    const refusal = admission.failure ?? admission.checkAgain();
    if (refusal) return refusal;
    return answerCall({
      record,
      world,
      behaviour,
      version,
      luck,
      body,
      query: new URLSearchParams(record.query),
      segments: toSegments(record.path),
      headers: request.headers,
      at: options.now(),
    });
  }

  function finish(passage: Passage, answer: Answer | string, resetAt: ResetPoint | null = null): void {
    const { response, record, request } = passage;
    over(passage);
    if (passage.isEnded || request.socket.destroyed) return;
    if (resetAt === 'before-answer') {
      breakOff(passage);
      return;
    }
    const isText = typeof answer === 'string';
    const payload = Buffer.from(isText ? answer : JSON.stringify(answer.body));
    record.status = isText ? 200 : answer.status;
    response.writeHead(record.status, {
      ...(isText ? {} : { ...passage.admission?.headers, ...answer.headers }),
      'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
      'content-length': payload.length,
    });
    if (resetAt !== 'mid-answer') {
      const at = options.now();
      response.end(payload);
      // What the system has not taken yet is handed over later; 'finish' tells when.
      if (request.socket.writableLength === 0) passage.handedOverAt = at;
      return;
    }
    passage.isReset = true;
    response.write(payload.subarray(0, Math.ceil(payload.length / 2)), () => request.socket.destroy());
  }

  function breakOff(passage: Passage): void {
    over(passage);
    if (passage.isEnded) return;
    passage.isReset = true;
    passage.request.socket.resetAndDestroy();
  }

  function end(passage: Passage, outcome: 'answered' | 'reset' | 'aborted'): void {
    if (passage.isEnded) return;
    passage.isEnded = true;
    const { record, world, request } = passage;
    const at = options.now();
    record.outcome = outcome;
    if (outcome === 'answered') record.answeredAt = passage.handedOverAt ?? at;
    else record.closedAt = at;
    const endAt = record.answeredAt ?? at;
    if (passage.admission?.counts) world.agents.leave({ agent: record.agent, isWrite: isWrite(record.method) }, endAt);
    bySocket.get(request.socket)?.delete(passage);
    tellIfOver(passage);
  }

  function over(passage: Passage): void {
    passage.isWorked = true;
    tellIfOver(passage);
  }

  function tellIfOver(passage: Passage): void {
    if (passage.isWorked && passage.isEnded && underWay.delete(passage)) options.onOver(passage.record);
  }

  function stop(): void {
    isStopping = true;
    for (const passage of underWay) {
      clearTimeout(passage.timer);
      over(passage);
      end(passage, 'reset'); // now, since the server may report itself closed before the last socket does
    }
  }

  return { watch, handle, stop };
}

const UNCOUNTED = new Set(['/', '/health']);

function toRecord(request: IncomingMessage, n: number, arrivedAt: number): RequestRecord {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const method = request.method ?? 'GET';
  const agent = headerOf(request, 'x-agent');
  const idempotencyKey = headerOf(request, 'idempotency-key');
  const fence = request.headers['x-fence-token']?.toString() ?? null; // an empty one is not none, it is garbage
  const scope = { scope: headerOf(request, 'x-fence-scope'), key: idempotencyKey, agent };
  return {
    n,
    agent,
    method,
    path,
    query: mark < 0 ? '' : target.slice(mark),
    arrivedAt,
    answeredAt: null,
    closedAt: null,
    status: null,
    outcome: 'open',
    fence,
    fenceScope: fence === null ? null : toFenceScope(scope),
    idempotencyKey,
    jobId: headerOf(request, 'x-job-id'),
    counted: !(UNCOUNTED.has(path) && !isWrite(method)),
    effect: false,
    replayed: false,
    refusedBy: null,
    version: null,
    tokensUsed: 0,
  };
}

function headerOf(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return value === undefined || value === '' ? null : String(value);
}

function toSegments(path: string): string[] {
  return path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => {
      try {
        return decodeURIComponent(segment);
      } catch {
        return segment;
      }
    });
}
