// `api`: one HTTP door for the fleet: health, readiness and the metrics of all lanes. It also watches over all lanes, those that
// no pod runs among them.

import { hostname } from 'node:os';
import { createImpostorSweep } from '../../engine/impostors.ts';
import { createJournal } from '../../engine/journal.ts';
import { createLog, logEvents } from '../../engine/log.ts';
import { createMetrics } from '../../engine/metrics.ts';
import { createOverdueWatch } from '../../engine/overdue.ts';
import { readPods } from '../../engine/presence.ts';
import { lookAtLimits } from '../../path/limit-look.ts';
import { countOwners } from '../../path/owner-counts.ts';
import { connectRedis } from '../../store/connect.ts';
import { openLaneQueue } from '../../store/lane-queue.ts';
import { systemClock } from '../../words/clock.ts';
import { createEventHub } from '../../words/events.ts';
import { createKeys } from '../../words/keys.ts';
import { createOpsApp, listen } from '../api/ops-server.ts';
import { onLeave, tellReady } from './leaving.ts';
import { findRedisUrl, loadAndWarn, readSettings } from './session.ts';

export async function runApi(options: { dir: string }, version: string): Promise<void> {
  const config = readSettings(options);
  const { lanes, upstreams } = await loadAndWarn(config.dir, 'definitions');
  const redis = await connectRedis(await findRedisUrl(config), 'producer', 10_000);
  const log = createLog(config.logLevel, 'api');
  const keys = createKeys(config.prefix);
  const metrics = createMetrics(version);
  const watched = [...lanes.values()].map((lane) => ({ lane, laneQueue: openLaneQueue(redis, keys, lane) }));
  const laneQueues = watched.map(({ laneQueue }) => laneQueue);
  metrics.watchLanes(
    laneQueues,
    () => readPods(redis, keys),
    (lane) => lanes.get(lane)?.backlog,
  );
  metrics.watchLimits(() => Promise.all([...upstreams.values()].map((one) => lookAtLimits(redis, keys, one))));
  metrics.watchOwners(() => countOwners(redis, keys, lanes.values()));
  const events = createEventHub((error) => log.error({ err: error }, 'listener.failed'));
  logEvents(log, events);
  metrics.subscribe(events);
  const who = `api@${hostname()}`;
  const journal = createJournal({ redis, keys, who, tagOf: (lane) => lanes.get(lane)?.tag, clock: systemClock });
  journal.subscribe(events);
  // Pods watch and sweep their own lanes; a lane that no pod runs is seen from here, and takes jobs though nobody runs them.
  const impostors = createImpostorSweep(redis, laneQueues, { pod: who, keys, clock: systemClock, events });
  const overdue = createOverdueWatch({ who, redis, keys, clock: systemClock, events, lanes: watched });
  const ready = async () => {
    await redis.ping();
  };
  const app = createOpsApp({ registry: metrics.registry, ready, who: { role: 'api', version } });
  const ops = await listen(app, config.host, config.port);
  onLeave(() => {
    void Promise.all([ops.close(), overdue.stop(), impostors.stop()])
      .then(() => journal.stop())
      .finally(() => process.exit(0));
  });
  overdue.start();
  impostors.start();
  log.info({ url: ops.url }, 'api.listening');
  tellReady({ role: 'api', url: ops.url });
}
