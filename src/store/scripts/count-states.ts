// Typed wrapper of count-states.lua.

import { defineScript } from './define-script.ts';

type Counts = [
  paused: number,
  waiting: number,
  delayed: number,
  active: number,
  done: number,
  dead: number,
  lined: number,
  aside: number,
  ...parked: number[],
];

export const countStates = defineScript({
  file: new URL('./count-states.lua', import.meta.url),
  keys: ['wait', 'prioritized', 'delayed', 'active', 'completed', 'failed', 'meta', 'line', 'lined', 'aside'],
  args: ['parked'],
  reply(raw) {
    const [paused, waiting, delayed, active, done, dead, lined, aside, ...parked] = raw as Counts;
    return { isPaused: paused === 1, waiting, delayed, active, done, dead, lined, aside, parked };
  },
});
