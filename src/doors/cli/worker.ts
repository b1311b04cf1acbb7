// `worker`: one pod in this process. SIGTERM drains it, a second one ends it at once.

import { createLog } from '../../engine/log.ts';
import { createMetrics } from '../../engine/metrics.ts';
import { createPod, newPodName } from '../../engine/pod.ts';
import { connectRedis } from '../../store/connect.ts';
import { DURATION_FORM, toDurationMs } from '../../words/duration.ts';
import { LanekeeperError, quote, toError, wrongOption } from '../../words/errors.ts';
import { createEventHub } from '../../words/events.ts';
import { createOpsApp, listen } from '../api/ops-server.ts';
import { onLeave, tellReady } from './leaving.ts';
import { findRedisUrl, loadAndWarn, readSettings } from './session.ts';

interface WorkerOptions {
  dir: string;
  lanes?: string;
  concurrency: number;
  drain: string;
}

export async function runWorker(options: WorkerOptions, version: string): Promise<void> {
  const config = readSettings(options);
  const drainMs = toDurationMs(options.drain);
  if (drainMs === undefined) throw wrongOption('LK_CONFIG', '--drain', DURATION_FORM, options.drain);
  if (options.concurrency < 1) throw wrongOption('LK_CONFIG', '--concurrency', '1 or more', options.concurrency);
  const { handlers } = await loadAndWarn(config.dir, 'definitions and handlers');
  const chosen = chooseLanes([...handlers.keys()], options.lanes);
  const redisUrl = await findRedisUrl(config);
  // A pod waits for Redis once it runs; at the start, a wrong address should be said and not waited for.
  (await connectRedis(redisUrl, 'producer', 10_000)).disconnect();

  const name = newPodName();
  const log = createLog(config.logLevel, name);
  const events = createEventHub((error) => log.error({ err: error }, 'listener.failed'));
  const metrics = createMetrics(version);
  metrics.subscribe(events);
  let pod: ReturnType<typeof createPod> | undefined;
  const ready = async () => {
    if (pod?.state !== 'running') throw new LanekeeperError('LK_STATE', `the pod is ${pod?.state ?? 'starting'}`);
  };
  const app = createOpsApp({ registry: metrics.registry, ready, who: { pod: name, version } });
  const ops = await listen(app, config.host, config.metricsPort);

  pod = createPod({
    redisUrl,
    prefix: config.prefix,
    handlers: chosen.map((lane) => handlers.get(lane) as NonNullable<ReturnType<typeof handlers.get>>),
    concurrency: options.concurrency,
    log,
    events,
    name,
    metricsUrl: ops.url,
    version,
  });
  const running = pod;
  onLeave((reason, isHurry) => {
    void running.stop(reason, isHurry ? 0 : drainMs).then(async () => {
      await ops.close();
      process.exit(0);
    });
  });
  // A handler's stray rejection is its own bug, not a reason to take every other job of this pod down with it.
  process.on('unhandledRejection', (thrown) => log.error({ err: toError(thrown) }, 'handler.strayRejection'));
  await pod.start();
  log.info({ url: ops.url }, 'worker.listening');
  tellReady({ role: 'worker', pod: name, url: ops.url });
}

function chooseLanes(known: string[], wanted: string | undefined): string[] {
  if (wanted === undefined) return known;
  const names = wanted.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!known.includes(name)) {
      throw new LanekeeperError('LK_UNKNOWN', `--lanes: no lane ${quote(name)}: expected one of ${known.join(', ')}`);
    }
  }
  return [...new Set(names)];
}
