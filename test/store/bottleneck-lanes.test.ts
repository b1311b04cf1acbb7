// Whose turn it is among a pod's lanes.

import { describe, expect, it } from 'vitest';
import { BottleneckLanes } from '../../src/store/bottleneck-lanes.ts';
import type { Piece } from '../../src/store/bottleneck-limiter.ts';

let made = 0;
const piece = (): Piece => ({ id: `s${++made}`, askedMono: 0, answeredMono: 0, waitMs: 0, giveBack: () => {} });

describe('tickets', () => {
  it('go round by weight', () => {
    const lanes = new BottleneckLanes();
    const had: Record<string, number> = { a: 0, b: 0 };
    for (let n = 0; n < 400; n++) {
      lanes.want('a', 3, 0, 5);
      lanes.want('b', 1, 0, 5);
      lanes.addTicket({ untilMono: 100 });
      const [lane] = lanes.assign(0);
      had[lane?.name ?? ''] =
        (had[lane?.name ?? ''] ?? 0) + lanes.take(lane ?? lanes.want('a', 3, 0, 0)).tickets.length;
    }
    expect(had).toEqual({ a: 300, b: 100 });
  });

  it('that a lane did not want for a while are not made up for', () => {
    const lanes = new BottleneckLanes();
    const next = () => {
      lanes.addTicket({ untilMono: 100 });
      const [lane] = lanes.assign(0);
      if (lane) lanes.take(lane);
      return lane?.name;
    };
    lanes.want('a', 1, 0, 100);
    for (let n = 0; n < 50; n++) next();
    lanes.want('b', 1, 0, 100);
    expect([next(), next(), next(), next()].filter((name) => name === 'b')).toHaveLength(2);
  });

  it('run out, and are given to nobody then', () => {
    const lanes = new BottleneckLanes();
    const lane = lanes.want('a', 1, 0, 1);
    lanes.addTicket({ untilMono: 100 });
    expect(lanes.assign(99.5)).toEqual([]);
    expect(lanes.take(lane).tickets).toEqual([]);
    expect(lanes.ticketsShort).toBe(1);
  });
});

describe('slots and tickets', () => {
  it('are granted in step', () => {
    const lanes = new BottleneckLanes();
    const lane = lanes.want('a', 1, 3, 3);
    expect(lanes.ticketsShort).toBe(0); // no slot is there for one yet
    for (let n = 0; n < 3; n++) lanes.addSlot(piece());
    expect(lanes.assign(0)).toEqual([]);
    expect(lanes.ticketsShort).toBe(3);
    lanes.addTicket({ untilMono: 100 });
    expect(lanes.assign(0)).toEqual([lane]);
    const { slots, tickets } = lanes.take(lane);
    expect([slots.length, tickets.length]).toEqual([1, 1]);
  });

  it('are granted alone to whom one kind is enough', () => {
    const lanes = new BottleneckLanes();
    const lane = lanes.want('a', 1, 1, 3);
    expect(lanes.ticketsShort).toBe(2);
    for (let n = 0; n < 2; n++) lanes.addTicket({ untilMono: 100 });
    lanes.assign(0);
    expect(lanes.take(lane).tickets).toHaveLength(2);
  });
});

describe('what lies ready', () => {
  it('and is not fetched goes to the next', () => {
    const lanes = new BottleneckLanes();
    const a = lanes.want('a', 1, 1, 0);
    lanes.addSlot(piece());
    expect(lanes.assign(0)).toEqual([a]);
    const b = lanes.want('b', 1, 1, 0);
    expect(lanes.assign(100)).toEqual([]);
    expect(lanes.take(b).slots).toEqual([]);
    expect(lanes.assign(300)).toEqual([b]);
    expect(lanes.take(b).slots).toHaveLength(1);
  });

  it('and nobody wants is given back', () => {
    const lanes = new BottleneckLanes();
    lanes.want('a', 1, 1, 0);
    lanes.addSlot(piece());
    lanes.want('a', 1, 0, 0);
    lanes.assign(0);
    expect(lanes.takeUnwanted()).toHaveLength(1);
  });
});
