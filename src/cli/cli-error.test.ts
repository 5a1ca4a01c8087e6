import { expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { smallWorld } from '../testing/small-world.ts';
import { reportError } from './cli-error.ts';

it('lets no error steer the terminal: neither its message, nor its hint, nor the stack of its cause', () => {
  const cause = new Error('not this: \u001b[2J\u009b2J');
  const error = new GoGridError({ code: 'internal', message: 'a\u001b[2Jb', hint: 'c\u009bd', cause });
  for (const json of [false, true]) {
    const small = smallWorld([], { columns: 80, env: { NO_COLOR: '1' } });
    expect(reportError(small.world, error, json)).toBe(1);
    expect(small.stderr()).not.toMatch(/(?!\n)\p{Cc}/u);
    if (!json) expect(small.stderr()).toContain('Error: not this: [2J2J\n    at ');
  }
});
