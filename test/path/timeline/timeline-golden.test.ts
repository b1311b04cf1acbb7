// Whole incidents, told: the texts beside this file were read, and are what one would be glad of at 3 a.m.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as incidents from './incidents.ts';
import { tellStandUp, tellText } from './telling.ts';

const golden = (name: string) => join(import.meta.dirname, 'golden', name);
const { limitLowered, podCrashLoop, quietDay, redisFull, stormBesideCron, gapInTheMiddle } = incidents;

const ALL = Object.entries({
  'storm-beside-cron': stormBesideCron(),
  'pod-crash-loop': podCrashLoop(),
  'redis-full': redisFull(),
  'limit-lowered': limitLowered(),
  'quiet-day': quietDay(),
  'gap-in-the-middle': gapInTheMiddle(),
});

describe('an incident', () => {
  it.each(ALL)('%s is told minute by minute', async (name, lines) => {
    await expect(tellText(lines)).toMatchFileSnapshot(golden(`${name}.txt`));
  });

  it.each(ALL)('%s fills the stand-up form', async (name, lines) => {
    const now = ['publish', 'draft'].map((lane) => ({ lane, waiting: 212, oldestWaitingMs: 900_000, dueMs: 600_000 }));
    await expect(tellStandUp(lines, now)).toMatchFileSnapshot(golden(`${name}.md`));
  });

  it.each(ALL)('%s fits any terminal of 80 to 120 columns', (_, lines) => {
    for (const columns of [20, 80, 100, 120, 400]) {
      const width = Math.max(
        ...tellText(lines, columns)
          .split('\n')
          .map((line) => line.length),
      );
      expect(width).toBeLessThanOrEqual(Math.min(120, Math.max(80, columns)));
    }
  });
});
