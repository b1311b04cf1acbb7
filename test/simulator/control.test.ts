// The control plane: changes while it runs, what it shows, and that wrong input changes nothing.

import { describe, expect, test } from 'vitest';
import { listScenarios } from '../../src/simulator/index.ts';
import { play } from './live.ts';

describe('changes', () => {
  test('a scenario by name, knobs on top of it, and back', async () => {
    const { sim, send } = await play({ scenario: 'calm' });
    expect((await send('/_sim/scenario', { body: { name: 'green-but-broken' } })).body).toMatchObject({
      scenario: 'green-but-broken',
      changed: [],
      behaviour: { failWith: 466 },
    });
    expect((await send('/x')).status).toBe(466);
    const patched = await send('/_sim/behaviour', { method: 'PATCH', body: { failRatio: 0, latency: '1ms' } });
    expect(patched.body).toMatchObject({ scenario: 'green-but-broken', changed: ['failRatio', 'latency'] });
    expect(patched.body.behaviour).toMatchObject({ failWith: 466, failRatio: 0, latency: { fixed: 1 } });
    expect((await send('/x')).status).toBe(200);
    expect(sim.describe()).toContain('scenario green-but-broken');
    sim.scenario('calm');
    expect((await send('/_sim/behaviour')).body).toMatchObject({ scenario: 'calm', behaviour: { failWith: null } });
  });

  test.each(listScenarios())('the behaviour of $name can be given back as it was read', async ({ name }) => {
    const { send } = await play({ scenario: name });
    const { behaviour } = (await send('/_sim/behaviour')).body;
    const given = await send('/_sim/behaviour', { method: 'PATCH', body: behaviour });
    expect([given.status, given.body.behaviour]).toEqual([200, behaviour]);
  });

  test('a reset clears log and effects; numbers go on', async () => {
    const { sim, send } = await play();
    await send('/posts', { body: { title: 't' } });
    expect((await send('/_sim/reset', { method: 'POST' })).body).toEqual({ reset: true });
    expect([sim.log, sim.effects]).toEqual([[], []]);
    expect((await send('/posts/p1')).status).toBe(404);
    expect(sim.log.map((one) => one.n)).toEqual([2]);
  });

  test.each([
    ['POST', 'scenario', { name: 'nope' }, 'scenario: expected one of calm, '],
    ['POST', 'scenario', ['calm'], 'the body: expected a JSON object, got ["calm"]'],
    ['PATCH', 'behaviour', { latency: 'soon' }, 'latency: expected a duration'],
    ['PATCH', 'behaviour', { failWith: 500, speed: 1 }, 'behaviour: expected knobs out of enforce, '],
    ['PATCH', 'behaviour', { failWith: 500, failRatio: 2 }, 'failRatio: expected a number from 0 to 1, got 2'],
    ['POST', 'verdict', { limits: [{ count: 1 }] }, 'limits[0].per: expected a duration'],
    ['POST', 'verdict', { limit: [] }, 'rules: expected names out of limits, '],
  ])('%s %s %j is one clear line, and nothing has changed', async (method, path, body, line) => {
    const { sim, send } = await play();
    const before = sim.behaviour;
    const answer = await send(`/_sim/${path}`, { method, body });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ status: 400, title: 'Bad request' });
    expect(answer.body.detail).toContain(line);
    expect(answer.body.detail).not.toContain('\n');
    expect([sim.behaviour, sim.changedKnobs]).toEqual([before, ['latency']]);
  });

  test('malformed JSON is 400, an unknown path 404, a wrong method 405', async () => {
    const { url, send } = await play();
    const malformed = await fetch(`${url}/_sim/scenario`, { method: 'POST', body: '{' });
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ detail: 'the body: expected JSON' });
    expect(await send('/_sim/nope')).toMatchObject({ status: 404, body: { title: 'Not found' } });
    const wrong = await send('/_sim/scenario');
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('looks', () => {
  test('nothing under /_sim/ is recorded, counted, delayed or failed', async () => {
    const behaviour = { latency: '24h', failWith: 500, limits: [{ count: 1, per: '1h' }] };
    const { sim, send } = await play({ behaviour });
    for (let i = 0; i < 3; i++) expect((await send('/_sim/log')).status).toBe(200);
    expect(sim.log).toEqual([]);
  });

  test('the log in pages', async () => {
    const { sim, send } = await play();
    for (let i = 0; i < 5; i++) await send(`/x${i}`);
    const first = (await send('/_sim/log?limit=2')).body;
    expect([first.records.map((one: { path: string }) => one.path), first.next, first.more]).toEqual([
      ['/x0', '/x1'],
      2,
      3,
    ]);
    const rest = (await send(`/_sim/log?after=${first.next}`)).body;
    expect([rest.records, rest.next, rest.more]).toEqual([sim.log.slice(2), 5, 0]);
    expect((await send('/_sim/log?after=5')).body).toEqual({ records: [], next: 5, more: 0 });
    expect((await send('/_sim/log?after=x')).status).toBe(400);
  });

  test('effects', async () => {
    const { send } = await play();
    await send('/posts', {
      body: { title: 't' },
      headers: { 'idempotency-key': 'k', 'x-job-id': '7', 'x-fence-token': '1' },
    });
    expect((await send('/_sim/effects')).body).toMatchObject({
      effects: [{ n: 1, request: 1, idempotencyKey: 'k', jobId: '7', fence: '1', postId: 'p1' }],
    });
  });

  test('the verdict against the limits in force, against others, and as text', async () => {
    const { send } = await play({ behaviour: { latency: 0, enforce: false, limits: [{ count: 1, per: '1h' }] } });
    await send('/x', { headers: { 'x-agent': 'a' } });
    await send('/x', { headers: { 'x-agent': 'a' } });
    expect((await send('/_sim/verdict')).body).toMatchObject({ clean: false, counts: { rate: 1 } });
    const other = { limits: [{ count: 2, per: '1h' }] };
    expect((await send('/_sim/verdict', { body: other })).body.clean).toBe(true);
    expect((await send('/_sim/verdict', { body: { ...other, cooldown: '1h' } })).body.counts).toEqual({ cooldown: 1 });
    const { headers, body } = await send('/_sim/verdict?format=text');
    expect(headers.get('content-type')).toContain('text/plain');
    expect(body).toMatch(
      /^CONVICTED: 1 \(rate 1\)\n {2}\S+Z rate \[1 per 1h\] 2 arrivals in one interval where 1 are allowed \(#1 #2\)\n/,
    );
    expect((await send('/_sim/verdict?format=xml')).status).toBe(400);
    expect((await send('/_sim/verdict?countRefused=maybe')).status).toBe(400);
  });

  test('scenarios, each with its line', async () => {
    const { send } = await play();
    const { scenarios } = (await send('/_sim/scenarios')).body;
    expect(scenarios).toEqual(listScenarios());
    expect(scenarios.every((one: { line: string }) => one.line.length > 10)).toBe(true);
  });
});
