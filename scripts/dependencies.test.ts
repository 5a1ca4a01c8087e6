import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');

it('gives every dependency a reason in docs/dependencies.md', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
  const sections = ['dependencies', 'devDependencies', 'optionalDependencies'];
  const names = sections.flatMap((section) => Object.keys(manifest[section] ?? {}));
  const rows = read('docs/dependencies.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1] ?? '');

  expect(names.length).toBeGreaterThan(0);
  expect(names.filter((name) => !rows.some((row) => row.includes(`\`${name}\``)))).toEqual([]);
});

it('names no registry in the lockfile', () => {
  const lockfile = read('package-lock.json');
  expect(lockfile.length).toBeGreaterThan(10_000);
  expect(lockfile).not.toMatch(/"resolved"|registry\./);
});
