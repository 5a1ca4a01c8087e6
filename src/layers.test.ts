import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { adapters, allowedImports, findBreaches, readImports } from '../scripts/layers.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Checks made-up files; version control lists exactly them unless told otherwise. */
function breachesOf(files: Record<string, string>, listed = Object.keys(files)): string[] {
  return findBreaches({ texts: new Map(Object.entries(files)), listed });
}

const errors = { 'src/errors.ts': 'export class GoGridError extends Error {}' };
const states = { 'src/jobs/states.ts': 'export type JobState = string;' };

describe('the sources of this repository', () => {
  it('keep every rule', () => {
    const listed = execFileSync(
      'git',
      ['ls-files', '--cached', '--others', '--exclude-standard', ':(glob)src/**/*.ts'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    )
      .split('\n')
      .filter((file) => file !== '' && existsSync(path.join(root, file)));
    const onDisk = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .map((file) => `src/${file.replaceAll('\\', '/')}`)
      .filter((file) => file.endsWith('.ts'));
    const texts = new Map(onDisk.map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));

    expect(findBreaches({ texts, listed })).toEqual([]);
    expect(texts.size).toBeGreaterThanOrEqual(listed.length);
  });
});

describe('directions', () => {
  it('lets imports run downward', () => {
    const files = {
      ...errors,
      ...states,
      'src/api/jobs.ts':
        "import type { JobState } from '../jobs/states.ts';\nimport { GoGridError } from '../errors.ts';",
    };
    expect(breachesOf(files)).toEqual([]);
  });

  it.each([
    ['import', "import { f } from '../jobs/states.ts';"],
    ['import type', "import type { JobState } from '../jobs/states.ts';"],
    ['import over several lines', "import {\n  type JobState,\n  f,\n} from '../jobs/states.ts';"],
    ['import for its effect', "import '../jobs/states.ts';"],
    ['export from', "export { f } from '../jobs/states.ts';"],
    ['export type from', "export type { JobState } from '../jobs/states.ts';"],
    ['export * from', "export * from '../jobs/states.ts';"],
    ['dynamic import', "export const f = () => import('../jobs/states.ts');"],
    ['type of an import', "export type S = import('../jobs/states.ts').JobState;"],
    ['import after a comment', "/* it's */ // don't\nimport { f } from '../jobs/states.ts';"],
  ])('refuses an upward %s', (_form, text) => {
    expect(breachesOf({ ...states, 'src/protocol/ids.ts': text })).toEqual([
      'src/protocol/ids.ts imports src/jobs/states.ts: "protocol" may not import "jobs".',
    ]);
  });

  it('refuses any adapter that imports another', () => {
    for (const from of adapters) {
      for (const to of adapters.filter((other) => other !== from)) {
        const files = { [`src/${to}/b.ts`]: '', [`src/${from}/a.ts`]: `import type { B } from '../${to}/b.ts';` };
        expect(breachesOf(files)).toEqual([
          `src/${from}/a.ts imports src/${to}/b.ts: "${from}" may not import "${to}".`,
        ]);
      }
    }
  });

  it.each([
    ['src/main.ts', './jobs/states.ts'],
    ['src/cli/up.ts', '../jobs/states.ts'],
    ['src/contract/control.ts', '../jobs/states.ts'],
    ['src/ledger/fold.ts', '../jobs/states.ts'],
    ['src/config/schema.ts', '../jobs/states.ts'],
  ])('refuses %s above the parts it must not know', (file, specifier) => {
    expect(breachesOf({ ...states, [file]: `import { f } from '${specifier}';` })).toHaveLength(1);
  });

  it('refuses a folder without a place in the table', () => {
    expect(breachesOf({ ...errors, 'src/helpers/a.ts': "import { GoGridError } from '../errors.ts';" })).toHaveLength(
      1,
    );
  });

  it('refuses an import of a file that is not there, also one without its ending', () => {
    expect(breachesOf({ ...errors, 'src/jobs/a.ts': "import { GoGridError } from '../errors';" })).toHaveLength(1);
  });

  it('refuses an import that leaves src', () => {
    expect(breachesOf({ 'src/jobs/a.ts': "import { x } from '../../scripts/x.ts';" })).toHaveLength(1);
  });

  it('names only known parts in its table', () => {
    const parts = Object.keys(allowedImports);
    expect(
      Object.values(allowedImports)
        .flat()
        .filter((part) => !parts.includes(part)),
    ).toEqual([]);
  });

  it('has no circle in its table', () => {
    const height = (part: string, above: readonly string[]): number => {
      expect(above).not.toContain(part);
      return 1 + Math.max(0, ...(allowedImports[part] ?? []).map((below) => height(below, [...above, part])));
    };
    expect(height('launcher', [])).toBeGreaterThan(3);
  });
});

