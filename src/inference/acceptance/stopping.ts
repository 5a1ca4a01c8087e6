/** Acceptance: cancelling, and holding the engine back. */

import { expect, it, vi } from 'vitest';
import { GoGridError } from '../../errors.ts';
import type { EngineEvent } from '../../jobs/ports.ts';
import { JOB } from '../../limits/jobs.ts';
import { type EngineControl, hear, hearFailure, needed, never, type Stage, summary } from './stage.ts';

export function testCancelling({ subject, engine, chat }: Stage): void {
  const { control } = subject;
  /** Fails unless the engine saw its newest call end within the bound. */
  const expectFreed = async (stoppedAt: number) => {
    if (control === undefined) return;
    await vi.waitFor(async () => expect((await control.calls()).at(-1)?.endedAt).not.toBeNull(), { interval: 5 });
    const last = (await control.calls()).at(-1);
    expect(last?.aborted).toBe(true);
    expect((last?.endedAt ?? Number.POSITIVE_INFINITY) - stoppedAt).toBeLessThan(JOB.cancelWithinMs);
  };

  it('stops an answer that is aborted, for the reason given', async () => {
    await control?.set({ tokensPerSecond: 50 });
    const stop = new AbortController();
    const reason = new GoGridError({ code: 'deadline_exceeded', message: 'too late' });
    let stoppedAt = 0;
    const run = async () => {
      for await (const event of engine().run(chat(5000), stop.signal)) {
        if (event.type !== 'chunk' || stoppedAt !== 0) continue;
        stoppedAt = Date.now();
        stop.abort(reason);
      }
    };
    await expect(run()).rejects.toBe(reason);
    expect(Date.now() - stoppedAt).toBeLessThan(JOB.cancelWithinMs);
    await expectFreed(stoppedAt);
  });

  it('stops when the consumer leaves the loop, and serves the next call at once', async () => {
    await control?.set({ tokensPerSecond: 50 });
    for await (const event of engine().run(chat(5000), never)) if (event.type === 'chunk') break;
    const stoppedAt = Date.now();
    await expectFreed(stoppedAt);
    const next = await hear(engine().run(chat(3, { options: { num_predict: 3 } }), never));
    expect(next.text).not.toBe('');
  });

  it('runs nothing for a signal that was aborted before', async () => {
    const before = (await control?.calls())?.length;
    const { error } = await hearFailure(engine().run(chat(3), AbortSignal.abort()));
    expect(error.code).toBe('cancelled');
    expect((await control?.calls())?.length).toBe(before);
  });

  it.skipIf(control === undefined).each([
    ['while the model loads', { loadMs: 60_000 }],
    ['while it reads the prompt', { prefillMs: 60_000 }],
  ])('stops %s', async (_when, how) => {
    await needed(control).set(how);
    const stop = new AbortController();
    const run = hearFailure(engine().run(chat(5), stop.signal));
    await vi.waitFor(async () => expect(await needed(control).calls()).toHaveLength(1));
    const stoppedAt = Date.now();
    stop.abort();
    expect((await run).error.code).toBe('cancelled');
    expect(Date.now() - stoppedAt).toBeLessThan(JOB.cancelWithinMs);
    await expectFreed(stoppedAt);
  });
}

export function testBackPressure({ engine, chat }: Stage, control: EngineControl): void {
  it('holds the engine back while nobody reads, and loses nothing', async () => {
    const words = 200_000;
    const events = engine().run(chat(words), never)[Symbol.asyncIterator]();
    const heard: EngineEvent[] = [];
    while (heard.at(-1)?.type !== 'chunk') heard.push((await events.next()).value);
    const sent = async () => (await control.calls()).at(-1)?.bytes ?? 0;
    let before = -1;
    await vi.waitFor(
      async () => {
        const now = await sent();
        const stands = now === before;
        before = now;
        expect(stands).toBe(true);
      },
      { timeout: 5000, interval: 200 },
    );
    // The whole answer is over 25 MB. What the system's socket buffers hold is not ours to bound: up to 6 + 4 MiB.
    expect(before).toBeLessThan(12_000_000);
    for (let next = await events.next(); next.done !== true; next = await events.next()) heard.push(next.value);
    expect(summary(heard).done?.usage.outputTokens).toBe(words);
    expect(summary(heard).tokens).toBe(words);
    expect(await sent()).toBeGreaterThan(25_000_000);
  });

  it('merges what comes together into one chunk', async () => {
    const heard = await hear(engine().run(chat(5000), never));
    const chunks = heard.events.filter((event) => event.type === 'chunk');
    expect(heard.tokens).toBe(5000);
    expect(chunks.length).toBeLessThan(2500);
    for (const chunk of chunks) expect(chunk.text?.length).toBeLessThan(JOB.maxChunkBytes);
  });
}
