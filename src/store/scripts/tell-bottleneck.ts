// Typed wrapper of tell-bottleneck.lua.

import { defineScript } from './define-script.ts';

export const tellBottleneck = defineScript({
  file: new URL('./tell-bottleneck.lua', import.meta.url),
  keys: ['limits', 'waiting', 'holders', 'weights', 'queued', 'seen'],
  args: ['pod', 'wants', 'validMs', 'client', 'queuedNow'],
  reply: () => undefined,
});
