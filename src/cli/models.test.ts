/** `gogrid models pull` and `rm` against the real API: what a person sees, what a program reads, and the exit codes. */

import { afterEach, describe, expect, it } from 'vitest';
import type { Pulls } from '../api/ports.ts';
import type { PullState } from '../contract/pulls.ts';
import { GoGridError } from '../errors.ts';
import { catalogueOf, noPulls, pullState, type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { ProgressBar, pullLine } from './progress-bar.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

async function start(args: string, pulls: Partial<Pulls>, more: SmallWorldOptions = {}) {
  running = await smallApi({}, { catalogue: catalogueOf([]), pulls: { ...noPulls, ...pulls } });
  const small = smallWorld(args.split(' '), { node: { api: running.url, key: testKey }, ...more });
  return { ...small, code: runCli(small.world) };
}

const telling = (states: readonly Partial<PullState>[], thenThrow?: Error): Pulls['pull'] =>
  async function* pull(model) {
    for (const state of states) {
      yield pullState({ model, ...state });
      // As in life, each comes in a write of its own.
      await new Promise(setImmediate);
    }
    if (thenThrow !== undefined) throw thenThrow;
  };
const DONE = { state: 'done', status: 'done', bytes: 1000 } as const;
const OFFLINE = new GoGridError({
  code: 'download_failed',
  message: 'tiny could not be fetched. Hugging Face: its name is not known here; is this machine offline? (ENOTFOUND)',
  hint: 'when the network is there, pull it again',
});

describe('models pull', () => {
  it('in a pipe says now and then how far it is, and what to try', async () => {
    const states = [0, 40, 95, 250, 255, 500, 1000].map((bytes) => ({ bytes }));
    const small = await start('models pull tiny', { pull: telling([...states, DONE]) });
    expect(await small.code).toBe(0);
    expect(small.stderr()).toBe(
      [
        'tiny: downloading from Hugging Face, 0%, 0 B of 1.0 kB, 50 B/s, 15s left',
        'tiny: downloading from Hugging Face, 25%, 250 B of 1.0 kB, 50 B/s, 15s left',
        'tiny: downloading from Hugging Face, 50%, 500 B of 1.0 kB, 50 B/s, 15s left',
        'tiny: downloading from Hugging Face, 100%, 1.0 kB of 1.0 kB, 50 B/s, 15s left',
        '',
      ].join('\n'),
    );
    expect(small.stdout()).toBe(
      'tiny is here (Hugging Face). Try it: gogrid run tiny "Why is the sky blue?"\nOr talk to it: gogrid chat tiny\n',
    );
  });

  it('on a terminal draws one line again and again, and takes it away', async () => {
    const small = await start(
      'models pull tiny',
      { pull: telling([{ bytes: 0 }, { bytes: 500 }, DONE]) },
      { columns: 80 },
    );
    expect(await small.code).toBe(0);
    const drawn = small.stderr().split('\r\u001b[K');
    expect(drawn).toHaveLength(4);
    expect(small.stderr()).not.toContain('\n');
    expect(drawn.at(-1)).toBe('');
  });

  it('passes the lines on to programs', async () => {
    const small = await start('models pull tiny --json', { pull: telling([{}, DONE]) });
    expect(await small.code).toBe(0);
    const lines = small.stdout().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      pullState(),
      { status: 'success', model: 'tiny', source: 'Hugging Face' },
    ]);
    expect(small.stderr()).toBe('');
  });

  it.each([[[]], [[{}]]])('without a network says so clearly, exit 1 (after %j)', async (states) => {
    const small = await start('models pull tiny', { pull: telling(states, OFFLINE) });
    expect(await small.code).toBe(1);
    expect(small.stderr()).toContain(`error: ${OFFLINE.message}\nhint:  ${OFFLINE.hint}\n`);
    expect(small.stdout()).toBe('');
  });

  it.each([
    [{}, 'what is there already is kept: the same command goes on with it'],
    [{ source: 'pip' }, 'pip cannot go on in the middle of a file'],
  ])('is cancelled by Ctrl-C, exit 1 (%j)', async (state, hint) => {
    let left = false;
    const pull: Pulls['pull'] = async function* pull(model, signal) {
      yield pullState({ model, ...state });
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      left = true;
    };
    const small = await start('models pull tiny', { pull });
    await expect.poll(() => small.stderr()).toContain('25%');
    small.signal();
    expect(await small.code).toBe(1);
    expect(small.stderr()).toContain('error: the pull of tiny was cancelled');
    expect(small.stderr()).toContain(hint);
    await expect.poll(() => left).toBe(true);
  });

  it('that the node does not finish has failed', async () => {
    const small = await start('models pull tiny', {
      pull: telling([{}], new GoGridError({ code: 'disk_full', message: 'full' })),
    });
    expect(await small.code).toBe(1);
    expect(small.stderr()).toContain('error: full');
  });

  it.each(['models pull', 'models pull a b', 'models rm', 'models fetch a'])('%s is wrong usage', async (args) => {
    const small = await start(args, {});
    expect(await small.code).toBe(2);
  });

  it('needs a node', async () => {
    const small = smallWorld(['models', 'pull', 'tiny']);
    expect(await runCli(small.world)).toBe(3);
    expect(small.stderr()).toContain('gogrid up');
  });
});

