// Reads what a person wrote in a definition against a table of options: every wrong one is named at once (option, expected,
// got), unknown ones too, and options whose part is not built yet are noted so that each gets its warning line.

import { firstLine, LanekeeperError, quote } from '../words/errors.ts';

/** Takes one problem inside a value, from its place there on: `[0].count: expected …, got …`. */
export type Tell = (problem: string) => void;

export interface OptionRule<T> {
  /** What it should look like, to complete "expected …". */
  expected: string;
  /** The normalized value, or undefined when it is not usable. What is wrong inside it may be told by its place. */
  read(value: unknown, tell: Tell): T | undefined;
  /** Used when the option is absent. A rule without one is required. */
  preset?: T;
  optional?: true;
  /** Accepted and kept, but nothing acts on it yet. `unless` says which values already hold today. */
  unbuilt?: true | { unless: (value: unknown) => boolean };
}

// biome-ignore lint/suspicious/noExplicitAny: a table of rules of any type; each value's own type is recovered by ReadOptions
export type OptionRules = Record<string, OptionRule<any>>;

export type ReadOptions<R extends OptionRules> = {
  [K in keyof R]: R[K] extends OptionRule<infer T>
    ? R[K] extends { preset: unknown }
      ? T
      : R[K] extends { optional: true }
        ? T | undefined
        : T
    : never;
};

/** Whatever is handed in, what it throws is an LK_DEFINITION: getters and proxies throw what they like. */
export function readOptions<R extends OptionRules>(
  what: string,
  rules: R,
  given: unknown,
): { values: ReadOptions<R>; unbuilt: string[] } {
  try {
    return readGiven(what, rules, given);
  } catch (thrown) {
    if (thrown instanceof LanekeeperError) throw thrown;
    throw new LanekeeperError('LK_DEFINITION', `${what}: its options threw when they were read: ${firstLine(thrown)}`);
  }
}

function readGiven<R extends OptionRules>(
  what: string,
  rules: R,
  given: unknown,
): { values: ReadOptions<R>; unbuilt: string[] } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new LanekeeperError('LK_DEFINITION', `${what}: expected an object of options, got ${quote(given)}`);
  }
  const options = given as Record<string, unknown>;
  const named = typeof options.name === 'string' ? `${what} ${quote(options.name)}` : what;
  const problems: string[] = [];
  const unbuilt: string[] = [];
  const values: Record<string, unknown> = {};
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(rules, key)) continue;
    problems.push(`${/^\w{1,60}$/.test(key) ? key : quote(key)}: expected one of ${Object.keys(rules).join(', ')}`);
  }
  for (const [key, rule] of Object.entries(rules)) {
    const value = options[key];
    if (value === undefined) {
      if (!('preset' in rule) && !rule.optional) problems.push(`${key}: expected ${rule.expected}, got nothing`);
      values[key] = rule.preset;
      continue;
    }
    const told = problems.length;
    const read = rule.read(value, (problem) => problems.push(`${key}${problem}`));
    if (problems.length > told) continue;
    if (read === undefined) problems.push(`${key}: expected ${rule.expected}, got ${quote(value)}`);
    else if (rule.unbuilt && !(rule.unbuilt !== true && rule.unbuilt.unless(value))) unbuilt.push(key);
    values[key] = read;
  }
  if (problems.length > 0) throw new LanekeeperError('LK_DEFINITION', `${named}: ${problems.join('; ')}`);
  return { values: values as ReadOptions<R>, unbuilt };
}

/** The names in a table that nothing acts on yet: `doctor` lists them, a test compares. */
export function unbuiltIn(rules: OptionRules): string[] {
  return Object.entries(rules)
    .filter(([, rule]) => rule.unbuilt)
    .map(([key]) => key);
}
