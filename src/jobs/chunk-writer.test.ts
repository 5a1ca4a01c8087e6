import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobChunk } from '../protocol/job.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { memoryChannel } from './memory-channel.ts';

type Piece = Omit<JobChunk, 'seq'>;

const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.string().map((text): Piece => ({ type: 'chunk', tokens: 1, text })),
  fc.string().map((thinking): Piece => ({ type: 'chunk', tokens: 1, thinking })),
  fc.string().map((name): Piece => ({ type: 'chunk', tokens: 1, toolCalls: [{ name, arguments: '{}' }] })),
);

/** What a client would see, in its order: one entry for every run of the same kind. */
function seen(pieces: readonly Piece[]): string[] {
  const parts = pieces.flatMap(({ thinking, text, toolCalls }) => [
    ...(thinking ? [['thinking', thinking] as const] : []),
    ...(text ? [['text', text] as const] : []),
    ...(toolCalls ?? []).map((call) => ['call', call.name] as const),
  ]);
  const merged: [string, string][] = [];
  for (const [kind, value] of parts) {
    const last = merged.at(-1);
    if (last?.[0] === kind && kind !== 'call') last[1] += value;
    else merged.push([kind, value]);
  }
  return merged.map(([kind, value]) => `${kind}:${value}`);
}

describe('the chunk writer', () => {
  test('loses nothing, keeps the order and counts without gaps, however slowly it is read', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 120 }), fc.nat(30), async (pieces, readFirst) => {
        const { requester, provider } = memoryChannel(systemClock);
        const writer = new ChunkWriter(provider);
        const got: JobChunk[] = [];
        const read = async () => {
          const message = await requester.receive();
          if (message?.type === 'chunk') got.push(message);
          return message;
        };
        for (const [i, next] of pieces.entries()) {
          const wait = writer.push(next);
          if (i < readFirst || wait !== undefined) await read();
        }
        const finished = writer.finish().then(() => provider.close());
        while ((await read()) !== undefined);
        await finished;
        expect(seen(got)).toEqual(seen(pieces));
        expect(got.map((chunk) => chunk.seq)).toEqual(got.map((_, i) => i));
        expect(got.reduce((sum, chunk) => sum + chunk.tokens, 0)).toBe(pieces.length);
      }),
      { numRuns: 100 },
    );
  });

  test('merges while nobody reads, and holds the engine back past its bound', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    const text = 'x'.repeat(1000);
    let pushed = 0;
    while (writer.push({ type: 'chunk', tokens: 1, text }) === undefined) pushed++;
    expect(pushed).toBeLessThan(JOB.memoryChannelMessages + JOB.maxChunkBytes / 1000 + 1);
    let frames = 0;
    const finished = writer.finish().then(() => provider.close());
    while ((await requester.receive()) !== undefined) frames++;
    await finished;
    expect(frames).toBe(JOB.memoryChannelMessages + 1);
  });

  test('does not hide white space behind words: it can be told how many tokens of it an answer broke off behind', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    const words = ['one', ' two', '\n', '\n', ' three', ' four', '\n'];
    for (let i = 0; i < JOB.memoryChannelMessages; i++) void writer.push({ type: 'chunk', tokens: 1, text: '.' });
    for (const text of words) void writer.push({ type: 'chunk', tokens: 1, text });
    const finished = writer.finish().then(() => provider.close());
    const got: [string | undefined, number][] = [];
    for (let message = await requester.receive(); message !== undefined; message = await requester.receive()) {
      if (message.type === 'chunk' && message.text !== '.') got.push([message.text, message.tokens]);
    }
    await finished;
    expect(got).toEqual([
      ['one two', 2],
      ['\n\n three four', 4],
      ['\n', 1],
    ]);
  });

  test('gives a long text to a slow reader as it takes it, in frames of a bounded size', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    const half = 'x'.repeat(JOB.maxChunkBytes / 2);
    for (let i = 0; i < 100; i++) void writer.push({ type: 'chunk', tokens: 1, text: half });
    expect(writer.pendingChars).toBe((100 - JOB.memoryChannelMessages) * half.length);
    const got = [await requester.receive()];
    await new Promise(setImmediate);
    expect(writer.pendingChars).toBeGreaterThan(80 * half.length);
    const finished = writer.finish().then(() => provider.close());
    for (let next = await requester.receive(); next !== undefined; next = await requester.receive()) got.push(next);
    await finished;
    const sizes = got.map((message) => (message?.type === 'chunk' ? (message.text?.length ?? 0) : 0));
    expect(sizes.reduce((sum, length) => sum + length, 0)).toBe(100 * half.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(JOB.maxChunkBytes * 1.5);
    expect(writer.pendingChars).toBe(0);
  });

  test('holds the engine back until less than its bound waits', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    const half = 'x'.repeat(JOB.maxChunkBytes / 2);
    let held: Promise<void> | undefined;
    for (let i = 0; i < 100; i++) held = writer.push({ type: 'chunk', tokens: 1, text: half });
    let isHeld = true;
    void held?.then(() => {
      isHeld = false;
    });
    while (isHeld) {
      expect(writer.pendingChars).toBeGreaterThanOrEqual(JOB.maxChunkBytes);
      await requester.receive();
      await new Promise(setImmediate);
    }
    expect(writer.pendingChars).toBeLessThan(JOB.maxChunkBytes);
  });

  test('lets the engine go on when nobody waits for room any more, and hands over what is left when told to', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    const text = 'x'.repeat(1000);
    let held: Promise<void> | undefined;
    let pushed = 0;
    for (; held === undefined; pushed++) held = writer.push({ type: 'chunk', tokens: 1, text });
    writer.release();
    await held;
    expect(writer.push({ type: 'chunk', tokens: 1, text })).toBeUndefined();
    writer.force();
    provider.close();
    let tokens = 0;
    for (let next = await requester.receive(); next !== undefined; next = await requester.receive()) {
      if (next.type === 'chunk') tokens += next.tokens;
    }
    expect(tokens).toBe(pushed + 1);
  });

  test('ends with a channel that has ended', async () => {
    const { requester, provider } = memoryChannel(systemClock);
    const writer = new ChunkWriter(provider);
    for (let i = 0; i < 2 * JOB.memoryChannelMessages; i++) void writer.push({ type: 'chunk', tokens: 1, text: 'x' });
    requester.abort(new Error('gone'));
    await writer.finish();
    expect(writer.pendingChars).toBe(0);
  });
});