describe('circles', () => {
  it('refuses two files that import each other, by type only', () => {
    const files = {
      'src/jobs/a.ts': "import type { B } from './b.ts';",
      'src/jobs/b.ts': "import type { A } from './a.ts';",
    };
    expect(breachesOf(files)).toEqual(['Imports go in a circle: src/jobs/a.ts → src/jobs/b.ts → src/jobs/a.ts']);
  });

  it('refuses a longer circle behind a way in', () => {
    const files = {
      'src/jobs/way-in.ts': "import './a.ts';",
      'src/jobs/a.ts': "import './b.ts';",
      'src/jobs/b.ts': "import './c.ts';",
      'src/jobs/c.ts': "import './a.ts';",
    };
    expect(breachesOf(files)).toHaveLength(1);
  });

  it('accepts two ways to the same file', () => {
    const files = {
      'src/jobs/a.ts': "import './b.ts';\nimport './c.ts';",
      'src/jobs/b.ts': "import './c.ts';",
      'src/jobs/c.ts': '',
    };
    expect(breachesOf(files)).toEqual([]);
  });
});

describe('tests and testing', () => {
  const clock = { 'src/testing/virtual-clock.ts': 'export const virtualClock = 1;' };

  it('refuses a production file that imports testing', () => {
    const text = "import { virtualClock } from '../testing/virtual-clock.ts';";
    expect(breachesOf({ ...clock, 'src/jobs/queue.ts': text })).toEqual([
      'src/jobs/queue.ts imports src/testing/virtual-clock.ts: only tests may import testing.',
    ]);
  });

  it('lets a test import testing and any other part', () => {
    const text = "import { virtualClock } from '../testing/virtual-clock.ts';\nimport '../api/jobs.ts';";
    expect(breachesOf({ ...clock, 'src/api/jobs.ts': '', 'src/jobs/queue.test.ts': text })).toEqual([]);
  });

  it('refuses an import of a test', () => {
    expect(breachesOf({ 'src/jobs/a.test.ts': '', 'src/jobs/b.ts': "import './a.test.ts';" })).toHaveLength(1);
  });
});

describe('reading', () => {
  it('fails on an empty list of files', () => {
    expect(breachesOf({})).toHaveLength(1);
  });

  it('fails when it read fewer files than version control lists', () => {
    expect(breachesOf(errors, ['src/errors.ts', 'src/limits.ts'])).toEqual([
      'src/limits.ts is listed by version control and was not read.',
    ]);
  });

  it('leaves imports in comments alone', () => {
    const text = "// import { a } from './a.ts';\n/*\nimport './b.ts';\n*/\nconst url = 'http://x';\nimport './d.ts';";
    expect(readImports(text)).toEqual({ specifiers: ['./d.ts'], unreadable: [] });
  });

  it('refuses a dynamic import that it cannot follow', () => {
    expect(breachesOf({ 'src/jobs/a.ts': 'const part = await import(name);' })).toHaveLength(1);
    expect(breachesOf({ 'src/jobs/a.ts': 'const part = await import(folder + "/a.ts");' })).toHaveLength(1);
  });
});

describe('domain code', () => {
  it.each([
    'fs',
    'fs/promises',
    'net',
    'http',
    'child_process',
    'timers',
    'timers/promises',
    'process',
    'os',
    'crypto',
  ])('refuses node:%s', (name) => {
    expect(breachesOf({ 'src/jobs/a.ts': `import x from 'node:${name}';` })).toHaveLength(1);
  });

  it('accepts node:crypto in protocol, and what does no I/O anywhere', () => {
    const files = {
      'src/protocol/signature.ts': "import { sign } from 'node:crypto';",
      'src/jobs/a.ts': "import { isDeepStrictEqual } from 'node:util';\nimport * as z from 'zod';",
    };
    expect(breachesOf(files)).toEqual([]);
  });

  it('refuses a package that does I/O, which an adapter may use', () => {
    expect(breachesOf({ 'src/jobs/a.ts': "import { Level } from 'level';" })).toHaveLength(1);
    expect(breachesOf({ 'src/storage/a.ts': "import { Level } from 'level';\nimport fs from 'node:fs';" })).toEqual([]);
  });

  it.each(['Date.now()', 'new Date()', 'Math.random()', 'process.env.HOME', 'setTimeout(f, 1)', 'systemClock.now()'])(
    'refuses %s',
    (use) => {
      expect(breachesOf({ 'src/ledger/a.ts': `export const x = ${use};` })).toHaveLength(1);
      expect(breachesOf({ 'src/network/a.ts': `export const x = ${use};` })).toEqual([]);
      expect(breachesOf({ 'src/ledger/a.ts': `// never ${use}\nexport const x = new Date(0);` })).toEqual([]);
    },
  );
});
