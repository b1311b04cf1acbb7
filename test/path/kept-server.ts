// An upstream that keeps its connections and counts what was written to it; and ways to be late.

import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, vi } from 'vitest';
import type { World } from '../support/world.ts';
import { RETRYING } from './looking.ts';

/** Its sockets, and how many requests began to arrive. */
export async function serve(world: World, answer: RequestListener = (_, response) => void response.end('{"ok":true}')) {
  const sockets: Socket[] = [];
  let received = '';
  const server = createServer(answer);
  server.on('connection', (socket: Socket) => {
    sockets.push(socket);
    socket.prependListener('data', (part) => {
      received += part;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world.defer(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const heads = () => received.match(/^[A-Z]+ \/\S* HTTP/gm)?.length ?? 0;
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, heads };
}

/** Node's own connections, but that each takes so long to be made. */
export function slowToConnect(ms: number): RequestInit {
  new Headers(); // the first part of fetch that is used brings the rest
  const symbols = [2, 1].map((generation) => Symbol.for(`undici.globalDispatcher.${generation}`));
  const own: object = symbols.map((symbol) => (globalThis as never)[symbol]).find((dispatcher) => dispatcher) ?? {};
  const made = Reflect.construct(own.constructor, [
    {
      connect({ hostname, port }: { hostname: string; port: string }, done: (error: null, socket: Socket) => void) {
        setTimeout(() => {
          const socket = connect(Number(port), hostname, () => done(null, socket));
        }, ms);
      },
    },
  ]);
  return { dispatcher: made as RequestInit['dispatcher'] };
}

export function blockLoop(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** The value once it has not changed for 10 looks. */
export async function untilStill(look: () => number): Promise<number> {
  let last = -1;
  let looks = 0;
  return vi.waitFor(() => {
    looks = look() === last ? looks + 1 : 0;
    last = look();
    expect(looks).toBeGreaterThan(10);
    return last;
  }, RETRYING);
}
