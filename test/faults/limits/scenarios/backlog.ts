// Ten thousand waiting jobs cost Redis nothing: it gets as many commands a second as with ten. With one slot that is taken for
// good, where all wait; and with 20 a second let through.

import { lasts, until } from '../../harness/until.ts';
import { inLimitArena, type LimitArena, type LimitOptions, type LimitTerms } from '../arena.ts';
import type { LimitEvidence } from '../evidence.ts';
import { proveNeverOver } from '../judgement.ts';

const MORE = 10_000;
/** Beats fall into one span and not into another. */
const NOISE = 1.25;

export const blocked = (options: LimitOptions): Promise<LimitEvidence> =>
  compare(
    '10 and 10,000 wait for a slot',
    options,
    { limits: [{ concurrent: 1 }], latency: '10m', timeout: '10m' },
    10,
  );

export const flowing = (options: LimitOptions): Promise<LimitEvidence> =>
  compare('400 and 10,000 wait for 20 a second', options, { limits: [{ count: 20, per: '1s' }], latency: '20ms' }, 400);

function compare(fault: string, options: LimitOptions, terms: LimitTerms, few: number): Promise<LimitEvidence> {
  return inLimitArena(fault, options, terms, async (arena, evidence) => {
    const spanMs = options.short ? 4_000 : 10_000;
    await arena.add('alpha', few + 1);
    await arena.startFour({ lanes: ['alpha'] });
    await until('something arrives', 30_000, async () => (await arena.arrivals()).length > 0);
    await lasts(2_000);
    const withFew = await commandsPerSecond(arena, spanMs);
    await arena.add('alpha', MORE);
    await lasts(2_000);
    const withMany = await commandsPerSecond(arena, spanMs);
    const text = `${Math.round(withFew)} commands a second with ${few} waiting, ${Math.round(withMany)} with ${MORE}`;
    evidence.promise(withMany <= withFew * NOISE, text);
    evidence.figures.push(text);
    await proveNeverOver(arena, evidence);
  });
}

/** All that Redis executed, those within scripts included. */
async function commandsPerSecond({ look }: LimitArena, spanMs: number): Promise<number> {
  const calls = async () => {
    const lines = (await look.info('commandstats')).matchAll(/^cmdstat_[^:]+:calls=(\d+)/gm);
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const startedAt = performance.now();
  const before = await calls();
  await lasts(spanMs);
  return ((await calls()) - before) / ((performance.now() - startedAt) / 1_000);
}
