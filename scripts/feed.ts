// A little work for the sample fleet, every second until whoever started this is gone: a post of its own, and a look at the feed,
// whose items go on by themselves: collect -> draft -> check -> publish.

import { createProducer } from 'lanekeeper';
import { collect } from '../queues/collect.ts';
import { publish } from '../queues/publish.ts';

const producer = await createProducer();
process.on('disconnect', () => process.exit(0));
for (let n = 0; ; n++) {
  try {
    await producer.add(publish, { title: `Post ${n}`, body: 'Sample work' }, { agent: `a0${(n % 4) + 1}` });
    await producer.add(collect, { after: n });
  } catch {
    // Redis is restarting: the pods say so already.
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
