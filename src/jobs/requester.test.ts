import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobInput } from '../protocol/job.ts';
import { errorOf } from '../testing/failure.ts';
import { answerTo, collect, occupy, question, smallMesh } from '../testing/small-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { answerTokens, promptOf } from '../testing/word-engine.ts';

const never = new AbortController().signal;

/** Waits for a condition; a busy machine may take its time. */
const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

describe('an answer that one version of a model began', () => {
  const [began, another] = ['aa'.repeat(32), 'bb'.repeat(32)];

  test('waits for that version while somebody has it', async () => {
    const clock = new VirtualClock();
    const full = { slots: 1, room: 0, digest: began };
    const [here, bad, busy, other] = smallMesh({ nodes: [{ models: [] }, full, full, { digest: another }] }, clock);
    const held = await occupy(busy!, busy!);
    other!.status = 'paused';
    bad!.engine.faults.push({ afterTokens: 5, how: 'throw' });
    const run = collect(here!.requester.run(question('q'), never), ({ type }) => {
      if (type !== 'chunk') return;
      bad!.status = 'paused';
      other!.status = undefined;
    });
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await held.letGo();
    await clock.advance(JOB.askAgainMaxMs);
    expect((await run).done?.job.attempts.map(({ digest }) => digest)).toEqual([began, began]);
    expect(other!.engine.calls).toHaveLength(0);
  });

  test('goes on with another one when nobody has it, and its record says so', async () => {
    const [here, bad] = smallMesh({ nodes: [{ models: [] }, { digest: began }, { digest: another }] }, systemClock);
    bad!.engine.faults.push({ afterTokens: 5, how: 'throw' });
    const run = collect(here!.requester.run(question('q'), never), ({ type }) => {
      if (type === 'chunk') bad!.status = 'paused';
    });
    expect((await run).done?.job.attempts.map(({ digest }) => digest)).toEqual([began, another]);
  });

  test('and that the request pinned ends with that version', async () => {
    const [here, bad, other] = smallMesh(
      { nodes: [{ models: [] }, { digest: began }, { digest: another }] },
      systemClock,
    );
    bad!.engine.faults.push({ afterTokens: 5, how: 'throw' });
    const spec = question('q', { model: `words@sha256:${began}` });
    const run = collect(here!.requester.run(spec, never), ({ type }) => {
      if (type === 'chunk') bad!.status = 'paused';
    });
    expect((await errorOf(run)).message).toContain('the answer broke off');
    expect(other!.engine.calls).toHaveLength(0);
  });
});

test('a client that hangs up while providers are looked for is not told that there are none', async () => {
  const [here] = smallMesh({ nodes: [{ models: [] }] }, systemClock);
  const client = new AbortController();
  const decide = here!.router.decide.bind(here!.router);
  vi.spyOn(here!.router, 'decide').mockImplementation((query, signal) => {
    client.abort();
    return decide(query, signal);
  });
  expect((await errorOf(collect(here!.requester.run(question('q'), client.signal)))).code).toBe('cancelled');
  expect(here!.book.totals()).toMatchObject({ cancelled: 1, failed: 0 });
});

test('an expired job is started nowhere, however late the timers are', async () => {
  const clock = new VirtualClock();
  const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, clock);
  const decide = here!.router.decide.bind(here!.router);
  vi.spyOn(here!.router, 'decide').mockImplementation((query, signal) => {
    // A process that stood still: the time is over, and no timer has run yet.
    vi.spyOn(clock, 'elapsed').mockReturnValue(2_000);
    return decide(query, signal);
  });
  const error = await errorOf(collect(here!.requester.run(question('q', { deadlineMs: 2_000 }), never)));
  expect(error.code).toBe('deadline_exceeded');
  expect(there!.engine.calls).toHaveLength(0);
});

describe('the record of a job', () => {
  test('names every node that was sent the prompt, and not one that could not be reached', async () => {
    const [here, dead, bad, good] = smallMesh({ nodes: [{ models: [] }, {}, {}, {}] }, systemClock);
    dead!.kill();
    bad!.engine.faults.push({ afterTokens: 0, how: 'throw' });
    const { done } = await collect(here!.requester.run(question('q'), never));
    expect(done?.job.seenBy).toEqual(['node2', 'node3']);
    expect(done?.job.attempts.map(({ provider, reason }) => [provider, reason])).toEqual([
      ['node1', 'peer_unreachable'],
      ['node2', 'engine_failed'],
      ['node3', null],
    ]);
    expect(good!.engine.calls).toHaveLength(1);
  });

  test('keeps the decision that placed it last', async () => {
    const [here] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    const { done } = await collect(here!.requester.run(question('q'), never));
    expect(done?.job.decision?.candidates.map(({ node }) => node)).toEqual(['node1', 'node2']);
    expect(JSON.stringify(done?.job)).not.toContain('"q"');
  });
});

