// Ends a server that a crash left on this folder, when owner and guardian were both killed, before a new one starts on the
// same files. It is only ever ended when it is proved to be ours: it knows our password and serves this folder, or its
// command line is a server's with this folder. The caller holds the folder's lock.

import { readFile, realpath, rm } from 'node:fs/promises';
import { askRedis } from './embedded-ask.ts';
import { endProcess } from './embedded-child.ts';
import { CONTAINER_DIR, readConf, type ServerFolder } from './embedded-conf.ts';
import { commandLineOf } from './embedded-process.ts';

export async function endLeftOver(folder: ServerFolder, say: (line: string) => void): Promise<void> {
  for (const pid of new Set([await pidFromFile(folder), await pidFromAnswer(folder)])) {
    if (pid === undefined) continue;
    say(`stopping the Redis server that a crash left on ${folder.dir} (process ${pid})`);
    await endProcess(pid);
  }
  await rm(folder.pidPath, { force: true });
}

/** The pid file may be old and its number somebody else's by now, so its command line has to name a server and our folder. */
async function pidFromFile(folder: ServerFolder): Promise<number | undefined> {
  const pid = Number(await readFile(folder.pidPath, 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  const command = await commandLineOf(pid);
  return /(redis|valkey)-server/.test(command) && command.includes(folder.dir) ? pid : undefined;
}

/** Where the pid file is gone: whoever answers on the last port to our password, and has this folder as its own. */
async function pidFromAnswer(folder: ServerFolder): Promise<number | undefined> {
  const conf = await readConf(folder);
  if (!conf) return undefined;
  try {
    return await askRedis(toUrl(conf.port, conf.password), async (redis) => {
      const [, dir = ''] = (await redis.config('GET', 'dir')) as string[];
      const pid = Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]);
      // In a container: the pid is that of another namespace, but the password is proof enough to ask it to end.
      if (dir === CONTAINER_DIR) await redis.shutdown('NOSAVE').catch(() => {});
      return (await realpath(dir).catch(() => dir)) === folder.dir ? pid : undefined;
    });
  } catch {
    return undefined; // nobody there, or not ours
  }
}

export function toUrl(port: number, password: string): string {
  return `redis://:${password}@127.0.0.1:${port}`;
}
