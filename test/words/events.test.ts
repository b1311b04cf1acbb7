// What happened is told to everybody who listens; a listener that breaks hurts nobody, the one who tells least of all.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/prepare.js';
import { LOG_LEVELS } from '../../src/words/config.ts';
import { createEventHub, EVENT_CATALOGUE, type EventName } from '../../src/words/events.ts';

const stalled = { lane: 'a', job: 'j' };

describe('a listener that throws', () => {
  it('hurts neither the others nor the one who tells', () => {
    const errors: unknown[] = [];
    const heard: string[] = [];
    const hub = createEventHub((error) => errors.push(error));
    hub.on('job.stalled', () => {
      throw new Error('first');
    });
    hub.on('job.stalled', ({ job }) => void heard.push(`by name ${job}`));
    hub.onAny(() => {
      throw new Error('second');
    });
    hub.onAny((name) => void heard.push(name));
    hub.emit('job.stalled', stalled);
    expect(heard).toEqual(['by name j', 'job.stalled']);
    expect(errors.map(String)).toEqual(['Error: first', 'Error: second']);
  });

  it('is not heard of at all when nobody asked for its error', () => {
    const hub = createEventHub();
    hub.on('job.stalled', () => {
      throw null;
    });
    expect(() => hub.emit('job.stalled', stalled)).not.toThrow();
  });

  it('may subscribe another while it is told', () => {
    const hub = createEventHub();
    let late = 0;
    hub.on('job.stalled', () => hub.on('job.stalled', () => late++));
    hub.emit('job.stalled', stalled);
    expect(late, 'the newcomer hears the next one').toBe(0);
    hub.emit('job.stalled', stalled);
    expect(late).toBe(1);
  });
});

describe('the catalogue', () => {
  it('reaches its listeners by name and together, event by event', () => {
    const names = Object.keys(EVENT_CATALOGUE) as EventName[];
    const byName: EventName[] = [];
    const all: EventName[] = [];
    const hub = createEventHub();
    for (const name of names) hub.on(name, () => void byName.push(name));
    hub.onAny((name) => void all.push(name));
    for (const name of names) hub.emit(name, {} as never);
    expect(byName).toEqual(names);
    expect(all).toEqual(names);
  });

  it('names events noun.pastVerb-like and gives each a level the log knows', () => {
    for (const [name, { level, journal }] of Object.entries(EVENT_CATALOGUE)) {
      expect(name).toMatch(/^[a-z]+\.[a-z]+$/);
      expect(LOG_LEVELS).toContain(level);
      expect(typeof journal).toBe('boolean');
    }
  });

  it('holds every event that the sources emit, and each of its events is emitted somewhere', async () => {
    const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) => /\.(ts|lua)$/.test(file));
    const emitted = new Set<string>();
    for (const file of files) {
      const text = await readFile(join(ROOT, 'src', file), 'utf8');
      for (const [, name] of text.matchAll(/(?:\.emit|\bappend|\btell)\(\s*'([a-z]+\.[a-z]+)'/g))
        emitted.add(name as string);
    }
    expect([...emitted].sort()).toEqual(Object.keys(EVENT_CATALOGUE).sort());
  });
});
