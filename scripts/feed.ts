// A little work for the sample fleet: one job a second for each lane, until whoever started this is gone.

import { createProducer } from 'lanekeeper';
import { collect } from '../queues/collect.ts';
import { extract } from '../queues/extract.ts';
import { publish } from '../queues/publish.ts';

const producer = await createProducer();
process.on('disconnect', () => process.exit(0));
for (let n = 0; ; n++) {
  try {
    await producer.add(publish, { title: `Post ${n}`, body: 'Sample work' }, { agent: `a0${(n % 4) + 1}` });
    await producer.add(extract, { text: `The ${n}th text.` });
    await producer.add(collect, { after: n });
  } catch {
    // Redis is restarting: the pods say so already.
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
