// What the tests of the house read: every source file of a folder, and what each imports.

import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { ROOT } from '../../scripts/prepare.js';

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  path: string;
  text: string;
}

export async function readSources(...folders: string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const folder of folders) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const full = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !/\.(ts|js|mjs)$/.test(entry.name) || full.includes(`${sep}node_modules${sep}`)) continue;
      files.push({ path: relative(ROOT, full).split(sep).join('/'), text: await readFile(full, 'utf8') });
    }
  }
  return files.sort((a, b) => a.path.localeCompare(b.path));
}

/** The code without comments. Good enough for our own style: a text with two slashes that is no address would be cut. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`\\])\/\/.*$/gm, '$1');
}

/** The code without comments and without what stands in quotes. */
export function codeOnly(text: string): string {
  return withoutComments(text)
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

/** Every module a file names: imports and re-exports, of types too, and `import(…)` as an expression or a type. */
export function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const forms = [
    /(?:^|[;\n])\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /(?:^|[;\n])\s*import\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(\s*['"`]([^'"`$]+)['"`]/g,
    /\brequire\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return forms.flatMap((form) => [...code.matchAll(form)].map(([, name]) => name as string));
}
