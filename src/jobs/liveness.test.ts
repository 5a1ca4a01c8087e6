import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Liveness, streams, type Watched } from './liveness.ts';
import { memoryChannel } from './memory-channel.ts';
import type { RequesterChannel } from './ports.ts';

const STREAM: Watched = { remote: true, streams: true };

function watched(what: Watched = STREAM) {
  const clock = new VirtualClock();
  const { requester, provider } = memoryChannel(clock);
  const liveness = new Liveness(requester, clock, what);
  let broken: { code?: string; message: string } | undefined;
  const channel: RequesterChannel = requester;
  provider.receive().catch(() => undefined);
  const watch = async () => {
    try {
      while (true) await channel.receive();
    } catch (error) {
      broken = error as Error;
    }
  };
  void watch();
  /** A sign of life of the provider. */
  const frame = () => {
    provider.send({ type: 'progress', phase: 'decoding' });
    liveness.isThere();
    liveness.waits();
  };
  const token = () => {
    provider.send({ type: 'chunk', seq: 0, tokens: 1, text: 'x' });
    liveness.token();
    liveness.waits();
  };
  /** Time passes while the provider says every half second that it is there. */
  const alive = async (ms: number) => {
    for (let left = ms; left > 0 && broken === undefined; left -= 500) {
      await clock.advance(Math.min(500, left));
      if (broken === undefined) frame();
    }
  };
  return { clock, liveness, frame, token, alive, broken: () => broken };
}

describe('silence', () => {
  test('breaks the stream when it lasts 2.5 s, to the millisecond', async () => {
    const { clock, frame, broken } = watched();
    await clock.advance(1_000);
    frame();
    await clock.advance(JOB.silenceMs - 1);
    expect(broken()).toBeUndefined();
    await clock.advance(1);
    expect(broken()).toMatchObject({ code: 'provider_lost', message: 'the provider fell silent' });
    expect(clock.pending).toBe(0);
  });

  test('is not that of a provider which has ended, while its client is slow with the rest', async () => {
    const { clock, token, liveness, broken } = watched();
    token();
    liveness.token();
    await clock.advance(10 * JOB.silenceMs);
    expect(broken()).toBeUndefined();
    // Then there is nothing more to read, and nothing comes.
    liveness.waits();
    await clock.advance(JOB.heldUpMs);
    expect(broken()).toMatchObject({ message: 'the provider fell silent' });
  });

  test('is counted from the first moment', async () => {
    const { clock, broken } = watched();
    await clock.advance(JOB.silenceMs);
    expect(broken()).toMatchObject({ code: 'provider_lost' });
  });

  test('of this machine is none, and costs no timer', async () => {
    const { clock, broken } = watched({ remote: false, streams: true });
    expect(clock.pending).toBe(0);
    await clock.advance(60_000);
    expect(broken()).toBeUndefined();
  });

  test('that is this process being held up is none: what came in meanwhile is read first', async () => {
    const { clock, liveness, broken } = watched();
    // The timer of 2.5 s runs 10 s late, as after a machine's sleep.
    const late = new LateClock();
    const { requester, provider } = memoryChannel(late);
    const other = new Liveness(requester, late, STREAM);
    const reads = requester.receive();
    late.runLateBy(10_000);
    provider.send({ type: 'progress', phase: 'decoding' });
    late.runLateBy(0);
    await expect(reads).resolves.toMatchObject({ type: 'progress' });
    const second = requester.receive();
    provider.receive().catch(() => undefined);
    second.catch(() => undefined);
    late.runLateBy(0);
    await expect(second).rejects.toMatchObject({ code: 'provider_lost' });
    other.cancel();
    liveness.cancel();
    await clock.advance(10_000);
    expect([broken(), clock.pending]).toEqual([undefined, 0]);
  });
});

