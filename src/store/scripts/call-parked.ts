// Typed wrapper of call-parked.lua.

import { defineScript } from './define-script.ts';

export const callParked = defineScript({
  file: new URL('./call-parked.lua', import.meta.url),
  keys: ['delayed', 'marker', 'parked'],
  args: ['jobs', 'ids', 'fields', 'gate', 'reason', 'isOther', 'startMs', 'stepMs'],
  reply: (raw) => raw as number,
});
