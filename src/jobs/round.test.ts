/** Whom a job is sent to, when those that are asked lie, lag, or change their minds. */

import { describe, expect, test, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import type { JobRequest, ToRequester } from '../protocol/job.ts';
import { errorOf } from '../testing/failure.ts';
import { answerTo, collect, occupy, question, type SmallNode, smallMesh } from '../testing/small-mesh.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import type { ProviderChannel } from './ports.ts';

const never = new AbortController().signal;
const DIGEST = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);

/** Waits for a condition; a busy machine may take its time. */
const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

const attempts = ({ done }: Awaited<ReturnType<typeof collect>>) =>
  done?.job.attempts.map(({ provider, reason }) => [provider, reason]);

/** A provider that says what the test wants; counts how often it was asked. */
function puppet(node: SmallNode, act: (channel: ProviderChannel, request: JobRequest) => Promise<void> | void) {
  const asked: JobRequest[] = [];
  node.provider.handleJob = async (_from, request, channel) => {
    asked.push(request);
    await act(channel, request);
  };
  return asked;
}

/** Says all of that, and closes the stream. */
const says =
  (...messages: readonly ToRequester[]) =>
  (channel: ProviderChannel) => {
    for (const message of messages) channel.send(message);
    channel.close();
  };

const busy = (estimateMs: number): ToRequester => ({ type: 'busy', queue: 1, estimateMs });
const queued = (estimateMs: number): ToRequester => ({ type: 'queued', position: 1, estimateMs });
const accepted = (digest = DIGEST): ToRequester => ({ type: 'accepted', digest });
const word = (text: string): ToRequester => ({ type: 'chunk', seq: 0, tokens: 1, text });

describe('a prompt', () => {
  test('is not sent to a friend of before, when the job comes out of a queue', async () => {
    const clock = new VirtualClock();
    const friends = ['node1', 'node2'];
    const [here, there, former] = smallMesh({ nodes: [{ models: [] }, {}, {}], friends }, clock);
    puppet(there!, async (channel) => {
      channel.send(queued(0));
      await new Promise<void>((resolve) => clock.after(2_000, resolve));
      says({ type: 'handOver', reason: 'drain' })(channel);
    });
    const run = errorOf(collect(here!.requester.run(question('q', { privacy: 'friends' }), never)));
    await settle();
    await clock.advance(1_000);
    friends.pop();
    await clock.advance(1_000);
    expect((await run).code).toBe('shutting_down');
    expect(former!.engine.calls).toHaveLength(0);
  });

  test('is not sent to a friend of before, while others are asked one after the other', async () => {
    const friends = ['node1', 'node2'];
    const [here, there, former] = smallMesh({ nodes: [{ models: [] }, {}, {}], friends }, new VirtualClock());
    puppet(there!, (channel) => {
      friends.pop();
      says({ type: 'reject', code: 'model_not_found', message: '' })(channel);
    });
    await errorOf(collect(here!.requester.run(question('q', { privacy: 'friends' }), never)));
    expect(former!.engine.calls).toHaveLength(0);
  });
});

describe('what one peer finds wrong with a request', () => {
  test.each(['invalid_request', 'unsupported', 'prompt_too_long'] as const)(
    '(%s) is its word alone: the next one is asked, and it is not asked again',
    async (code) => {
      const [here, liar, honest] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
      const asked = puppet(liar!, says({ type: 'reject', code, message: 'no' }));
      const { text } = await collect(here!.requester.run(question('q'), never));
      expect(text).toBe(answerTo('q', 12));
      expect([asked.length, honest!.engine.calls.length]).toEqual([1, 1]);
    },
  );

  test('after it took the job is its word alone, too', async () => {
    const [here, liar] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
    const asked = puppet(liar!, says(accepted(), { type: 'error', code: 'invalid_request', message: 'no' }));
    const answer = await collect(here!.requester.run(question('q'), never));
    expect(attempts(answer)).toEqual([
      ['node1', 'invalid_request'],
      ['node2', null],
    ]);
    expect(asked).toHaveLength(1);
  });

  test('is what the client hears when nobody else is there', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, new VirtualClock());
    puppet(there!, says({ type: 'reject', code: 'prompt_too_long', message: 'too long' }));
    expect((await errorOf(collect(here!.requester.run(question('q'), never)))).code).toBe('prompt_too_long');
  });
});

describe('a node that is heard of while others are asked', () => {
  const unheardOf = (node: SmallNode) => {
    const { models } = node.engine;
    node.engine.models = () => [];
    return () => {
      node.engine.models = models;
    };
  };

  test.each([
    ['says no', [{ type: 'reject', code: 'model_not_found', message: '' }]],
    ['breaks off', []],
  ] as const)('gets the job when the one that was known %s', async (_how, messages) => {
    const [here, known, fresh] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
    const heardOf = unheardOf(fresh!);
    const asked = puppet(known!, (channel) => {
      heardOf();
      says(...messages)(channel);
    });
    const { text } = await collect(here!.requester.run(question('q'), never));
    expect(text).toBe(answerTo('q', 12));
    expect(asked.length).toBeLessThanOrEqual(2);
  });

  test('and nobody: who said no is not asked again at once', async () => {
    const [here, known] = smallMesh({ nodes: [{ models: [] }, {}] }, new VirtualClock());
    const asked = puppet(known!, says({ type: 'reject', code: 'model_not_found', message: '' }));
    expect((await errorOf(collect(here!.requester.run(question('q'), never)))).code).toBe('model_not_found');
    expect(asked).toHaveLength(1);
  });
});

