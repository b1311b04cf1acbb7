// The record on disk, one JSON line for each request once it is over. A write is started as soon as the one before it is
// done and nothing is held back for company, so a kill -9 loses the lines of one write, a few requests, and no more.

import { type FileHandle, open, readFile } from 'node:fs/promises';
import { toError, wrongOption } from '../words/errors.ts';
import type { RequestRecord } from './record.ts';

export interface RecordFile {
  append(record: RequestRecord): void;
  /** Writes what is left. Throws the first failure: a record with holes must not pass for whole. */
  close(): Promise<void>;
}

export async function openRecordFile(path: string): Promise<RecordFile> {
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error) {
    throw wrongOption('LK_INPUT', 'recordTo', `a file that can be written (${toError(error).message})`, path);
  }
  let waiting: string[] = [];
  let writing: Promise<void> | undefined;
  let failure: Error | undefined;

  async function drain(): Promise<void> {
    while (waiting.length > 0 && !failure) {
      const lines = waiting.join('');
      waiting = [];
      await file.appendFile(lines).catch((error: unknown) => {
        failure = toError(error);
      });
    }
    writing = undefined;
  }

  return {
    append(record) {
      if (failure) return;
      waiting.push(`${JSON.stringify(record)}\n`);
      writing ??= drain();
    },
    async close() {
      await writing;
      await file.close();
      if (failure) throw failure;
    },
  };
}

/** The records of a file, in order of arrival. A torn last line is what a kill leaves and is skipped; another is an error. */
export async function readRecordFile(path: string): Promise<RequestRecord[]> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  const torn = lines.pop();
  const records = lines.map((line) => JSON.parse(line) as RequestRecord);
  if (torn) records.push(...parseTorn(torn));
  return records.sort((a, b) => a.arrivedAt - b.arrivedAt || a.n - b.n);
}

function parseTorn(line: string): RequestRecord[] {
  try {
    return [JSON.parse(line) as RequestRecord];
  } catch {
    return [];
  }
}
