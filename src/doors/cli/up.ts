// `up`: everything on one machine. Redis unless one is named, each pod and the API as a child that is restarted if it dies.
// It leaves in the order that loses nothing: pods drain first, then the API, Redis last.

import { join } from 'node:path';
import { createSupervisor } from '../../engine/supervisor.ts';
import { connectRedis } from '../../store/connect.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../store/embedded-redis.ts';
import { withoutPassword } from '../../words/config.ts';
import { wrongOption } from '../../words/errors.ts';
import { onLeave } from './leaving.ts';
import { createLineFormat } from './log-lines.ts';
import { hint, paint, say, warn } from './print.ts';
import { loadAndWarn, readSettings } from './session.ts';

interface UpOptions {
  dir: string;
  pods: number;
  concurrency: number;
}

export async function runUp(options: UpOptions, entry: string): Promise<void> {
  if (options.pods < 1 || options.pods > 64) throw wrongOption('LK_CONFIG', '--pods', '1 to 64', options.pods);
  const config = readSettings(options);
  // Loaded here once, so that a wrong definition is one error and not a child that dies again and again.
  const { lanes } = await loadAndWarn(config.dir, 'definitions and handlers');

  let embedded: EmbeddedRedis | undefined;
  let isLeaving = false;
  if (config.redisUrl) {
    (await connectRedis(config.redisUrl, 'producer')).disconnect();
  } else {
    embedded = await startEmbeddedRedis({
      dataDir: config.dataDir,
      cacheDir: join(config.dataDir, 'server'),
      say: hint,
    });
    embedded.onExit(() => {
      if (isLeaving) return;
      warn('the Redis server died; starting it again on the same data');
      embedded?.restart().catch((error) => warn(`Redis does not start again: ${error.message}`));
    });
  }
  const redisUrl = config.redisUrl ?? (embedded as EmbeddedRedis).url;

  const ready = new Map<string, string>();
  const formatLine = createLineFormat(process.stderr);
  const expected = options.pods + 1;
  const supervisor = createSupervisor({
    onLine: (child, line) => process.stderr.write(`${formatLine(child, line)}\n`),
    onReady: (child, { url }) => {
      const isFirst = ready.size < expected;
      ready.set(child, String(url));
      if (isFirst && ready.size === expected) sayWhere();
    },
    onExit: (child, how, pauseMs) =>
      warn(`${child} ended (${how}); starting it again${pauseMs ? ` in ${pauseMs} ms` : ''}`),
  });

  const env = { ...process.env, REDIS_URL: redisUrl, LANEKEEPER_DATA: config.dataDir };
  const args = (role: string, ...rest: string[]) => [entry, role, '--dir', config.dir, ...rest];
  const { number, isGiven } = config.metricsPort;
  for (let n = 0; n < options.pods; n++) {
    // Named, it counts up from there; otherwise each pod finds a free one by itself.
    const port = isGiven ? { LANEKEEPER_METRICS_PORT: String(number && number + n) } : {};
    const concurrency = String(options.concurrency);
    supervisor.start({
      name: `pod-${n + 1}`,
      args: args('worker', '--concurrency', concurrency),
      env: { ...env, ...port },
    });
  }
  supervisor.start({ name: 'api', args: args('api'), env });

  onLeave((_reason, isHurry) => {
    if (!isLeaving) hint('leaving: pods finish what they run (Ctrl-C again to hurry)');
    isLeaving = true;
    const gone = supervisor.stop();
    if (isHurry) return;
    void gone.then(() => embedded?.stop()).then(() => process.exit(0));
  });

  function sayWhere(): void {
    const api = ready.get('api');
    say(`${paint('green', 'ready')}: ${options.pods} pods run ${[...lanes.keys()].join(', ')}`);
    say(`  health   ${api}/healthz`);
    say(
      `  metrics  ${api}/metrics  (pods: ${[...ready]
        .filter(([name]) => name !== 'api')
        .map(([, url]) => `${url}/metrics`)
        .join(' ')})`,
    );
    say(`  redis    ${withoutPassword(redisUrl)}${embedded ? ' (embedded)' : ''}`);
    say(`  data     ${config.dataDir}`);
  }
}
