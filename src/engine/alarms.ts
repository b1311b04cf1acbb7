// What is wrong now, told once when it begins and once when it is over. Redis holds what has been told: a field is made by the
// first who sees it and deleted by the first who sees it gone, so any number of processes may look.

import type { Redis } from '../store/connect.ts';
import { formatDuration } from '../words/duration.ts';
import type { Keys } from '../words/keys.ts';

export const ALARMS = ['lane.overdue', 'lane.unattended', 'lane.overparked', 'pod.silent'] as const;
export type AlarmName = (typeof ALARMS)[number];

export interface Alarm {
  name: AlarmName;
  /** The lane or the pod. */
  of: string;
  job: string | null;
  sinceAt: number;
}

/** True for the one who is to tell it. */
export async function raise(redis: Redis, keys: Keys, alarm: Alarm): Promise<boolean> {
  const { job, sinceAt } = alarm;
  return (await redis.hsetnx(keys.alarms(), `${alarm.name} ${alarm.of}`, JSON.stringify({ job, sinceAt }))) === 1;
}

/** True for the one who is to tell that it is over. */
export async function clear(redis: Redis, keys: Keys, { name, of }: Alarm): Promise<boolean> {
  return (await redis.hdel(keys.alarms(), `${name} ${of}`)) === 1;
}

/** A handful: one field per thing that is wrong, not per job. */
export async function readAlarms(redis: Redis, keys: Keys): Promise<Alarm[]> {
  return Object.entries(await redis.hgetall(keys.alarms())).map(([field, json]) => {
    const [name, of] = field.split(' ') as [AlarmName, string];
    return { name, of, ...(JSON.parse(json) as Pick<Alarm, 'job' | 'sinceAt'>) };
  });
}

/** What is wrong with a lane, one line each, for whoever looks at it. */
export function alarmsOf(alarms: readonly Alarm[], lane: string, nowAt: number): string[] {
  return alarms
    .filter(({ name, of }) => name.startsWith('lane.') && of === lane)
    .map((alarm) => sayAlarm(alarm, nowAt));
}

function sayAlarm({ name, job, sinceAt }: Alarm, nowAt: number): string {
  const forSome = formatDuration(Math.max(0, nowAt - sinceAt));
  switch (name) {
    case 'lane.overdue':
      return `overdue: ${job} has waited for ${forSome}`;
    case 'lane.overparked':
      return `overparked: ${job} should have left its gate ${forSome} ago`;
    case 'lane.unattended':
      return `unattended: it has work and no running pod for ${forSome}`;
    default:
      return `${name} for ${forSome}`;
  }
}