describe('explain', () => {
  test('gives the decision, runs nothing, sends nothing and leaves no record', async () => {
    const nodes = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    const [here] = nodes;
    const decision = await here!.requester.explain(question('q'), never);
    expect(decision.candidates.map(({ node }) => node)).toEqual(['node1', 'node2']);
    expect(nodes.map(({ engine }) => engine.calls.length)).toEqual([0, 0, 0]);
    expect(await here!.book.list(9)).toEqual({ jobs: [], total: 0 });
  });

  test('of a model that nobody has says who was left out', async () => {
    const [here] = smallMesh({ nodes: [{ models: [] }, {}] }, systemClock);
    const decision = await here!.requester.explain(question('q', { privacy: 'local' }), never);
    expect(decision).toMatchObject({ candidates: [], choice: 'none' });
    expect(decision.excluded).toContainEqual({ node: 'node1', why: 'privacy' });
  });

  test('refuses what no job could be', async () => {
    const [here] = smallMesh({ nodes: [{}] }, systemClock);
    expect((await errorOf(here!.requester.explain(question('q', { model: '' }), never))).code).toBe('invalid_request');
  });
});

describe('a privacy tier', () => {
  test('of friends reaches them and nobody else', async () => {
    const nodes = smallMesh({ nodes: [{ models: [] }, {}, {}], friends: ['node2'] }, systemClock);
    const [here, stranger] = nodes;
    const { done } = await collect(here!.requester.run(question('q', { privacy: 'friends' }), never));
    expect(done?.job).toMatchObject({ seenBy: ['node2'], privacy: 'friends' });
    expect(stranger!.engine.calls).toHaveLength(0);
  });

  test.each(['local', 'own', 'friends'] as const)('%s fails closed, in the midst of an answer too', async (privacy) => {
    const [here, stranger] = smallMesh({ nodes: [{}, {}] }, systemClock);
    here!.engine.faults.push({ afterTokens: 3, how: 'throw' }, { afterTokens: 0, how: 'throw' });
    here!.engine.faults.push({ afterTokens: 0, how: 'throw' }, { afterTokens: 0, how: 'throw' });
    await errorOf(collect(here!.requester.run(question('q', { privacy }), never)));
    const unknown = question('q', { privacy, model: 'other' });
    expect((await errorOf(collect(here!.requester.run(unknown, never)))).code).toBe('privacy_unserved');
    expect(stranger!.engine.calls).toHaveLength(0);
  });
});

describe('an answer in one piece', () => {
  const withTools = (text: string): JobInput => ({
    kind: 'chat',
    messages: [{ role: 'user', content: text }],
    tools: [{ type: 'function' }],
  });

  test('that cannot be continued starts again, since its client has nothing of it', async () => {
    const [here, bad] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    bad!.engine.faults.push({ afterTokens: 7, how: 'throw' });
    const spec = question('q', { input: withTools('q'), whole: true });
    const { all, text, done } = await collect(here!.requester.run(spec, never));
    expect(text).toBe(answerTokens(promptOf(spec.input), 12).join(''));
    expect(all.filter(({ type }) => type === 'chunk')).toHaveLength(1);
    expect(done?.usage).toMatchObject({ promptTokens: 5, outputTokens: 12, estimated: false });
    expect(done?.job.attempts.map(({ fromToken, toToken }) => [fromToken, toToken])).toEqual([
      [0, 7],
      [0, 12],
    ]);
  });

  test('that can be continued goes on: the work is not done twice', async () => {
    const [here, bad, good] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, systemClock);
    bad!.engine.faults.push({ afterTokens: 7, how: 'throw' });
    const { text, done } = await collect(here!.requester.run(question('q', { whole: true }), never));
    expect(text).toBe(answerTo('q', 12));
    expect(good!.engine.calls[0]?.resume).toMatchObject({ tokens: 7 });
    expect(done?.usage).toMatchObject({ promptTokens: 5, outputTokens: 12, estimated: true });
  });
});

describe('an engine that stands still', () => {
  test('in mid-answer is left after 5 s, though its machine says that it is there', async () => {
    const clock = new VirtualClock();
    const [here, stuck] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    stuck!.engine.faults.push({ afterTokens: 5, how: 'hang' });
    let chunks = 0;
    const run = collect(here!.requester.run(question('q'), never), ({ type }) => {
      if (type === 'chunk') chunks++;
    });
    await until(() => expect(chunks).toBe(5));
    await clock.advance(JOB.stallMs - 1);
    expect(stuck!.engine.active).toBe(1);
    await clock.advance(1);
    const { text, done } = await run;
    expect(text).toBe(answerTo('q', 12));
    expect(done?.job.attempts.map(({ reason }) => reason)).toEqual(['engine_failed', null]);
    expect(stuck!.engine.active).toBe(0);
  });

  test('whose client does not read is not left for it', async () => {
    const clock = new VirtualClock();
    const [here, there] = smallMesh({ nodes: [{ models: [] }, { words: 50 }] }, clock);
    const run = here!.requester.run(question('q'), never);
    let text = '';
    while (text === '') {
      const { value } = await run.next();
      if (value?.type === 'chunk') text += value.text;
    }
    await clock.advance(60_000);
    for await (const output of run) if (output.type === 'chunk') text += output.text;
    expect(text).toBe(answerTo('q', 50));
    expect(there!.engine.calls).toHaveLength(1);
  });

  test('whose engine has no room is asked again later, and not a hundred times', async () => {
    const clock = new VirtualClock();
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, clock);
    const calls = vi.spyOn(there!.engine, 'run');
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    calls.mockImplementationOnce(async function* () {
      throw new GoGridError({ code: 'overloaded', message: 'full', retryAfterSecs: 2 });
    });
    const run = collect(here!.requester.run(question('q'), never));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    await clock.advance(1_999);
    expect(calls).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect((await run).text).toBe(answerTo('q', 12));
  });
});
