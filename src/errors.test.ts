import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERRORS, GoGridError, isErrorCode, systemCode, toGoGridError } from './errors.ts';

describe('docs/errors.md', () => {
  const text = readFileSync(fileURLToPath(new URL('../docs/errors.md', import.meta.url)), 'utf8');
  /** `| `code` | status | again | meaning | what to do |` */
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (\d+) \| (yes|no) \| (.+) \| (.+) \|$/gm)];

  it('lists exactly the codes there are', () => {
    expect(rows.map(([, code]) => code).toSorted()).toEqual(Object.keys(ERRORS).toSorted());
  });

  it('says of each what the program does', () => {
    const told = rows.map(([, code, status, again]) => [code, { status: Number(status), retry: again === 'yes' }]);
    const kinds = Object.entries(ERRORS).map(([code, { status, retry }]) => [code, { status, retry }]);
    expect(Object.fromEntries(told)).toEqual(Object.fromEntries(kinds));
  });
});

describe('errors', () => {
  it('keep what they were made of', () => {
    const error = new GoGridError({
      code: 'overloaded',
      message: 'busy',
      hint: 'wait',
      retryAfterSecs: 3,
      data: { field: 'n' },
    });
    expect(error).toMatchObject({
      status: 503,
      exit: 1,
      retry: true,
      retryAfterSecs: 3,
      hint: 'wait',
      data: { field: 'n' },
    });
    expect(toGoGridError(error)).toBe(error);
  });

  it('wrap what is none', () => {
    const cause = new TypeError('x');
    expect(toGoGridError(cause)).toMatchObject({ code: 'internal', status: 500, cause });
    expect(toGoGridError('text')).toMatchObject({ code: 'internal', message: 'unexpected error: text' });
  });

  it('know their codes, and no property of an object by mistake', () => {
    expect(isErrorCode('overloaded')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
  });

  it('find the code of the system in a chain of causes', () => {
    const system = Object.assign(new Error('x'), { code: 'EADDRINUSE' });
    expect(systemCode(new Error('outer', { cause: system }))).toBe('EADDRINUSE');
    expect(systemCode(new Error('none'))).toBeUndefined();
  });
});
