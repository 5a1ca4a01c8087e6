import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROUTING } from '../../limits/jobs.ts';
import type { ChatInput, JobInput } from '../../protocol/job.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { Affinity, readerKey } from './affinity.ts';

const HERE = readerKey('n', 'd');

function setUp() {
  const clock = new VirtualClock();
  const hashed: string[] = [];
  // Stands for a salted hash: equal texts get equal names, and no name shows its text.
  const names = new Map<string, string>();
  const hash = (text: string) => {
    hashed.push(text);
    const name = names.get(text) ?? `h${names.size}`;
    names.set(text, name);
    return name;
  };
  const affinity = new Affinity(clock, hash);
  /** The node has run it, as the router tells it: it was weighed before. */
  const ran = (input: JobInput, node = 'n') => {
    affinity.warmTokens(input);
    affinity.read(input, node, 'd');
  };
  const warmAt = (input: JobInput) => affinity.warmTokens(input).get(HERE) ?? 0;
  return { clock, affinity, hashed, ran, warmAt };
}

function chat(...contents: string[]): ChatInput {
  return {
    kind: 'chat',
    messages: contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  };
}

describe('who has read the beginning of a prompt', () => {
  it('is who ran a beginning of the same messages, and nobody for other ones', () => {
    const text = fc.string({ maxLength: 200 });
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), fc.array(text, { maxLength: 3 }), (begin, more) => {
        const { ran, warmAt } = setUp();
        ran(chat(...begin));
        const characters = begin.reduce((sum, each, i) => sum + each.length + (i % 2 === 0 ? 5 : 10), 0);
        expect(warmAt(chat(...begin, ...more))).toBe(Math.floor(characters / ROUTING.charsPerToken));
        expect(warmAt(chat(`x${begin[0]}`, ...begin.slice(1), ...more))).toBe(0);
      }),
    );
  });

  it('a shared beginning, such as a system prompt, counts for a new conversation', () => {
    const { ran, warmAt } = setUp();
    const system = 's'.repeat(4_000);
    ran(chat(system, 'a', 'b'));
    expect(warmAt(chat(system, 'c', 'd'))).toBe(1_001);
  });

  it('tools stand before the conversation', () => {
    const { ran, warmAt } = setUp();
    const tool = { type: 'function', function: { name: 'f' } };
    ran({ ...chat('hello'), tools: [tool] });
    expect(warmAt(chat('hello', 'hi'))).toBe(0);
    expect(warmAt({ ...chat('hello', 'hi'), tools: [tool] })).toBeGreaterThan(0);
  });

  it('a plain prompt is compared in steps', () => {
    const { ran, warmAt } = setUp();
    const text = Array.from({ length: 3 * ROUTING.prefixStepChars }, (_, i) => String(i % 7)).join('');
    ran({ kind: 'generate', prompt: text });
    expect(warmAt({ kind: 'generate', prompt: `${text}and more` })).toBe(
      (3 * ROUTING.prefixStepChars) / ROUTING.charsPerToken,
    );
    expect(warmAt({ kind: 'generate', prompt: `other ${text}` })).toBe(0);
    expect(warmAt({ kind: 'embed', inputs: [text] })).toBe(0);
  });

  it('is forgotten when the engine has unloaded it, and when others have made room', async () => {
    const { clock, ran, warmAt } = setUp();
    ran(chat('hello there'));
    await clock.advance(ROUTING.staysWarmMs - 1);
    expect(warmAt(chat('hello there'))).toBeGreaterThan(0);
    await clock.advance(1);
    expect(warmAt(chat('hello there'))).toBe(0);
    ran(chat('first'));
    for (let i = 0; i < ROUTING.maxPrefixes; i++) ran(chat(`c${i}`));
    expect(warmAt(chat('first'))).toBe(0);
  });

  it('hashes an input once, and remembers none that was not weighed', () => {
    const { affinity, hashed, warmAt } = setUp();
    const input = chat('hello there');
    affinity.read(input, 'n', 'd');
    expect(hashed).toEqual([]);
    expect([warmAt(input), warmAt(input)]).toEqual([0, 0]);
    expect(hashed).toHaveLength(1);
  });
});
