// What a bench is: a question, and a run that finds the answer.

import type { Findings } from './report.ts';
import type { Store } from './store.ts';

export interface BenchInput {
  store: Store;
  rounds: number;
  isQuick: boolean;
  /** Of a bench that has a size; else NaN. */
  size: number;
  say(line: string): void;
}

export interface Bench {
  question: string;
  /** Default 7. */
  rounds?: number;
  /** How many jobs or entries one run takes: `--size`. */
  size?: { usual: number; quick: number; of: string };
  run(input: BenchInput): Promise<Findings>;
}
