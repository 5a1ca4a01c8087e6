import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const ROW = /^\| ([A-Z]\d+) \| .* \| `([^`]+)`: (.*?)(?:; `.*)? \|$/;

describe('docs/promises.md', () => {
  const rows = readFileSync('docs/promises.md', 'utf8')
    .split('\n')
    .filter((line) => /^\| [A-Z]\d+ /.test(line));

  test('has promises', () => expect(rows.length).toBeGreaterThan(30));

  test.each(rows)('%s', (row) => {
    const [, id = '', file = '', title = ''] = ROW.exec(row) ?? [];
    expect(id, 'a row names its id, the file of a test, and the title of that test').not.toBe('');
    expect(existsSync(file), `${file} exists`).toBe(true);
    const text = readFileSync(file, 'utf8').replaceAll('’', "'").replaceAll("\\'", "'");
    expect(text, `${file} has that test`).toContain(title.replaceAll('’', "'"));
    expect(title, 'the title names the promise').toContain(id);
  });
});
