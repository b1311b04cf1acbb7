// One suite for every driver of limits. What a driver cannot keep is refused where it is defined, and the table says so.

import { LIMIT_DRIVERS, type LimitDriverName } from '../../../src/words/limit.ts';
import type { Fault } from '../harness/suite.ts';
import type { LimitOptions } from './arena.ts';
import type { LimitEvidence } from './evidence.ts';

export type LimitRun = [name: string, run: (options: LimitOptions) => Promise<LimitEvidence>];

/** LIMITS_DRIVERS picks some: 'scripts', 'bottleneck', or both with a comma. */
const chosen: readonly string[] = process.env.LIMITS_DRIVERS?.split(',') ?? LIMIT_DRIVERS;

export function onEachDriver(runs: readonly LimitRun[]): Fault<LimitEvidence>[] {
  return LIMIT_DRIVERS.flatMap((driver) => onDriver(driver, runs));
}

export function onDriver(driver: LimitDriverName, runs: readonly LimitRun[]): Fault<LimitEvidence>[] {
  if (!chosen.includes(driver)) return [];
  return runs.map(([name, run]) => [`${name} (${driver})`, (options) => run({ ...options, driver })]);
}

/**
 * The same run with pods that lack a protection: it must break the limit, or the run proves nothing. Up to three times, because
 * a race that nothing guards is still not lost every time.
 */
export function twin(name: string, run: LimitRun[1]): LimitRun {
  return [
    `twin: ${name}`,
    async (options) => {
      for (let tries = 1; ; tries++) {
        const evidence = await run(options);
        if (evidence.problems.length === 0 || tries === 3) return evidence;
      }
    },
  ];
}
