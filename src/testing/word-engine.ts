/**
 * An engine for pure tests: its answer is a function of the prompt alone, every word differs from its neighbours, and a
 * continuation goes on exactly where any prefix of that answer ends. So a word lost or repeated anywhere is seen.
 */

import { GoGridError } from '../errors.ts';
import type { Engine, EngineCall, EngineEvent, EngineModel } from '../jobs/ports.ts';
import type { JobInput } from '../protocol/job.ts';

/** What goes wrong in the next calls: after so many tokens the engine throws, or says nothing more until it is stopped. */
export interface Fault {
  readonly afterTokens: number;
  readonly how: 'throw' | 'hang';
}

export interface WordEngineOptions {
  readonly models: readonly string[];
  /** Words of an answer. */
  readonly words: number;
  /** Tokens in one chunk. */
  readonly perChunk: number;
  readonly digest: string;
}

const SEPARATORS = [' ', ' ', ' ', '\n', ' ', '\n\n', ' ', '  '];
const ODD_WORDS = ['naïve', '日本', '🙂', 'a', 'x.'];

/** The tokens of the answer to a prompt: like a real model's, each with its white space in front. */
export function answerTokens(prompt: string, words: number): string[] {
  let seed = 7;
  for (const char of prompt) seed = (seed * 31 + char.charCodeAt(0)) % 1_000_003;
  return Array.from({ length: words }, (_, i) => {
    seed = (seed * 48_271 + 11) % 2_147_483_647;
    const odd = seed % 11 < ODD_WORDS.length ? ODD_WORDS[seed % 11] : 'w';
    return `${i === 0 ? '' : SEPARATORS[seed % SEPARATORS.length]}${odd}${i}`;
  });
}

export class WordEngine implements Engine {
  readonly kind = 'words';
  readonly options: WordEngineOptions;
  readonly calls: EngineCall[] = [];
  readonly faults: Fault[] = [];
  /** Calls that run now, and the most that ever did at once. */
  active = 0;
  mostActive = 0;
  readonly #listeners = new Set<() => void>();

  constructor(options: Partial<WordEngineOptions> = {}) {
    this.options = { models: ['words:latest'], words: 12, perChunk: 1, digest: 'ab'.repeat(32), ...options };
  }

  status() {
    return { state: 'ready', version: '1', hint: undefined } as const;
  }

  models(): readonly EngineModel[] {
    return this.options.models.map((name) => ({
      name,
      digest: this.options.digest,
      sizeBytes: 1,
      parameterCount: 1,
      quantisation: 'F32',
      family: 'words',
      contextLength: 4096,
      capabilities: ['completion'],
      continues: 'yes',
      warm: true,
      modifiedAt: 0,
      format: 'gguf',
    }));
  }

  loaded() {
    return Promise.resolve([]);
  }

  describe() {
    return Promise.resolve({ template: '', parameters: '', system: '', license: '', modelInfo: {} });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async *run(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    this.calls.push(call);
    this.mostActive = Math.max(this.mostActive, ++this.active);
    try {
      yield* this.#speak(call, signal);
    } finally {
      this.active--;
    }
  }

  async *#speak(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const fault = this.faults.shift();
    const tokens = answerTokens(promptOf(call.input), this.options.words);
    const start = call.resume === undefined ? 0 : tokensBefore(tokens, call.resume.text);
    const { perChunk } = this.options;
    for (let at = start; at < tokens.length; at += perChunk) {
      await new Promise(setImmediate);
      signal.throwIfAborted();
      if (fault !== undefined && at - start >= fault.afterTokens) await fail(fault, signal);
      const text = tokens.slice(at, at + perChunk);
      yield { type: 'chunk', tokens: text.length, text: text.join('') };
    }
    const outputTokens = tokens.length - start;
    yield {
      type: 'done',
      reason: 'stop',
      usage: { promptTokens: 5 + start, outputTokens, loadMs: 0, prefillMs: 1, decodeMs: 10 },
    };
  }
}

export function promptOf(input: JobInput): string {
  return JSON.stringify(input.kind === 'chat' ? input.messages : input.kind === 'generate' ? input.prompt : input.kind);
}

/** How many tokens `prefix` holds: it ends at a token's end, but for white space that was cut off. */
function tokensBefore(tokens: readonly string[], prefix: string): number {
  let text = '';
  for (let count = 0; count <= tokens.length; count++) {
    if (text.trimEnd() === prefix) return count;
    text += tokens[count] ?? '';
  }
  throw new GoGridError({ code: 'engine_failed', message: 'asked to continue an answer that is not its own' });
}

async function fail(fault: Fault, signal: AbortSignal): Promise<never> {
  if (fault.how === 'throw') throw new GoGridError({ code: 'engine_failed', message: 'the engine broke' });
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  throw signal.reason;
}
