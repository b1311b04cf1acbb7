// `api`: one HTTP door for the fleet: health, readiness and the metrics of all lanes.

import { createLog } from '../../engine/log.ts';
import { createMetrics } from '../../engine/metrics.ts';
import { readPods } from '../../engine/presence.ts';
import { connectRedis } from '../../store/connect.ts';
import { openLaneQueue } from '../../store/lane-queue.ts';
import { createKeys } from '../../words/keys.ts';
import { createOpsApp, listen } from '../api/ops-server.ts';
import { onLeave, tellReady } from './leaving.ts';
import { findRedisUrl, loadAndWarn, readSettings } from './session.ts';

export async function runApi(options: { dir: string }, version: string): Promise<void> {
  const config = readSettings(options);
  const { lanes } = await loadAndWarn(config.dir, 'definitions');
  const redis = await connectRedis(await findRedisUrl(config), 'producer', 10_000);
  const log = createLog(config.logLevel, 'api');
  const keys = createKeys(config.prefix);
  const metrics = createMetrics(version);
  const queues = [...lanes.values()].map((lane) => openLaneQueue(redis, keys, lane));
  metrics.watchLanes(
    queues,
    () => readPods(redis, keys),
    (lane) => lanes.get(lane)?.backlog,
  );
  const ready = async () => {
    await redis.ping();
  };
  const app = createOpsApp({ registry: metrics.registry, ready, who: { role: 'api', version } });
  const ops = await listen(app, config.host, config.port);
  onLeave(() => {
    void ops.close().then(() => process.exit(0));
  });
  log.info({ url: ops.url }, 'api.listening');
  tellReady({ role: 'api', url: ops.url });
}
