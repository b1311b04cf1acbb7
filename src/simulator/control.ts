// The control plane under /_sim/: looks, verdicts and changes while it runs. Nothing here is recorded, counted or delayed.
// Wrong input gets one line as problem+json, and nothing has changed.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { LanekeeperError, toError, wrongOption } from '../words/errors.ts';
import { readBody } from './body.ts';
import type { RulesInput } from './rules.ts';
import { listScenarios, parseScenarioName } from './scenarios.ts';
import type { Simulator } from './simulator.ts';
import { describeVerdict, type Verdict } from './verdict.ts';

export const CONTROL_PREFIX = '/_sim/';

interface Ask {
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** What a handler gives back: a text is sent as text, anything else as JSON. */
type Route = (simulator: Simulator, ask: Ask) => unknown;

const ROUTES: Readonly<Record<string, Route>> = {
  'GET log': (simulator, { query }) => toPage('records', simulator.log, query),
  'GET effects': (simulator, { query }) => toPage('effects', simulator.effects, query),
  'GET verdict': (simulator, { query }) => {
    const countRefused = query.get('countRefused');
    if (countRefused !== null && countRefused !== 'true' && countRefused !== 'false') {
      throw wrongOption('LK_INPUT', 'countRefused', 'true or false', countRefused);
    }
    const verdict = simulator.verdict(countRefused === null ? {} : { countRefused: countRefused === 'true' });
    return toFormat(verdict, query);
  },
  'POST verdict': (simulator, { query, body }) => toFormat(simulator.judge(toRecord(body) as RulesInput), query),
  'GET scenarios': () => ({ scenarios: listScenarios() }),
  'POST scenario': (simulator, { body }) => {
    simulator.scenario(parseScenarioName(toRecord(body).name));
    return toState(simulator);
  },
  'GET behaviour': (simulator) => toState(simulator),
  'PATCH behaviour': (simulator, { body }) => {
    simulator.configure(toRecord(body));
    return toState(simulator);
  },
  'POST reset': (simulator) => {
    simulator.reset();
    return { reset: true };
  },
};

export async function handleControl(
  simulator: Simulator,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = new URL(request.url ?? '/', 'http://simulator');
  const name = target.pathname.slice(CONTROL_PREFIX.length);
  const methods = Object.keys(ROUTES).filter((route) => route.endsWith(` ${name}`));
  const route = ROUTES[`${request.method} ${name}`];
  if (!route) {
    const known = Object.keys(ROUTES).map((one) => one.replace(' ', ` ${CONTROL_PREFIX}`));
    const allowed = methods.map((one) => one.split(' ')[0]);
    if (allowed.length > 0) response.setHeader('allow', allowed.join(', '));
    return sendProblem(response, allowed.length > 0 ? 405 : 404, `expected one of ${known.join(', ')}`);
  }
  const body = await readBody(request);
  if (body.kind === 'cut-off') return;
  if (body.kind === 'too-large') return sendProblem(response, 413, 'the body: expected at most 1 MiB');
  if (body.kind === 'malformed' || body.kind === 'text') return sendProblem(response, 400, 'the body: expected JSON');
  try {
    const result = route(simulator, {
      query: target.searchParams,
      body: body.kind === 'json' ? body.value : undefined,
    });
    if (typeof result === 'string') send(response, 200, 'text/plain; charset=utf-8', `${result}\n`);
    else send(response, 200, 'application/json', JSON.stringify(result));
  } catch (error) {
    sendProblem(response, error instanceof LanekeeperError ? 400 : 500, toError(error).message);
  }
}

function toState(simulator: Simulator): unknown {
  const { scenarioName, changedKnobs, behaviour } = simulator;
  return { scenario: scenarioName, changed: changedKnobs, behaviour };
}

function toFormat(verdict: Verdict, query: URLSearchParams): Verdict | string {
  const format = query.get('format') ?? 'json';
  if (format !== 'json' && format !== 'text') throw wrongOption('LK_INPUT', 'format', 'json or text', format);
  return format === 'text' ? describeVerdict(verdict) : verdict;
}

const PAGE = 10_000;
const MAX_PAGE = 100_000;

/** `next` is what to give as `after` for the page that follows. A record read while open is read again by its own number. */
function toPage(name: string, entries: readonly { readonly n: number }[], query: URLSearchParams): unknown {
  const after = toWhole('after', query.get('after') ?? '0', Number.MAX_SAFE_INTEGER);
  const limit = toWhole('limit', query.get('limit') ?? String(PAGE), MAX_PAGE);
  const found = entries.filter((entry) => entry.n > after);
  const page = found.slice(0, limit);
  return { [name]: page, next: page.at(-1)?.n ?? after, more: found.length - page.length };
}

function toWhole(option: string, text: string, max: number): number {
  if (/^\d{1,16}$/.test(text) && Number(text) <= max) return Number(text);
  throw wrongOption('LK_INPUT', option, `a whole number up to ${max}`, text);
}

function toRecord(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw wrongOption('LK_INPUT', 'the body', 'a JSON object', body);
}

function sendProblem(response: ServerResponse, status: number, detail: string): void {
  const title =
    { 400: 'Bad request', 404: 'Not found', 405: 'Method not allowed', 413: 'Too large' }[status] ?? 'Failed';
  send(response, status, 'application/problem+json', JSON.stringify({ type: 'about:blank', title, status, detail }));
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
