// What every long-running process answers over HTTP: is the process alive, is it ready, what does it count.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Registry } from 'prom-client';
import type { Port } from '../../words/config.ts';
import { LanekeeperError, toError } from '../../words/errors.ts';

export interface OpsServerOptions {
  registry: Registry;
  /** Resolves when work can be done; rejects with what is missing. */
  ready: () => Promise<void>;
  /** What /healthz says besides "ok": who this is. */
  who: Record<string, unknown>;
}

export interface OpsServer {
  readonly url: string;
  close(): Promise<void>;
}

export function createOpsApp({ registry, ready, who }: OpsServerOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    response.json({ status: 'ok', ...who });
  });
  app.get('/readyz', async (_request, response) => {
    try {
      await ready();
      response.json({ status: 'ready' });
    } catch (error) {
      response.status(503).json({ status: 'not ready', reason: toError(error).message });
    }
  });
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.use((request, response) => {
    problem(
      response,
      404,
      'Not found',
      `no ${request.method} ${request.path}; there are /healthz, /readyz and /metrics`,
    );
  });
  // Express's own handler prints stacks unless NODE_ENV says production.
  app.use(((error, _request, response, _next) => {
    problem(response, 500, 'Failed', toError(error).message);
  }) satisfies ErrorRequestHandler);
  return app;
}

function problem(response: express.Response, status: number, title: string, detail: string): void {
  response.status(status).type('application/problem+json').send(JSON.stringify({ status, title, detail }));
}

/** Ports tried from a default on before giving up. */
const PORT_TRIES = 200;

export async function listen(app: Express, host: string, { setting, number, isGiven }: Port): Promise<OpsServer> {
  let server: Server | undefined;
  for (let tries = isGiven ? 1 : PORT_TRIES, port = number; !server; port++) {
    server = await tryListen(app, host, port, setting, --tries > 0);
  }
  const bound = server;
  const { port } = bound.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    async close() {
      bound.closeAllConnections();
      await new Promise((resolve) => bound.close(resolve));
    },
  };
}

function tryListen(
  app: Express,
  host: string,
  port: number,
  setting: string,
  goesOn: boolean,
): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server: Server = app.listen(port, host, (error?: Error & { code?: string }) => {
      if (!error) return resolve(server);
      const isTaken = error.code === 'EADDRINUSE';
      if (isTaken && goesOn) return resolve(undefined);
      const said = isTaken ? 'is taken' : `cannot be used (${error.message})`;
      reject(new LanekeeperError('LK_PORT', `${setting}: port ${port} ${said}; set another, or 0 for any free one`));
    });
  });
}
