import { describe, expect, it } from 'vitest';
import { smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { programName, spelled, withHome } from './program.ts';

describe('how the program was started', () => {
  it.each([
    [{}, '/usr/local/bin/gogrid', 'gogrid'],
    [{}, '/opt/gogrid/gogrid.js', 'gogrid'],
    [{ npm_lifecycle_event: 'npx' }, '/x/node_modules/.bin/gogrid', 'npx gogrid'],
    [{ npm_lifecycle_event: 'start' }, '/x/dist/gogrid.js', 'npx gogrid'],
    [{}, '/x/dist/gogrid.js', 'npx gogrid'],
    [{}, '/x/src/main.ts', 'npx gogrid'],
    [{}, 'C:\\x\\dist\\gogrid.js', 'npx gogrid'],
    [{}, undefined, 'gogrid'],
  ])('%j %s is %s', (env, script, name) => {
    expect(programName({ env, script })).toBe(name);
  });
});

describe('hints of a node', () => {
  it.each([
    ['`gogrid doctor` says why', '`gogrid doctor --home /h` says why'],
    [
      'gogrid config set api.port PORT; gogrid logs',
      'gogrid config --home /h set api.port PORT; gogrid logs --home /h',
    ],
    ['start one with: gogrid up --home /h', 'start one with: gogrid up --home /h'],
    ['gogrid network create makes one; gogrid help credits', 'gogrid network create makes one; gogrid help credits'],
    ['a gogrid upgrade; ~/.cache/gogrid up', 'a gogrid upgrade; ~/.cache/gogrid up'],
  ])('%j name the home that is meant', (text, shown) => {
    expect(withHome(text, ' --home /h')).toBe(shown);
    expect(withHome(text, '')).toBe(text);
  });
});

describe('hints', () => {
  it.each([
    ['start one with: gogrid up --home /h', 'start one with: npx gogrid up --home /h'],
    ['`gogrid models` lists them', '`npx gogrid models` lists them'],
    ['see `gogrid --help`', 'see `npx gogrid --help`'],
    ['gogrid help <command>', 'npx gogrid help <command>'],
    ['npx gogrid up', 'npx gogrid up'],
    [
      'GoGrid runs; /opt/gogrid up; ~/.cache/gogrid can be written',
      'GoGrid runs; /opt/gogrid up; ~/.cache/gogrid can be written',
    ],
    ['chat.gogrid up', 'chat.gogrid up'],
  ])('%j', (text, shown) => {
    expect(spelled(text, 'npx gogrid')).toBe(shown);
    expect(spelled(text, 'gogrid')).toBe(text);
  });

  it('name the flag, not the header', () => {
    const hint = 'pull the model here, or send it with x-gogrid-privacy: friends or mesh';
    expect(spelled(hint, 'gogrid')).toBe('pull the model here, or use --privacy friends or mesh');
  });

  it('spell the commands as this user has to write them', async () => {
    const small = smallWorld(['status'], { program: 'npx gogrid' });
    expect(await runCli(small.world)).toBe(3);
    expect(small.stderr()).toContain('start one with: npx gogrid up');
    const help = smallWorld(['--help'], { program: 'npx gogrid' });
    await runCli(help.world);
    expect(help.stdout()).toContain('Start with: npx gogrid up');
  });
});
