// What a bench is: a question, and a run that finds the answer.

import type { Findings } from './report.ts';
import type { Store } from './store.ts';

export interface BenchInput {
  store: Store;
  rounds: number;
  isQuick: boolean;
  say(line: string): void;
}

export interface Bench {
  question: string;
  /** Default 7. */
  rounds?: number;
  run(input: BenchInput): Promise<Findings>;
}
