// Makes a dead letter ready for BullMQ's move back into the line; false when it is no longer the one that was seen.

import { defineScript } from './define-script.ts';

export const readyLetter = defineScript({
  file: new URL('./ready-letter.lua', import.meta.url),
  keys: ['failed', 'job'],
  args: ['id', 'diedAt', 'begunAt', 'replayedField', 'gateField', 'untilField', 'reasonField', 'parksField'],
  reply: (raw) => raw === 1,
});
