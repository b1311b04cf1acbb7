// Typed wrapper of free-reservation.lua.

import { defineScript } from './define-script.ts';

export const freeReservation = defineScript({
  file: new URL('./free-reservation.lua', import.meta.url),
  keys: ['reservation'],
  args: ['id'],
  reply: (raw) => raw === 1,
});
