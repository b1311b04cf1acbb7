// What nobody should hand in, by name: things that throw when they are looked at, and numbers that are none.

export function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Throws whatever is asked of it, with a line break and a control character in what it says. */
export function booby(): object {
  const refuse = () => {
    throw new Error('booby\n\u001b[31mtrap');
  };
  return new Proxy(
    {},
    { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse },
  );
}

export function getter(name: string): object {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new Error(`the getter of ${name}\nthrew`);
    },
  });
}

const circle: Record<string, unknown> = {};
circle.self = circle;

class Mine {
  toJSON(): never {
    throw new Error('not me');
  }
}

/** Never usable as a name, a text, a number, a duration or an instant. */
export const HOSTILE: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['NaN', Number.NaN],
  ['-0.5', -0.5],
  ['1e308', 1e308],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['a BigInt', 1n],
  ['a Symbol', Symbol('s')],
  ['true', true],
  ['an invalid Date', new Date('no date')],
  ['an instance', new Mine()],
  ['a circle', circle],
  ['a revoked proxy', revoked()],
  ['a proxy that throws', booby()],
  ['a getter that throws', getter('name')],
  ['a list of holes', new Array(50_000_000)],
  ['the longest list', new Array(2 ** 32 - 1)],
  ['a text of 10 MB', '\u0000'.repeat(10_000_000)],
];
