// What every long-running process answers over HTTP: is the process alive, is it ready, what does it count.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Registry } from 'prom-client';
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
  readonly port: number;
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

export async function listen(app: Express, host: string, port: number, option: string): Promise<OpsServer> {
  const server = await new Promise<Server>((resolve, reject) => {
    const starting: Server = app.listen(port, host, (error?: Error) => {
      if (!error) return resolve(starting);
      const said =
        (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${error.message})`;
      reject(new LanekeeperError('LK_PORT', `${option}: port ${port} ${said}; set another, or 0 for any free one`));
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