describe('models rm', () => {
  const removing = (removed: string[]): Partial<Pulls> => ({ remove: async (name) => void removed.push(name) });

  it.each([
    ['y', true],
    ['Yes', true],
    ['', false],
    ['n', false],
  ])('asks on a terminal first: %j', async (answer, removes) => {
    const removed: string[] = [];
    const small = await start('models rm a/b:c', removing(removed), { columns: 80 });
    small.type(answer);
    expect(await small.code).toBe(removes ? 0 : 1);
    expect(removed).toEqual(removes ? ['a/b:c'] : []);
    expect(small.stdout()).toBe(removes ? 'a/b:c is no longer on this machine.\n' : 'Nothing was removed.\n');
  });

  it.each(['models rm a --yes', 'models rm a -y', 'models rm a --json'])('%s asks nothing', async (args) => {
    const removed: string[] = [];
    const small = await start(args, removing(removed), { columns: 80 });
    expect(await small.code).toBe(0);
    expect(removed).toEqual(['a']);
  });

  it('of what is not here says so, exit 1', async () => {
    const remove: Pulls['remove'] = async () => {
      throw new GoGridError({ code: 'model_not_found', message: "model 'a' not found", hint: 'look' });
    };
    const small = await start('models rm a --yes', { remove });
    expect(await small.code).toBe(1);
    expect(small.stderr()).toContain("error: model 'a' not found");
  });
});

it('models tells what is on its way', async () => {
  const states = () => [pullState({ bytes: 40e6, totalBytes: 98e6 }), pullState({ model: 'old', endedAt: 1 })];
  const small = await start('models', { states });
  expect(await small.code).toBe(0);
  expect(small.stdout()).toBe('tiny is on its way from Hugging Face: 40.0 MB of 98.0 MB are here.\n');
});

describe('the bar', () => {
  const plain = (_style: string, text: string) => text;

  it('shows name, bar, percent, amounts, rate and time left', () => {
    const state = pullState({ bytes: 47.2e6, totalBytes: 98.4e6, bytesPerSecond: 12.1e6, secondsLeft: 4.2 });
    expect(pullLine(state, 80, plain)).toBe(
      'tiny  █████████████░░░░░░░░░░░░░░░  47%  47.2 MB of 98.4 MB  12.1 MB/s  5s left',
    );
    expect(pullLine({ ...state, state: 'unpacking', status: 'unpacking' }, 80, plain)).toContain('  unpacking  47%  ');
  });

  it('says in words what has no bytes to count', () => {
    const state = pullState({ state: 'starting', status: 'pulling manifest', bytes: 0, totalBytes: 0 });
    expect(pullLine(state, 80, plain)).toBe('tiny  pulling manifest');
  });

  it('fits every terminal, and obeys no name', () => {
    const state = pullState({ model: 'a-long-name/with-many-parts:and-a-tag\u001b[2J', bytes: 7, totalBytes: 9 });
    for (let columns = 10; columns < 200; columns++) {
      const line = pullLine(state, columns, plain);
      expect([...line].length).toBeLessThan(columns);
      expect(line).not.toContain('\u001b');
    }
  });

  it('in a pipe goes on speaking when nothing moves for long', () => {
    let now = 0;
    const written: string[] = [];
    const stderr = { isTty: false, columns: undefined, write: (text: string) => void written.push(text) };
    const bar = new ProgressBar({ env: {}, stderr, now: () => now });
    for (; now <= 60_000; now += 100) bar.show(pullState());
    expect(written.length).toBeGreaterThan(3);
    expect(written.length).toBeLessThan(8);
  });
});
