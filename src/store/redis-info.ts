// What Redis says of itself (INFO), as names and values; and how much of the memory it may have is used.

import type { Redis } from './connect.ts';

export type RedisInfo = ReadonlyMap<string, string>;

export async function readInfo(redis: Redis, section?: string): Promise<RedisInfo> {
  const text = await (section === undefined ? redis.info() : redis.info(section));
  return new Map(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)] as const] : [];
    }),
  );
}

export interface RedisMemory {
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly ratio: number;
  /** False: nothing was set, and it may grow until the machine is full. */
  readonly isLimited: boolean;
}

/**
 * By `maxmemory`, counted as Redis counts before it refuses (without the buffers of its AOF and replicas). Without one, by the
 * machine's memory and what the process really holds of it. Redis does not say in what container it runs: there maxmemory
 * has to be set, and doctor says so. Undefined when Redis says neither.
 */
export function toMemory(info: RedisInfo): RedisMemory | undefined {
  const number = (name: string) => Number(info.get(name) ?? 0) || 0;
  const [maxmemory, total] = [number('maxmemory'), number('total_system_memory')];
  const isLimited = maxmemory > 0 && (total === 0 || maxmemory <= total);
  const limitBytes = isLimited ? maxmemory : total;
  if (limitBytes === 0) return undefined;
  const usedBytes = isLimited
    ? Math.max(0, number('used_memory') - number('mem_not_counted_for_evict'))
    : Math.max(number('used_memory'), number('used_memory_rss'));
  return { usedBytes, limitBytes, ratio: usedBytes / limitBytes, isLimited };
}

/** From here on our doors refuse; what is left is for the pods, who need room to drain. */
export const FULL_RATIO = 0.75;
/** Below here they admit again: no flutter at the edge. */
export const ROOMY_RATIO = 0.7;

/** Whether Redis counts as full now, given whether it did before. */
export function isFull({ ratio }: RedisMemory, wasFull: boolean): boolean {
  return ratio >= (wasFull ? ROOMY_RATIO : FULL_RATIO);
}

/** '78 % of 512 MiB'. */
export function sayMemory({ ratio, limitBytes }: RedisMemory): string {
  const mib = limitBytes / 2 ** 20;
  const size =
    mib >= 10_240 ? `${Math.round(mib / 1_024)} GiB` : `${mib >= 10 ? Math.round(mib) : mib.toPrecision(2)} MiB`;
  return `${Math.round(ratio * 100)} % of ${size}`;
}