describe('a job that waits', () => {
  const seeing = (node: SmallNode, capabilities: string[]) => {
    const models = node.engine.models().map((model) => ({ ...model, capabilities }));
    node.engine.models = () => models;
  };

  test('does not hold up one that can run elsewhere', async () => {
    const clock = new VirtualClock();
    const full = { slots: 1, room: 0 };
    const [here, sees, blind] = smallMesh({ nodes: [{ models: [] }, full, {}] }, clock);
    seeing(sees!, ['completion', 'vision']);
    seeing(blind!, ['completion']);
    await occupy(sees!, sees!);
    const client = new AbortController();
    const picture = { kind: 'chat' as const, messages: [{ role: 'user' as const, content: 'x', images: ['AA'] }] };
    const waits = collect(here!.requester.run(question('x', { input: picture }), client.signal)).catch(() => {});
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    expect((await collect(here!.requester.run(question('plain'), never))).text).toBe(answerTo('plain', 12));
    client.abort();
    await waits;
  });

  test('is taken and lost in turns only so often, and waits no longer for it', async () => {
    const clock = new VirtualClock();
    const [here, there] = smallMesh({ nodes: [{ models: [], maxWaitMs: 3_000 }, {}] }, clock);
    const asked = puppet(there!, says(queued(0), busy(0)));
    const run = errorOf(collect(here!.requester.run(question('q'), never)));
    await settle();
    for (let ms = 0; ms < 4_000; ms += 50) await clock.advance(50);
    expect(await run).toMatchObject({ code: 'overloaded', data: { job: expect.any(String) } });
    expect(asked.length).toBeLessThanOrEqual(JOB.maxHandOvers + 1);
    expect(clock.elapsed()).toBeLessThanOrEqual(4_000);
  });
});

describe('a worker that pulls', () => {
  test('does not come before the model that began the answer', async () => {
    const clock = new VirtualClock();
    const [here, began, other] = smallMesh({ nodes: [{ models: [] }, {}, { digest: OTHER }] }, clock);
    let first = true;
    puppet(began!, (channel) => {
      const more: ToRequester = { type: 'error', code: 'overloaded', message: '', retryAfterSecs: 5 };
      says(...(first ? [accepted(), word('w0'), more] : [busy(5_000)]))(channel);
      first = false;
    });
    const asked = puppet(other!, says(accepted(OTHER), { type: 'end', reason: 'stop' }));
    const client = new AbortController();
    const run = errorOf(collect(here!.requester.run(question('q'), client.signal)));
    await until(() => expect(here!.requester.waiting.depth).toBe(1));
    here!.requester.offer('node2', ['words:latest'], 1);
    await clock.advance(1_000);
    expect([asked.length, here!.requester.waiting.depth]).toEqual([0, 1]);
    client.abort();
    await run;
  });
});

describe('a digest', () => {
  test('that began the answer and is gone: one that is idle is asked, though another is busy', async () => {
    const clock = new VirtualClock();
    const [here, began, full, idle] = smallMesh(
      { nodes: [{ models: [] }, {}, { digest: OTHER }, { digest: OTHER }] },
      clock,
    );
    puppet(began!, (channel) => {
      channel.send(accepted());
      channel.send(word('w0'));
      began!.status = 'paused';
      channel.close();
    });
    puppet(full!, says(busy(60_000)));
    const asked = puppet(idle!, says(accepted(OTHER), word(' w1'), { type: 'end', reason: 'stop' }));
    await collect(here!.requester.run(question('q'), never));
    expect(asked).toHaveLength(1);
    expect(clock.elapsed()).toBe(0);
  });

  test('other than the announced one is a failure of whoever says so', async () => {
    const [here, liar, honest] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
    puppet(liar!, says(accepted(OTHER), word('poison')));
    const answer = await collect(here!.requester.run(question('q'), never));
    expect(answer.text).toBe(answerTo('q', 12));
    expect(attempts(answer)).toEqual([
      ['node1', 'protocol_violation'],
      ['node2', null],
    ]);
    expect(honest!.engine.calls).toHaveLength(1);
  });
});

