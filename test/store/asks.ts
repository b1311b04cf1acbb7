// An ask of a lane's pod, of which a test says only what matters to it.

import type { Ask } from '../../src/store/limit-driver.ts';

export const asks = (ask: Partial<Ask>): Ask => ({
  lane: 'a',
  weight: 1,
  slots: 0,
  tickets: 0,
  freed: [],
  unsent: [],
  sent: [],
  kept: [],
  wired: [],
  unit: 1,
  ...ask,
});
