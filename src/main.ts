#!/usr/bin/env node
// The composition root: hands the command line what was typed, and ends as it says.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCommandLine } from './doors/cli/command-line.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const code = await runCommandLine(process.argv.slice(2), { entry: fileURLToPath(import.meta.url), version });
// Whatever is still open: what was refused has nothing to wait for.
if (code !== 0) process.exit(code);
