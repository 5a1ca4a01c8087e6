import { expect, it } from 'vitest';
import type { News } from '../contract/news.ts';
import type { PullState } from '../contract/pulls.ts';
import { pullState } from '../testing/small-api.ts';
import { smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { newsLines } from './up-news.ts';
import type { RunningNode } from './world.ts';

const facts = { api: 'http://127.0.0.1:4301', keyCommand: undefined, flags: ' --home /h' };
const CELLAR = '12D3KooWCellarcELLar1';
const lines = (news: News) => newsLines(news, facts, (_, text) => text).join('\n');

it('is one short line for each event', () => {
  expect(lines({ type: 'engine-ready', kind: 'ollama', version: '0.24.0' })).toBe('Ollama 0.24.0 answers.');
  expect(lines({ type: 'models', names: ['tiny:1b'] })).toMatch(
    /^tiny:1b is ready\. Try it:\n {2}curl http:\/\/127\.0\.0\.1:4301\/v1\/chat\/completions -d '\{"model":"tiny:1b"/,
  );
  expect(lines({ type: 'models', names: ['a', 'b', 'c', 'd', 'e'] })).toContain('a, b, c and 2 more are ready');
  expect(lines({ type: 'models', names: ['tiny:1b'] })).toMatch(/\n {2}gogrid chat --home \/h$/);
  expect(lines({ type: 'peer-joined', name: 'kitchen', models: ['m'], first: true })).toBe(
    'kitchen joined, with m. See them all: gogrid peers --home /h',
  );
  expect(lines({ type: 'peer-joined', name: 'attic', models: [], first: false })).toBe('attic joined.');
  expect(lines({ type: 'peer-left', name: 'attic', last: true })).toBe(
    'attic is gone. No other node is connected now.',
  );
  const waiting = lines({ type: 'peer-waiting', id: CELLAR, name: 'cellar', words: 'one two three four' });
  expect(waiting).toMatch(/four words: one two three four\n {2}gogrid peers accept cellar --home \/h$/);
});

it.each([
  ['k;touch /tmp/pwn', 'gogrid peers accept rcELLar1 --home /h'],
  ['$(reboot)', 'gogrid peers accept rcELLar1 --home /h'],
  ['--yes', 'gogrid peers accept rcELLar1 --home /h'],
  ['', 'gogrid peers accept rcELLar1 --home /h'],
  // The id of another.
  ['12D3KooWAtticsaTTics1', 'gogrid peers accept rcELLar1 --home /h'],
  // One word: it is looked for as a name, and the words are compared.
  ['kitchen --yes', "gogrid peers accept 'kitchen --yes' --home /h"],
])('makes no command of a stranger’s name: %s', (name, command) => {
  const text = lines({ type: 'peer-waiting', id: CELLAR, name, words: 'one two three four' });
  expect(text.split('\n').at(-1)).toBe(`  ${command}`);
});

it('makes no command of what a model is called', async () => {
  const failed = pullState({ model: 'm;reboot', state: 'failed', endedAt: 2, error: 'no' });
  let pulls: readonly PullState[] = [];
  const node = nodeWith({ pulls: () => pulls });
  const small = smallWorld(['up'], { runningNode: node, columns: 80, env: { NO_COLOR: '1' } });
  const code = runCli(small.world);
  await expect.poll(() => small.stdout()).toContain('is ready');
  pulls = [failed];
  await expect.poll(() => small.stdout()).toContain("Again: gogrid models pull 'm;reboot'\n");
  small.signal();
  expect(await code).toBe(0);
});

it('lets no name of another machine steer the terminal', () => {
  const text = lines({ type: 'peer-joined', name: 'a\u001b[2J\nb', models: ['\u001bc'], first: false });
  expect(text).toBe('a�[2J�b joined, with �c.');
});

function nodeWith(more: Partial<RunningNode>): RunningNode {
  return {
    start: async () => {},
    stop: async () => {},
    onStopAsked: () => () => {},
    ready: () => ({ api: facts.api, peerId: '12D3KooWSelf', addresses: [], pid: 7 }),
    mesh: () => ({ name: 'local', descriptor: undefined, mdns: true }),
    notices: () => [],
    models: () => [],
    engine: () => ({ kind: 'auto', state: 'ready' }),
    pulls: () => [],
    onNews: () => () => {},
    ...more,
  };
}

it('shows a download while it runs, and what came of it', async () => {
  let tell: ((news: News) => void) | undefined;
  let pulls: readonly PullState[] = [pullState({ model: 'smollm2:135m' })];
  const node = nodeWith({
    pulls: () => pulls,
    onNews(listener) {
      tell = listener;
      return () => {
        tell = undefined;
      };
    },
  });
  const small = smallWorld(['up'], { runningNode: node, columns: 80, env: { NO_COLOR: '1' } });
  const code = runCli(small.world);
  await expect.poll(() => small.stdout()).toContain('smollm2:135m is on its way');
  await expect.poll(() => small.stderr()).toMatch(/smollm2:135m {2}█+░+ +25%/);
  pulls = [pullState({ model: 'smollm2:135m', state: 'failed', endedAt: 2, error: 'no place gave it' })];
  await expect.poll(() => small.stdout()).toContain('smollm2:135m could not be fetched: no place gave it');
  tell?.({ type: 'models', names: ['smollm2:135m'] });
  expect(small.stdout()).toContain('smollm2:135m is ready. Try it:');
  small.signal();
  expect(await code).toBe(0);
  expect(tell).toBeUndefined();
  expect(small.stdout().match(/could not be fetched/g)).toHaveLength(1);
});

it('takes the bar away before a line of the log, and says what failed once', async () => {
  let beforeLog: (() => void) | undefined;
  let pulls: readonly PullState[] = [pullState({ model: 'smollm2:135m' })];
  const small = smallWorld(['up'], {
    runningNode: nodeWith({ pulls: () => pulls }),
    columns: 80,
    env: { NO_COLOR: '1' },
    session: {
      onLogPrinted(listener) {
        beforeLog = listener;
        return () => {
          beforeLog = undefined;
        };
      },
    },
  });
  const code = runCli(small.world);
  await expect.poll(() => small.stderr()).toMatch(/25%/);
  const cleared = () => small.stderr().endsWith('\r\u001b[K');
  expect(cleared()).toBe(false);
  beforeLog?.();
  expect(cleared()).toBe(true);
  const error = 'smollm2:135m could not be fetched. Hugging Face: it does not answer (ETIMEDOUT)';
  pulls = [pullState({ model: 'smollm2:135m', state: 'failed', endedAt: 2, error })];
  await expect.poll(() => small.stdout()).toContain(`${error}\n`);
  expect(small.stdout().match(/could not be fetched/g)).toHaveLength(1);
  small.signal();
  expect(await code).toBe(0);
  expect(beforeLog).toBeUndefined();
});

it('is for people at a terminal only', async () => {
  let listens = false;
  const node = nodeWith({
    onNews: () => {
      listens = true;
      return () => {};
    },
  });
  const small = smallWorld(['up'], { runningNode: node });
  const code = runCli(small.world);
  await expect.poll(() => small.stdout()).toContain('is ready');
  small.signal();
  expect(await code).toBe(0);
  expect(listens).toBe(false);
});
