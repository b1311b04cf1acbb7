// createSimulator: the stand-in upstream as one live thing. It owns the HTTP server, the behaviour and the present world;
// requests go through the exchange, control calls through the control plane. It prints nothing.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../words/clock.ts';
import { LanekeeperError, toError, wrongOption } from '../words/errors.ts';
import { type Behaviour, changeBehaviour } from './behaviour.ts';
import { CONTROL_PREFIX, handleControl } from './control.ts';
import { createExchange } from './exchange.ts';
import { describeSimulator, frontPage } from './front-page.ts';
import { judge, judgeEras } from './judge.ts';
import { openRecordFile, type RecordFile } from './record-file.ts';
import { parseScenarioName, scenarioBehaviour } from './scenarios.ts';
import type { Simulator, SimulatorOptions } from './simulator.ts';
import { createWorld } from './world.ts';

/** Pooled clients keep a connection idle for seconds; closing it under them would look like flakiness of the fleet. */
const KEEP_ALIVE_MS = 60_000;
/** Node's default of 511 waiting connections resets the 512th of a burst. The system caps it (4096 on Linux). */
const BACKLOG = 4_096;

export function createSimulator(options: SimulatorOptions = {}): Simulator {
  const { port = 0, seed = 1, maxRecords = 1_000_000, recordTo, onRequest, clock = systemClock } = options;
  checkWhole('port', port, 0, 65_535);
  checkWhole('seed', seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkWhole('maxRecords', maxRecords, 1, 10_000_000);

  const epochAt = clock.now() - clock.mono(); // read once: setting the wall clock moves no instant of ours
  const now = () => epochAt + clock.mono();

  let scenarioName = parseScenarioName(options.scenario ?? 'calm');
  let behaviour = changeBehaviour(scenarioBehaviour(scenarioName), options.behaviour ?? {});
  let changedKnobs = Object.keys(options.behaviour ?? {});
  let world = createWorld(behaviour, now(), maxRecords);
  let file: RecordFile | undefined;
  let address: { url: string; port: number } | undefined;
  let starting: Promise<{ url: string; port: number }> | undefined;
  let stopping: Promise<void> | undefined;

  const exchange = createExchange({
    now,
    world: () => world,
    behaviour: () => behaviour,
    seed,
    frontPage: () => frontPage(simulator, address?.url),
    onOver(record) {
      file?.append(record);
      try {
        onRequest?.(record);
      } catch {
        // a listener's trouble is not the upstream's
      }
    },
  });

  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: KEEP_ALIVE_MS + 5_000, requestTimeout: 5 * 60_000 },
    (request, response) => {
      if (request.url?.startsWith(CONTROL_PREFIX)) void handleControl(simulator, request, response);
      else exchange.handle(request, response);
    },
  );
  server.on('connection', exchange.watch);

  function adopt(changed: Behaviour): Behaviour {
    behaviour = changed;
    world.adopt(changed, now());
    return behaviour;
  }

  async function start(): Promise<{ url: string; port: number }> {
    if (recordTo !== undefined) file = await openRecordFile(recordTo);
    try {
      const free = await listen(server, port);
      address = { url: `http://127.0.0.1:${free}`, port: free };
      return address;
    } catch (error) {
      await file?.close();
      throw error;
    }
  }

  async function stop(): Promise<void> {
    await starting?.catch(() => {}); // whoever started it was told
    if (!address) return;
    exchange.stop();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    await file?.close();
  }

  const simulator: Simulator = {
    start() {
      if (stopping) return Promise.reject(new LanekeeperError('LK_USAGE', 'simulator: it was stopped; create another'));
      starting ??= start();
      return starting;
    },
    stop() {
      stopping ??= stop();
      return stopping;
    },
    get log() {
      return world.records.all;
    },
    get effects() {
      return world.effects.all;
    },
    get behaviour() {
      return behaviour;
    },
    get scenarioName() {
      return scenarioName;
    },
    get changedKnobs() {
      return changedKnobs;
    },
    configure(change) {
      const changed = changeBehaviour(behaviour, change);
      changedKnobs = [...new Set([...changedKnobs, ...Object.keys(change)])];
      return adopt(changed);
    },
    scenario(name) {
      scenarioName = parseScenarioName(name);
      changedKnobs = [];
      return adopt(scenarioBehaviour(scenarioName));
    },
    verdict(terms = {}) {
      const eras = world.eras.map((era) => ({ ...era, ...terms }));
      return judgeEras(world.records.all, terms, eras, world.records.dropped);
    },
    judge(rules) {
      return judge(world.records.all, rules, world.records.dropped);
    },
    reset() {
      world = createWorld(behaviour, now(), maxRecords);
    },
    describe: () => describeSimulator(simulator, address?.url),
  };
  return simulator;
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      const message = isTaken ? `port ${port}: it is taken` : `port ${port}: ${toError(error).message}`;
      reject(new LanekeeperError('LK_PORT', message, { cause: error }));
    });
    server.listen({ port, host: '127.0.0.1', backlog: BACKLOG }, () => resolve((server.address() as AddressInfo).port));
  });
}

function checkWhole(option: string, value: number, low: number, high: number): void {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return;
  throw wrongOption('LK_INPUT', option, `a whole number from ${low} to ${high}`, value);
}