describe('a provider that keeps the job', () => {
  /** Every half second the same, for ever. */
  const repeats = (clock: VirtualClock, first: ToRequester[], message: ToRequester) => (channel: ProviderChannel) => {
    for (const each of first) channel.send(each);
    const again = () => {
      channel.send(message);
      clock.after(JOB.progressEveryMs, again);
    };
    again();
  };

  test('in its queue far longer than it told is left for an idle one', async () => {
    const clock = new VirtualClock();
    const [here, slow, idle] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    puppet(slow!, repeats(clock, [], queued(1_000)));
    const run = collect(here!.requester.run(question('q'), never));
    await settle();
    await clock.advance(JOB.overdueInQueueMs - JOB.progressEveryMs);
    expect(idle!.engine.calls).toHaveLength(0);
    await clock.advance(2 * JOB.progressEveryMs);
    expect(attempts(await run)).toEqual([
      ['node1', 'overloaded'],
      ['node2', null],
    ]);
  });

  test('in its queue is waited for while nobody else is idle, and for as long as it told', async () => {
    const clock = new VirtualClock();
    const [here, slow, full] = smallMesh({ nodes: [{ models: [] }, {}, { slots: 1, room: 0 }] }, clock);
    await occupy(full!, full!);
    const asked = puppet(slow!, repeats(clock, [], queued(1_000)));
    const client = new AbortController();
    const run = errorOf(collect(here!.requester.run(question('q'), client.signal)));
    await settle();
    await clock.advance(10 * JOB.overdueInQueueMs);
    expect([asked.length, full!.engine.calls.length]).toEqual([1, 1]);
    client.abort();
    await run;
  });

  test('on its engine for minutes without a word is left for an idle one', async () => {
    const clock = new VirtualClock();
    const [here, slow, idle] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    puppet(slow!, repeats(clock, [accepted()], { type: 'progress', phase: 'prefill' }));
    const run = collect(here!.requester.run(question('q'), never));
    await settle();
    await clock.advance(JOB.overdueOnEngineMs - JOB.progressEveryMs);
    expect(idle!.engine.calls).toHaveLength(0);
    await clock.advance(2 * JOB.progressEveryMs);
    expect(attempts(await run)).toEqual([
      ['node1', 'engine_failed'],
      ['node2', null],
    ]);
  });

  test('with chunks that show nothing is left as one that stands still', async () => {
    const clock = new VirtualClock();
    const [here, stuck] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    const first = answerTo('q', 1);
    puppet(stuck!, repeats(clock, [accepted(), word(first)], { type: 'chunk', seq: 1, tokens: 0, text: '' }));
    const run = collect(here!.requester.run(question('q'), never));
    await settle();
    await clock.advance(JOB.stallMs + JOB.progressEveryMs);
    const answer = await run;
    expect(attempts(answer)).toEqual([
      ['node1', 'engine_failed'],
      ['node2', null],
    ]);
    expect(answer.text).toBe(answerTo('q', 12));
  });
});

describe('a provider that sees the deadline pass', () => {
  test.each(['reject', 'error'] as const)('a moment early (%s) is right: the job ends as expired', async (type) => {
    const clock = new VirtualClock();
    const [here, there, other] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, clock);
    puppet(there!, async (channel) => {
      if (type === 'error') channel.send(accepted());
      await new Promise<void>((resolve) => clock.after(1_998, resolve));
      says({ type, code: 'deadline_exceeded', message: 'out of time' })(channel);
    });
    const run = errorOf(collect(here!.requester.run(question('q', { deadlineMs: 2_000 }), never)));
    await settle();
    await clock.advance(1_999);
    expect(here!.book.totals()).toMatchObject({ failed: 0 });
    await clock.advance(1);
    expect((await run).code).toBe('deadline_exceeded');
    expect((await here!.requester.explain(question('q'), never)).candidates[0]?.avoidance).toBe(1);
    expect(other!.engine.calls).toHaveLength(0);
  });

  test('long before it has failed', async () => {
    const [here, there] = smallMesh({ nodes: [{ models: [] }, {}, {}] }, new VirtualClock());
    puppet(there!, says({ type: 'reject', code: 'deadline_exceeded', message: 'out of time' }));
    const answer = await collect(here!.requester.run(question('q', { deadlineMs: 60_000 }), never));
    expect(attempts(answer)).toEqual([
      ['node1', 'engine_failed'],
      ['node2', null],
    ]);
  });
});

test('routing hears how the answer was seen to come in, whatever its provider says of it', async () => {
  const clock = new VirtualClock();
  const [here, there] = smallMesh({ nodes: [{ models: [] }, {}] }, clock);
  const wait = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
  puppet(there!, async (channel) => {
    channel.send(accepted());
    await wait(300);
    for (const text of ['a', ' b', ' c']) {
      channel.send(word(text));
      await wait(200);
    }
    channel.send({ type: 'usage', promptTokens: 1, outputTokens: 9_999, loadMs: 0, prefillMs: 0, decodeMs: 1 });
    says({ type: 'end', reason: 'stop' })(channel);
  });
  const outcomes: unknown[] = [];
  const visit = here!.router.visit.bind(here!.router);
  vi.spyOn(here!.router, 'visit').mockImplementation((query, candidate) => {
    const real = visit(query, candidate);
    return {
      ...real,
      ends: (outcome) => {
        outcomes.push(outcome);
        real.ends(outcome);
      },
    };
  });
  const run = collect(here!.requester.run(question('q'), never));
  await settle();
  await clock.advance(1_000);
  await run;
  expect(outcomes).toMatchObject([{ kind: 'completed', seen: { tokens: 3, firstMs: 300, writeMs: 400 } }]);
});
