/** A chat with the real API: what is typed, what is said, and what is sent to the model. */

import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiDeps } from '../api/server.ts';
import { GoGridError } from '../errors.ts';
import type { JobOutput, JobSpec, RunJob } from '../jobs/output.ts';
import {
  catalogueOf,
  done,
  placed,
  type SmallApi,
  says,
  smallApi,
  testKey,
  testModel,
  yields,
} from '../testing/small-api.ts';
import { type SmallWorld, type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

interface Chat extends SmallWorld {
  readonly code: Promise<number>;
  /** What was sent to the model, question by question. */
  readonly asked: JobSpec[];
}

/** On a terminal of 80 columns, unless `stdin` gives the lines of a pipe. */
async function chat(
  args: readonly string[] = [],
  deps: Partial<ApiDeps> = {},
  world: SmallWorldOptions = { columns: 80 },
): Promise<Chat> {
  const asked: JobSpec[] = [];
  const runJob = deps.runJob ?? says('An', ' answer');
  running = await smallApi(
    {},
    {
      ...deps,
      runJob(spec, signal) {
        asked.push(spec);
        return runJob(spec, signal);
      },
    },
  );
  const small = smallWorld(['chat', ...args], { node: { api: running.url, key: testKey }, ...world });
  return { ...small, asked, code: runCli(small.world) };
}

const contents = ({ input }: JobSpec) =>
  input.kind === 'chat' ? input.messages.map(({ role, content }) => `${role}: ${content}`) : [];

const plain = stripVTControlCharacters;

const waitingAnswer: RunJob = async function* endless(_spec, signal) {
  yield placed;
  yield { type: 'chunk', tokens: 1, text: 'Once upon' };
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  throw new GoGridError({ code: 'cancelled', message: 'gone' });
};

describe('a chat', () => {
  it('sends what was said before with every question, and says who answered', async () => {
    const { type, code, asked, stdout } = await chat();
    for (const line of ['/system Be brief.', 'one?', 'two?', '/clear', 'three?', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(asked.map(contents)).toEqual([
      ['system: Be brief.', 'user: one?'],
      ['system: Be brief.', 'user: one?', 'assistant: An answer', 'user: two?'],
      ['system: Be brief.', 'user: three?'],
    ]);
    const shown = plain(stdout());
    expect(shown).toContain('Talking to tiny:latest on this machine.');
    expect(
      shown.match(/An answer\nanswered by 12D3KooWProvider \(direct\), 2 tokens, 666\.0 tokens\/s\n/g),
    ).toHaveLength(3);
  });

  it('tells with every question who may see it', async () => {
    const { type, code, asked } = await chat(['tiny', '--privacy', 'own']);
    for (const line of ['one?', 'two?', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(asked.map(({ privacy }) => privacy)).toEqual(['own', 'own']);
  });

  it('takes a text of several lines, typed or pasted, as one question', async () => {
    const { type, code, asked } = await chat();
    for (const line of ['"""first', 'second"""', 'pasted\nlines', '"""\nin\nquotes\n"""', '', '   ']) type(line);
    type({ kind: 'end' });
    expect(await code).toBe(0);
    expect(asked.map((spec) => contents(spec).at(-1))).toEqual([
      'user: first\nsecond',
      'user: pasted\nlines',
      'user: in\nquotes',
    ]);
  });

  it('asks what a mistyped command meant, and sends none of it', async () => {
    const { type, code, asked, stdout } = await chat();
    for (const line of ['/modle x', '//modle x', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(asked.map(contents)).toEqual([['user: /modle x']]);
    expect(plain(stdout())).toContain(
      'There is no /modle; did you mean /model? To send a text that begins with a slash: //modle\n',
    );
  });

  it('cancels the answer at Ctrl-C and goes on, from what came of it', async () => {
    let first = true;
    const signals: AbortSignal[] = [];
    const runJob: RunJob = (spec, signal) => {
      signals.push(signal);
      if (!first) return says('An', ' answer')(spec, signal);
      first = false;
      return waitingAnswer(spec, signal);
    };
    const { type, code, asked, signal, stdout } = await chat([], { runJob });
    type('a story');
    await expect.poll(() => stdout()).toContain('Once upon');
    signal();
    type('go on');
    type('/bye');
    expect(await code).toBe(0);
    expect(signals[0]?.aborted).toBe(true);
    expect(asked.map(contents)[1]).toEqual(['user: a story', 'assistant: Once upon', 'user: go on']);
    expect(plain(stdout())).toContain('Once upon\nCancelled. The chat goes on from what came.\n');
  });

  it('ends at SIGTERM, also in the midst of an answer', async () => {
    const { type, code, signal, stdout } = await chat([], { runJob: waitingAnswer });
    type('a story');
    await expect.poll(() => stdout()).toContain('Once upon');
    signal('SIGTERM');
    expect(await code).toBe(1);
  });

  it('ends with 1 at SIGTERM at the prompt too, with 0 at the end of the input', async () => {
    const { code, signal, stdout } = await chat();
    await expect.poll(() => stdout()).toContain('Talking to');
    signal('SIGTERM');
    expect(await code).toBe(1);
    await running?.api.stop(0);
    const other = await chat();
    other.type({ kind: 'end' });
    expect(await other.code).toBe(0);
  });

  it('at Ctrl-C on an empty prompt says how to leave, and leaves at the second', async () => {
    const { type, code, stdout } = await chat();
    type({ kind: 'interrupt', text: 'half a line' });
    type({ kind: 'interrupt', text: '' });
    type('hello');
    type({ kind: 'interrupt', text: '' });
    type({ kind: 'interrupt', text: '' });
    expect(await code).toBe(0);
    expect(stdout().match(/once more/g)).toHaveLength(2);
  });

  it('forgets the oldest turns, and says so, when the model finds the conversation too long', async () => {
    const runJob: RunJob = (spec, signal) => {
      const tooLong = contents(spec).length > 3;
      const error = new GoGridError({ code: 'prompt_too_long', message: 'prompt is too long' });
      return tooLong ? yields([], error)(spec, signal) : says('ok')(spec, signal);
    };
    const { type, code, asked, stdout } = await chat([], { runJob });
    for (const line of ['a', 'b', 'c', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(asked.map((spec) => contents(spec).length)).toEqual([1, 3, 5, 3]);
    expect(contents(asked[3] as JobSpec)).toEqual(['user: b', 'assistant: ok', 'user: c']);
    expect(plain(stdout())).toContain('the oldest question and answer are forgotten');
  });

  it('goes on after a question that failed, without it', async () => {
    let first = true;
    const chunk: JobOutput = { type: 'chunk', tokens: 1, text: 'Half' };
    const runJob: RunJob = (spec, signal) => {
      const error = new GoGridError({ code: 'provider_lost', message: 'the provider is gone' });
      const run = first ? yields([placed, chunk], error) : says('ok');
      first = false;
      return run(spec, signal);
    };
    const { type, code, asked, stderr } = await chat([], { runJob });
    for (const line of ['a', 'b', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(plain(stderr())).toMatch(/error: the answer broke off: the provider is gone[\s\S]*arrow up/);
    expect(contents(asked[1] as JobSpec)).toEqual(['user: b']);
  });

  it('says in the text where another machine went on', async () => {
    const text = (word: string): JobOutput => ({ type: 'chunk', tokens: 1, text: word });
    const other = { ...placed, provider: '12D3KooWPeer' } as JobOutput;
    const { type, code, stdout } = await chat([], {
      runJob: yields([placed, text('The sky'), other, text(' is blue'), done]),
    });
    type('why?');
    type('/bye');
    expect(await code).toBe(0);
    expect(plain(stdout())).toContain('The sky⟨other goes on⟩ is blue\n');
  });

  it('lets no answer and no name steer the terminal', async () => {
    const { type, code, stdout } = await chat([], { runJob: says('a\u001b[2Jb') });
    type('x');
    type('/bye');
    expect(await code).toBe(0);
    expect(stdout()).toContain('a[2Jb');
  });
});

describe('the model of a chat', () => {
  const models = [
    testModel({ name: 'embedder:latest', capabilities: ['embedding'] }),
    testModel({ name: 'far:latest', local: false, providers: ['12D3KooWPeer'] }),
    testModel(),
  ];
  // As the API sorts them: this machine's first.
  const catalogue = catalogueOf(models.toSorted((a, b) => Number(b.local) - Number(a.local)));

  it('is the first of this machine that can talk, and can be changed', async () => {
    const { type, code, asked, stdout } = await chat([], { catalogue });
    for (const line of ['hello', '/model far', 'and you?', '/models', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(asked.map(({ model }) => model)).toEqual(['tiny:latest', 'far:latest']);
    expect(contents(asked[1] as JobSpec)).toHaveLength(3);
    const shown = plain(stdout());
    expect(shown).toContain('Talking to far:latest on other now. It knows what was said so far');
    expect(shown).toMatch(/^tiny:latest +this machine *$/m);
    expect(shown).toMatch(/^far:latest +other +you talk to it$/m);
    expect(shown).not.toContain('embedder');
  });

  it('that is not there is told with the nearest, and keeps the old one', async () => {
    const { type, code, asked, stderr } = await chat([], { catalogue });
    for (const line of ['/model frr', 'hello', '/bye']) type(line);
    expect(await code).toBe(0);
    expect(stderr()).toContain("model 'frr' not found; did you mean 'far'?");
    expect(asked[0]?.model).toBe('tiny:latest');
    const wrong = smallWorld(['chat', 'tinny'], { node: { api: running?.url ?? '', key: testKey } });
    expect(await runCli(wrong.world)).toBe(1);
    expect(wrong.stderr()).toContain("did you mean 'tiny'?");
  });

  it('is missing everywhere: it says how to get one', async () => {
    const { code, stderr } = await chat([], { catalogue: catalogueOf([]) });
    expect(await code).toBe(1);
    expect(stderr()).toContain('gogrid models pull smollm2:135m');
  });
});

describe('a chat from a pipe', () => {
  it('takes every line as a question, and keeps its own words out of the answers', async () => {
    const { type, code, asked, stdout, stderr } = await chat(['tiny'], {}, { stdin: '' });
    for (const line of ['a', 'b']) type(line);
    type({ kind: 'end' });
    expect(await code).toBe(0);
    expect(asked).toHaveLength(2);
    expect(stdout()).toBe('An answer\nAn answer\n');
    expect(stderr().match(/answered by/g)).toHaveLength(2);
  });

  it('ends with the first question that fails', async () => {
    const runJob = yields([], new GoGridError({ code: 'overloaded', message: 'all are busy' }));
    const { type, code, asked } = await chat(['tiny'], { runJob }, { stdin: '' });
    type('a');
    type('b');
    expect(await code).toBe(1);
    expect(asked).toHaveLength(1);
  });

  it('is not for programs', async () => {
    const { code, stderr } = await chat(['--json'], {}, { stdin: '' });
    expect(await code).toBe(2);
    expect(stderr()).toContain('gogrid run --json');
  });
});
