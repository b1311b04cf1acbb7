// Looks at a draft before anybody else does, and hands it to whoever may post it first.

import { defineLane } from 'lanekeeper';
import { z } from 'zod';
import { model } from './draft.ts';

export const check = defineLane({
  name: 'check',
  upstream: model,
  payload: z.object({ item: z.number().int(), title: z.string(), body: z.string() }),
  timeout: '1m',
});
