// The feed: made-up news that grows with time and is the same in every run, for crons to poll and models to read.

const WHO = ['Acme', 'Borealis', 'Cobalt', 'Delta Works', 'Ember'] as const;
const DID = ['shipped', 'recalled', 'announced', 'sold', 'tested'] as const;
const WHAT = ['pumps', 'sensors', 'batteries', 'turbines'] as const;
const WHERE = ['Berlin', 'Lagos', 'Lima', 'Osaka', 'Tromso', 'Utrecht', 'Windhoek'] as const;

const PAGE = 50;

/** The items after one, oldest first, a page at a time; `next` is what to ask for after them. */
export function readFeed(after: number, itemCount: number): { items: unknown[]; next: number } {
  const size = Math.max(0, Math.min(PAGE, itemCount - after));
  const items = Array.from({ length: size }, (_, index) => toItem(after + index + 1));
  return { items, next: after + size };
}

function toItem(id: number) {
  const pick = <T>(from: readonly T[]): T => from[id % from.length]!;
  const title = `${pick(WHO)} ${pick(DID)} ${(id % 97) + 3} ${pick(WHAT)} in ${pick(WHERE)}`;
  const text = `${title}. It was the ${(id % 9) + 2}th time this year. Prices moved by ${id % 13} percent.`;
  return { id, title, text, channel: String(100 + (id % 30)) };
}
