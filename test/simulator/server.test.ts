// The simulator as a live thing: start, stop, ports, connections kept, and the record on disk through a kill.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createSimulator, type RequestRecord, readRecordFile } from '../../src/simulator/index.ts';
import { openRecordFile } from '../../src/simulator/record-file.ts';
import { log } from './hand-made.ts';
import { openRequest, play } from './live.ts';

describe('life', () => {
  test('stop breaks what is under way, says so in the record, and may be called again', async () => {
    const { sim, url } = await play({ behaviour: { latency: '24h' } });
    const request = openRequest(`${url}/posts`, { method: 'POST', body: '{"title":"t"}' });
    await vi.waitFor(() => expect(sim.log).toHaveLength(1));
    await Promise.all([sim.stop(), sim.stop()]);
    expect((await request.done).error).not.toBeNull();
    expect(sim.log[0]).toMatchObject({ outcome: 'reset', effect: false, answeredAt: null });
    await expect(fetch(url)).rejects.toThrow();
    await expect(sim.start()).rejects.toMatchObject({ code: 'LK_USAGE' });
  });

  test('stop before start, and start twice', async () => {
    await createSimulator().stop();
    const { sim, url } = await play();
    expect((await sim.start()).url).toBe(url);
  });

  test('a taken port is one clear line', async () => {
    const { sim } = await play();
    const { port } = await sim.start();
    const second = createSimulator({ port });
    await expect(second.start()).rejects.toMatchObject({ code: 'LK_PORT', message: `port ${port}: it is taken` });
    await second.stop();
  });

  test('wrong options are refused before anything runs', () => {
    expect(() => createSimulator({ scenario: 'nope' })).toThrow('scenario: expected one of calm, ');
    expect(() => createSimulator({ port: 70_000 })).toThrow('port: expected a whole number from 0 to 65535, got 70000');
    expect(() => createSimulator({ seed: 0.5 })).toThrow('seed: expected a whole number');
    expect(() => createSimulator({ maxRecords: 0 })).toThrow('maxRecords: expected a whole number');
  });

  test('says where it is and what it plays', async () => {
    const { sim, url } = await play({ scenario: 'tight' });
    expect(sim.describe().split('\n').slice(0, 2)).toEqual([
      `stand-in upstream: ${url}`,
      'scenario tight: three requests at once; the fourth gets 429 (changed: latency)',
    ]);
  });

  // Whoever reads an answer while its writer is kept from the processor has read it before the write returns.
  test('an answer has ended when its write began', async () => {
    const now = () => performance.now();
    const { url, sim } = await play({ behaviour: { latency: 0 }, clock: { now, mono: now } });
    const end = ServerResponse.prototype.end;
    let beganAt = 0;
    const spy = vi.spyOn(ServerResponse.prototype, 'end').mockImplementation(function (this: ServerResponse, ...given) {
      beganAt = now();
      const ended = end.apply(this, given as Parameters<typeof end>);
      while (now() < beganAt + 20);
      return ended;
    });
    onTestFinished(() => spy.mockRestore());
    await (await fetch(`${url}/anything`)).text();
    expect(sim.log[0]?.answeredAt).toBeLessThanOrEqual(beganAt);
  });

  test('many requests share a few connections, whatever they carry', async () => {
    const { sim, url } = await play({ behaviour: { latency: 0, limits: [{ count: 100, per: '1h' }] } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ports = new Set<number | undefined>();
    for (let i = 0; i < 150; i++) {
      const method = i % 2 === 0 ? 'GET' : 'POST';
      const body = i % 2 === 0 ? undefined : '{"title":"t"}';
      const { localPort, error } = await openRequest(`${url}/posts`, { method, body, agent }).done;
      expect(error).toBeNull();
      ports.add(localPort);
    }
    expect(ports.size).toBe(1);
    expect(sim.log.filter((one) => one.status === 429)).toHaveLength(50);
    expect(sim.verdict().summary.maxConcurrent).toBe(1);
  });

  test('tells a listener of each request once it is over, whatever the listener throws', async () => {
    const seen: RequestRecord[] = [];
    const { sim, send } = await play({
      onRequest(record) {
        seen.push({ ...record });
        throw new Error('not the upstream’s trouble');
      },
    });
    await send('/posts', { body: { title: 't' } });
    await send('/health');
    await vi.waitFor(() => expect(seen).toEqual(sim.log));
    expect(seen).toMatchObject([{ effect: true, outcome: 'answered' }, { counted: false }]);
  });
});

describe('the record', () => {
  test('keeps the newest, and is not clean once it lost some', async () => {
    const { sim, send } = await play({ maxRecords: 10 });
    for (let i = 0; i < 25; i++) await send('/x');
    expect(sim.log.length).toBeGreaterThanOrEqual(10);
    expect(sim.log.length).toBeLessThanOrEqual(11);
    expect(sim.log.at(-1)?.n).toBe(25);
    expect(sim.verdict()).toMatchObject({ clean: false, counts: { record: 1 } });
  });

  test('is on disk, whole, when the simulator has stopped', async () => {
    const path = join(await folder(), 'record.jsonl');
    const { sim, url, send } = await play({ recordTo: path, behaviour: { latency: 0 } });
    for (let i = 0; i < 20; i++) await send('/posts', { body: { title: `t${i}` } });
    sim.configure({ latency: '24h' });
    const cut = openRequest(`${url}/x`);
    await vi.waitFor(() => expect(sim.log).toHaveLength(21));
    await sim.stop();
    await cut.done;
    expect(await readRecordFile(path)).toEqual(sim.log);
  });

  test('on disk loses at the most a few lines to a kill', async () => {
    const path = join(await folder(), 'record.jsonl');
    const front = new URL('../../src/simulator/index.ts', import.meta.url).href;
    const code = `const { createSimulator } = await import(${JSON.stringify(front)});
      const sim = createSimulator({ recordTo: ${JSON.stringify(path)}, behaviour: { latency: 0 } });
      console.log((await sim.start()).url);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code]);
    onTestFinished(() => void child.kill('SIGKILL'));
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
      child.once('exit', () => reject(new Error('the simulator did not start')));
    });
    const sent = 200;
    for (let i = 0; i < sent; i++) await (await fetch(`${url}/x`)).text();
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    const records = await readRecordFile(path);
    expect(records.length).toBeGreaterThanOrEqual(sent - 5);
    expect(records.map((one) => one.n)).toEqual(records.map((_, index) => index + 1));
  });

  test('with a torn last line is read up to it; a torn line elsewhere is an error', async () => {
    const path = join(await folder(), 'record.jsonl');
    const { sim, send } = await play({ recordTo: path });
    await send('/x');
    await send('/y');
    await sim.stop();
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.slice(0, -20));
    expect(await readRecordFile(path)).toEqual(sim.log.slice(0, 1));
    await writeFile(path, text.trimEnd());
    expect(await readRecordFile(path)).toEqual(sim.log);
    await writeFile(path, `{"n":\n${text}`);
    await expect(readRecordFile(path)).rejects.toThrow();
  });

  test('is written to the last line before the file is closed', async () => {
    const path = join(await folder(), 'record.jsonl');
    const file = await openRecordFile(path);
    const records = log(...Array.from({ length: 5_000 }, (_, at) => ({ at })));
    const half = records.splice(0, 2_500);
    for (const record of half) file.append(record);
    await new Promise(setImmediate);
    for (const record of records) file.append(record);
    await file.close();
    expect(await readRecordFile(path)).toEqual([...half, ...records]);
  });

  test('cannot go where nothing can be written', async () => {
    const sim = createSimulator({ recordTo: join(await folder(), 'no', 'such', 'folder') });
    await expect(sim.start()).rejects.toThrow('recordTo: expected a file that can be written');
  });
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'lanekeeper-simulator-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
