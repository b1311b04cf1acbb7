// A lane whose jobs act as agents, and an upstream that remembers who acted when.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { defineLane, defineUpstream, handle } from '../../src/index.ts';
import type { World } from '../support/world.ts';

export interface Act {
  agent: string;
  job: string;
  at: number;
  endedAt: number;
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Answers after a while, and remembers who came when. */
export async function serveActs(world: World, latencyMs = 5, answer: (act: Act) => Answer = () => ({ status: 200 })) {
  const acts: Act[] = [];
  const server = createServer((request, response) => {
    const act = {
      agent: String(request.headers['x-agent']),
      job: String(request.headers['x-job']),
      at: performance.now(),
      endedAt: 0,
    };
    acts.push(act);
    request.resume();
    setTimeout(() => {
      act.endedAt = performance.now();
      const { status, headers, body = {} } = answer(act);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    }, latencyMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.defer(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, acts };
}

/** The gaps from an agent's last answer to its next arrival. */
export function gapsOf(acts: readonly Act[]): number[] {
  const last = new Map<string, number>();
  const gaps: number[] = [];
  for (const { agent, at, endedAt } of acts) {
    const before = last.get(agent);
    if (before !== undefined) gaps.push(at - before);
    last.set(agent, endedAt);
  }
  return gaps;
}

export function lanesOf(url: string, agents: string[], cooldown: string) {
  const upstream = defineUpstream({ name: 'forum', baseUrl: url, agents });
  return defineLane({ name: 'publish', upstream, agent: { cooldown }, concurrency: 64 });
}

export const act = (lane: ReturnType<typeof lanesOf>) =>
  handle(lane, {
    async run(job, ctx) {
      await (await ctx.fetch('/act', { headers: { 'x-agent': String(job.agent), 'x-job': job.id } })).text();
      return { agent: job.agent };
    },
  });
