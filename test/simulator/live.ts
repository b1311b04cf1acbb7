// A simulator for one test: started on a free port, stopped when the test is over, and clients for what fetch cannot do.

import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/index.ts';
import type { Clock } from '../../src/words/clock.ts';

export interface Play {
  sim: Simulator;
  url: string;
  /** Sends and reads a JSON answer; a body makes it a POST. */
  send(path: string, options?: Sent): Promise<Got>;
}

export interface Sent {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Got {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the upstream answers; each test says what it expects
  body: any;
}

export async function play(options: SimulatorOptions = {}): Promise<Play> {
  const sim = createSimulator({ behaviour: { latency: 0 }, ...options });
  onTestFinished(() => sim.stop());
  const { url } = await sim.start();
  return {
    sim,
    url,
    async send(path, { method, body, headers = {} } = {}) {
      const response = await fetch(`${url}${path}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json');
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
    },
  };
}

/** A clock that stands still until it is moved. */
export function createManualClock(): Clock & { advance(ms: number): void } {
  let ms = 0;
  return {
    now: () => 1_790_000_000_000 + ms,
    mono: () => ms,
    advance: (by) => {
      ms += by;
    },
  };
}

export interface RawRequest {
  /** The text that came before the end, or before the connection broke. */
  done: Promise<{ status: number | null; text: string; error: string | null; localPort: number | undefined }>;
  response: Promise<IncomingMessage | null>;
  write(chunk: string): void;
  end(): void;
  abort(): void;
}

export interface RawOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  agent?: Agent;
  /** Leaves the request without its end, and the answer unread. */
  isHeld?: boolean;
}

export function openRequest(url: string, options: RawOptions = {}): RawRequest {
  const { method = 'GET', headers = {}, body, agent = new Agent(), isHeld = false } = options;
  const request = httpRequest(url, { method, headers, agent });
  const response = new Promise<IncomingMessage | null>((resolve) => {
    request.on('response', resolve).on('error', () => resolve(null));
  });
  const done = new Promise<Awaited<RawRequest['done']>>((resolve) => {
    request.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ status: null, text: '', error: error.code ?? error.message, localPort: undefined });
    });
    request.on('response', (answer) => {
      if (isHeld) return;
      let text = '';
      const { localPort } = answer.socket;
      const settle = (error: string | null) => resolve({ status: answer.statusCode ?? null, text, error, localPort });
      answer.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      answer
        .on('end', () => settle(null))
        .on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    });
  });
  if (body !== undefined) request.write(body);
  if (isHeld) request.flushHeaders();
  else request.end();
  return {
    done,
    response,
    write: (chunk) => request.write(chunk),
    end: () => request.end(),
    abort: () => request.destroy(),
  };
}
