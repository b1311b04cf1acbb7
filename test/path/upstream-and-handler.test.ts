// Upstreams and handlers are refused when they are defined, with every wrong option at once, or they are frozen.

import { describe, expect, it } from 'vitest';
import { defineLane, defineUpstream, handle, probe } from '../../src/index.ts';
import { HANDLER_RULES, isHandler, isProbe } from '../../src/path/handler.ts';
import { unbuiltIn } from '../../src/path/options.ts';
import { isUpstream, UPSTREAM_RULES } from '../../src/path/upstream.ts';

const define = (options: unknown) => defineUpstream(options as { name: string });
const lane = defineLane({ name: 'a' });
const run = () => null;

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toMatchObject({ code: 'LK_DEFINITION' });
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

describe('an upstream', () => {
  it('needs a name and nothing else', () => {
    expect(define({ name: 'api' })).toEqual({
      name: 'api',
      baseUrl: undefined,
      pins: {},
      idempotency: true,
      limits: undefined,
      agents: [],
      unbuilt: [],
    });
  });

  it('keeps its address without the last slash, its pins as they are, and is frozen', () => {
    const upstream = define({
      name: 'api',
      baseUrl: 'https://h:1/v2//',
      pins: { 'X-Api-Version': 'a' },
      idempotency: false,
      agents: ['a01', 'bob@example.com'],
    });
    expect(upstream.agents).toEqual(['a01', 'bob@example.com']);
    expect(upstream).toMatchObject({ baseUrl: 'https://h:1/v2', pins: { 'X-Api-Version': 'a' }, idempotency: false });
    for (const part of [upstream, upstream.pins, upstream.agents, upstream.unbuilt])
      expect(Object.isFrozen(part)).toBe(true);
    expect(isUpstream(upstream)).toBe(true);
    expect(isUpstream(lane)).toBe(false);
  });

  it.each([
    ['name', ['', 'A', 'a b', '{a}', 'a'.repeat(64), 5, null]],
    [
      'baseUrl',
      ['', 'api.example.com', 'ftp://h', 'redis://h', '/v1', 5, null, 'https://h/v1?key=1', 'https://h/#top'],
    ],
    ['pins', ['x', 5, [], null, { 'no name': 'a' }, { a: 5 }, { a: 'two\nlines' }, { '': 'a' }]],
    ['idempotency', ['yes', 1, null]],
    ['agents', ['a01', 5, null, {}, ['a b'], [''], ['-a'], [5], ['a01', 'a01'], ['a'.repeat(129)]]],
  ])('refuses every wrong %s with option, expected and got, in one line', (option, values) => {
    for (const value of values as unknown[]) {
      const said = refusal(() => define({ name: 'api', [option as string]: value }));
      expect(said, JSON.stringify(value)).toMatch(new RegExp(`^upstream.*: ${option}: expected .+, got .+$`));
    }
  });

  it('names every wrong and every unknown option at once', () => {
    const said = refusal(() => define({ name: 'api', baseUrl: 'x', idempotency: 5, baseURL: 'https://h' }));
    for (const option of ['baseUrl', 'idempotency', 'baseURL']) expect(said).toContain(`${option}: expected`);
  });

  it.each(unbuiltIn(UPSTREAM_RULES))('accepts %s, whose part is not built yet, and names it exactly once', (option) => {
    expect(define({ name: 'api', [option]: [] }).unbuilt).toEqual([option]);
  });

  it('names the parts that are not built yet, and no other', () => {
    expect(unbuiltIn(UPSTREAM_RULES).sort()).toEqual(['breaker', 'prices', 'resources']);
  });
});

describe('a handler', () => {
  it('is frozen data: the lane and what runs', () => {
    const handler = handle(lane, { run });
    expect(handler).toEqual({ lane, run, unbuilt: [] });
    expect(Object.isFrozen(handler)).toBe(true);
    expect(isHandler(handler)).toBe(true);
    expect(isHandler(lane)).toBe(false);
  });

  it.each([undefined, null, {}, 'a', run])('of no lane is refused (%s)', (notLane) => {
    expect(refusal(() => handle(notLane as never, { run }))).toMatch(
      /^handle: expected what defineLane returned, got /,
    );
  });

  it.each([
    ['run', [undefined, null, 'x', {}]],
    ['verify', [null, 'x', {}]],
  ])('refuses every wrong %s with option, expected and got', (option, values) => {
    for (const value of values as unknown[]) {
      const said = refusal(() => handle(lane, { run, [option as string]: value } as never));
      expect(said).toMatch(new RegExp(`^handler of "a": ${option}: expected a function.+, got .+$`));
    }
  });

  it('names unknown options, and refuses what is no object of options', () => {
    expect(refusal(() => handle(lane, { run, retries: 5 } as never))).toContain('retries: expected one of run, verify');
    expect(refusal(() => handle(lane, run as never))).toMatch(/expected an object of options, got a function/);
  });

  it('accepts verify, whose part is not built yet, and names it exactly once', () => {
    expect(unbuiltIn(HANDLER_RULES)).toEqual(['verify']);
    expect(handle(lane, { run, verify: run }).unbuilt).toEqual(['verify']);
  });
});

describe('a probe', () => {
  it('belongs to an upstream', () => {
    const upstream = define({ name: 'api' });
    expect(isProbe(probe(upstream, { every: '1m', run }))).toBe(true);
    expect(refusal(() => probe(lane as never, { every: '1m', run }))).toMatch(/^probe: expected what defineUpstream/);
  });
});
