// A way to Redis that loses what comes back: from `swallow()` on, or a request with `from` in it, nobody hears an answer, until `cut()` ends every connection.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { World } from '../support/world.ts';

export interface SwallowingProxy {
  readonly url: string;
  swallow(from?: string): void;
  cut(): void;
  /** Requests that were carried on and whose answers were lost. */
  readonly swallowed: number;
}

export async function swallowingProxy(world: World): Promise<SwallowingProxy> {
  const redis = new URL(world.redisUrl);
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  let swallowFrom: string | undefined;
  let swallowed = 0;
  const server = createServer((near) => {
    const far = connect(Number(redis.port), redis.hostname);
    near.on('data', (part) => {
      if (swallowFrom !== undefined && part.includes(swallowFrom)) isSwallowing = true;
      far.write(part);
    });
    far.on('data', (part) => {
      if (isSwallowing) swallowed++;
      else near.write(part);
    });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    isSwallowing = false;
    swallowFrom = undefined;
    for (const socket of sockets) socket.destroy();
  };
  world.defer(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = new URL(world.redisUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    swallow(from) {
      swallowFrom = from;
      isSwallowing = from === undefined;
    },
    cut,
    get swallowed() {
      return swallowed;
    },
  };
}