describe('a stall', () => {
  test('is 5 s without a token, to the millisecond, whatever else the provider says', async () => {
    const { alive, token, clock, broken } = watched();
    token();
    await alive(JOB.stallMs - 1);
    expect(broken()).toBeUndefined();
    await clock.advance(1);
    expect(broken()).toMatchObject({ code: 'engine_failed', message: expect.stringContaining('no token for 5 s') });
    expect(clock.pending).toBe(0);
  });

  test('of this machine is noticed too', async () => {
    const { alive, clock, token, broken } = watched({ remote: false, streams: true });
    token();
    await alive(JOB.stallMs - 1);
    expect(broken()).toBeUndefined();
    expect(clock.pending).toBe(0);
    await alive(1);
    await clock.advance(1);
    expect(broken()).toMatchObject({ code: 'engine_failed' });
  });

  test('is none before the first token, however long a model loads', async () => {
    const { alive, broken } = watched();
    await alive(600_000);
    expect(broken()).toBeUndefined();
  });

  test('is none where engines are silent until a call is whole', async () => {
    const { alive, token, broken } = watched({ remote: true, streams: false });
    token();
    await alive(600_000);
    expect(broken()).toBeUndefined();
  });

  test("of a slow engine is 20 of the job's own median gaps", async () => {
    const { alive, token, clock, broken } = watched();
    // Gaps of 1 s, and two odd ones that are not the median.
    for (const gapMs of [0, 1_000, 50, 1_000, 1_000, 4_000, 1_000]) {
      await alive(gapMs);
      token();
    }
    await alive(JOB.stallGaps * 1_000 - 1);
    expect(broken()).toBeUndefined();
    await clock.advance(1);
    expect(broken()).toMatchObject({ message: expect.stringContaining('no token for 20 s') });
  });

  test('counts only while the requester waits: a client that does not read is not its fault', async () => {
    const { clock, liveness, frame, token, alive, broken } = watched();
    token();
    await alive(4_000);
    // The client reads nothing for a minute; the provider is there all the while.
    liveness.other();
    for (let i = 0; i < 120; i++) {
      await clock.advance(500);
      frame();
      liveness.other();
    }
    expect(broken()).toBeUndefined();
    liveness.waits();
    await alive(999);
    expect(broken()).toBeUndefined();
    // It is not looked at in the very millisecond then, but within half a second.
    await alive(JOB.heldUpMs + 1);
    expect(broken()).toMatchObject({ code: 'engine_failed' });
  });

  test('is over with the next token', async () => {
    const { alive, token, broken } = watched();
    for (let i = 0; i < 20; i++) {
      token();
      await alive(4_500);
    }
    expect(broken()).toBeUndefined();
  });

  test('whatever the pace, is never seen within the bound and always within half a second behind it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 50 }), async (gaps) => {
        const { alive, token, broken } = watched();
        token();
        for (const gapMs of gaps) {
          await alive(gapMs);
          token();
        }
        const kept = gaps.slice(-JOB.stallGapsKept).toSorted((a, b) => a - b);
        const bound = Math.max(JOB.stallMs, JOB.stallGaps * (kept[kept.length >> 1] ?? 0));
        await alive(bound - 1);
        expect(broken()).toBeUndefined();
        await alive(500);
        expect(broken()).toMatchObject({ code: 'engine_failed' });
      }),
      { numRuns: 30 },
    );
  });
});

test('jobs whose answer comes token by token', () => {
  const messages = [{ role: 'user' as const, content: 'x' }];
  expect(streams({ kind: 'chat', messages })).toBe(true);
  expect(streams({ kind: 'chat', messages, tools: [] })).toBe(true);
  expect(streams({ kind: 'generate', prompt: 'x' })).toBe(true);
  expect(streams({ kind: 'chat', messages, tools: [{}] })).toBe(false);
  expect(streams({ kind: 'embed', inputs: ['x'] })).toBe(false);
  expect(streams({ kind: 'load' })).toBe(false);
});

/** A clock with one timer, which runs when the test says so, too late or in time. */
class LateClock extends VirtualClock {
  #offset = 0;
  #timer: { at: number; action: () => void } | undefined;

  override elapsed(): number {
    return this.#offset;
  }

  override after(ms: number, action: () => void) {
    const timer = { at: this.#offset + ms, action };
    this.#timer = timer;
    return { cancel: () => (this.#timer = undefined) };
  }

  runLateBy(ms: number): void {
    const timer = this.#timer;
    if (timer === undefined) return;
    this.#timer = undefined;
    this.#offset = timer.at + ms;
    timer.action();
  }
}
