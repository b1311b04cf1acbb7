// Fence tokens as this upstream has seen them: the highest in each scope. Tokens are whole numbers of any size and are
// compared as BigInt, because 2^53 and 2^53 + 1 are the same number to a double.

export interface FenceBook {
  /** Takes note of a token and answers the highest seen in its scope so far, this one included. */
  see(scope: string, token: bigint): bigint;
  /** The highest seen; undefined when none was. */
  highest(scope: string): bigint | undefined;
}

/** Undefined for what is no whole number. 100 digits are enough for anybody and keep the comparison cheap. */
export function toFenceToken(text: string): bigint | undefined {
  return /^\d{1,100}$/.test(text) ? BigInt(text) : undefined;
}

/** The scope within which tokens may only grow. Prefixed by its kind, so that an agent and a key of one name are two. */
export function toFenceScope(given: { scope: string | null; key: string | null; agent: string | null }): string {
  if (given.scope !== null) return `scope ${given.scope}`;
  if (given.key !== null) return `key ${given.key}`;
  return given.agent !== null ? `agent ${given.agent}` : 'everything';
}

export function createFenceBook(max: number): FenceBook {
  const highest = new Map<string, bigint>();
  return {
    see(scope, token) {
      const before = highest.get(scope);
      if (before !== undefined && before >= token) return before;
      highest.delete(scope); // to the young end: the scope that grew longest ago goes first
      highest.set(scope, token);
      if (highest.size > max) highest.delete(highest.keys().next().value!);
      return token;
    },
    highest: (scope) => highest.get(scope),
  };
}
