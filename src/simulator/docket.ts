// Where convictions are collected: every offence is counted, the first hundred of each term are described. A run that went
// wrong 200,000 times is told in a page, and is judged as fast as one that went right.

import { type Conviction, RULES, type RuleName, type Verdict } from './verdict.ts';

const DESCRIBED = 100;

export interface Docket {
  /** `describe` is called only for an offence that will be shown. */
  convict(rule: RuleName, terms: string, describe: () => Omit<Conviction, 'rule' | 'terms'>): void;
  close(): Omit<Verdict, 'summary'>;
}

export function createDocket(): Docket {
  const counts = new Map<RuleName, number>();
  const described = new Map<string, Conviction[]>();
  return {
    convict(rule, terms, describe) {
      counts.set(rule, (counts.get(rule) ?? 0) + 1);
      const name = `${rule} ${terms}`;
      const shown = described.get(name) ?? [];
      if (shown.length === 0) described.set(name, shown);
      if (shown.length < DESCRIBED) shown.push({ rule, terms, ...describe() });
    },
    close() {
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      const ordered = RULES.filter((rule) => counts.has(rule)).map((rule) => [rule, counts.get(rule)!]);
      return {
        clean: total === 0,
        total,
        counts: Object.fromEntries(ordered),
        convictions: [...described.values()].flat().sort((a, b) => a.at - b.at),
      };
    },
  };
}
