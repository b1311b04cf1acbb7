// Brings what a fresh clone lacks, with nothing but Node: the packages, and dist/. Says in one line what it is doing; when
// nothing is missing it says nothing and takes milliseconds.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const MIN_NODE = [20, 19];

export function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
    fail(`expected Node ${MIN_NODE.join('.')} or newer, got ${process.versions.node}`);
  }
  installPackages();
  build();
}

function installPackages() {
  if (isInstalled()) return;
  console.error('installing packages (once, about 10 s): npm ci');
  // The version of npm that runs us, when there is one; Windows and odd setups have it only there.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  run([...npm, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci failed; its words are above');
}

/** By npm's own record, which it writes last: whoever ran it. What is for other machines may lack. */
function isInstalled() {
  const record = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const there = readPackages(record);
  return Object.entries(readPackages(join(ROOT, 'package-lock.json'))).every(
    ([path, { integrity, optional }]) =>
      path === '' || (there[path] ? there[path].integrity === integrity : optional === true),
  );
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

export function build() {
  const sources = listFiles(join(ROOT, 'src'));
  const wanted = hashOf([
    ...sources,
    join(ROOT, 'tsconfig.json'),
    join(ROOT, 'tsconfig.build.json'),
    join(ROOT, 'package-lock.json'),
  ]);
  const mark = join(ROOT, 'dist', '.built-from');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return;
  console.error('building dist/: tsc');
  run([process.execPath, join(ROOT, 'scripts', 'build.js')], 'the build failed; its words are above');
  mkdirSync(dirname(mark), { recursive: true });
  writeFileSync(mark, wanted);
}

function run([command, ...args], complaint) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) fail(complaint);
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

function listFiles(folder) {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? listFiles(path) : [path];
    });
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}
