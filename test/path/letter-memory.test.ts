// Ten thousand dead letters in the memory of a page; a hundred thousand stand in test/faults/letters.fault.ts.

import { defineLane } from '../../src/index.ts';
import { it } from '../support/world.ts';
import { proveFlat } from './letter-heap.ts';

it('10,000 letters are listed, exported, replayed and dropped with flat memory', async ({ world }) => {
  await proveFlat(world.queue(defineLane({ name: 'many' })), 10_000);
});
