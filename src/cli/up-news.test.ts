import { expect, it } from 'vitest';
import type { PullState } from '../contract/pulls.ts';
import { pullState } from '../testing/small-api.ts';
import { smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { newsLines } from './up-news.ts';
import type { NodeNews, RunningNode } from './world.ts';

const facts = { api: 'http://127.0.0.1:4301', keyCommand: undefined, flags: ' --home /h' };
const lines = (news: NodeNews) => newsLines(news, facts, (_, text) => text).join('\n');

it('is one short line for each event', () => {
  expect(lines({ type: 'engine-ready', kind: 'ollama', version: '0.24.0' })).toBe('Ollama 0.24.0 answers.');
  expect(lines({ type: 'models', names: ['tiny:1b'] })).toMatch(
    /^tiny:1b is ready\. Try it:\n {2}curl http:\/\/127\.0\.0\.1:4301\/v1\/chat\/completions -d '\{"model":"tiny:1b"/,
  );
  expect(lines({ type: 'models', names: ['a', 'b', 'c', 'd', 'e'] })).toContain('a, b, c and 2 more are ready');
  expect(lines({ type: 'peer-joined', name: 'kitchen', models: ['m'], first: true })).toBe(
    'kitchen joined, with m. See them all: gogrid peers --home /h',
  );
  expect(lines({ type: 'peer-joined', name: 'attic', models: [], first: false })).toBe('attic joined.');
  expect(lines({ type: 'peer-left', name: 'attic', last: true })).toBe(
    'attic is gone. No other node is connected now.',
  );
  const waiting = lines({ type: 'peer-waiting', name: 'cellar', words: 'one two three four' });
  expect(waiting).toMatch(/four words: one two three four\n {2}gogrid peers accept cellar --home \/h$/);
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
    notices: () => [],
    models: () => [],
    engine: () => ({ kind: 'auto', state: 'ready' }),
    pulls: () => [],
    onNews: () => () => {},
    ...more,
  };
}

it('shows a download while it runs, and what came of it', async () => {
  let tell: ((news: NodeNews) => void) | undefined;
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
