/**
 * An engine for pure tests: its answer is a function of the prompt alone, every word differs from its neighbours, and a
 * continuation goes on exactly where any prefix of that answer ends. So a word lost or repeated anywhere is seen.
 */

import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { outputLimitOf } from '../jobs/bounds.ts';
import type { Engine, EngineCall, EngineEvent, EngineModel } from '../jobs/ports.ts';
import type { FinishReason, JobInput } from '../protocol/job.ts';

/**
 * What goes wrong in the next call: after so many tokens the engine throws, or says nothing more until it is stopped, or
 * says nothing for `ms` milliseconds.
 */
export interface Fault {
  readonly afterTokens: number;
  readonly how: 'throw' | 'hang' | 'stall';
  readonly ms?: number;
}

/** How long things take; without it a token comes with every turn of the event loop. */
export interface Pace {
  readonly clock: Clock;
  /** Milliseconds to load a model that is not the one loaded last. */
  readonly loadMs: number;
  /** Milliseconds to read the prompt. */
  readonly prefillMs: number;
  /** Milliseconds before the next chunk. */
  readonly gapMs: () => number;
  /** Milliseconds from the order to stop until it has stopped. */
  readonly stopMs: number;
}

export interface WordEngineOptions {
  readonly models: readonly string[];
  /** Words of an answer. */
  readonly words: number | ((prompt: string) => number);
  /** Tokens in one chunk. */
  readonly perChunk: number;
  readonly digest: string;
  readonly pace: Pace | undefined;
  /** The white space between two words comes with the first of them; a continuation begins with it all the same. */
  readonly spaceBehind: boolean;
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
  #loaded: string | undefined;
  #reachable = true;

  constructor(options: Partial<WordEngineOptions> = {}) {
    const usual = { models: ['words:latest'], words: 12, perChunk: 1, digest: 'ab'.repeat(32) };
    this.options = { ...usual, pace: undefined, spaceBehind: false, ...options };
  }

  /** An engine that goes away takes its models with it. */
  set reachable(reachable: boolean) {
    this.#reachable = reachable;
    for (const listener of [...this.#listeners]) listener();
  }

  status() {
    return this.#reachable
      ? ({ state: 'ready', version: '1', hint: undefined } as const)
      : ({ state: 'unreachable', version: '1', hint: 'start it' } as const);
  }

  models(): readonly EngineModel[] {
    const models = this.#reachable ? this.options.models : [];
    return models.map((name) => ({
      name,
      digest: this.options.digest,
      sizeBytes: 1,
      parameterCount: 1,
      quantisation: 'F32',
      family: 'words',
      contextLength: 4096,
      capabilities: ['completion', 'tools'],
      continues: 'yes',
      warm: this.#loaded === undefined || this.#loaded === name,
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
    let complete = false;
    try {
      yield* this.#speak(call, signal);
      complete = true;
    } finally {
      const { pace } = this.options;
      if (!complete && pace !== undefined && pace.stopMs > 0) await wait(pace.clock, pace.stopMs);
      this.active--;
    }
  }

  async *#speak(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const fault = this.faults.shift();
    const startedAt = this.options.pace?.clock.elapsed() ?? 0;
    yield* this.#begin(call, signal);
    const { tokens, reason, start } = this.#answer(call);
    const { perChunk, spaceBehind } = this.options;
    const pieces = spaceBehind ? withSpaceBehind(tokens.slice(start)) : tokens.slice(start);
    const decodesAt = this.options.pace?.clock.elapsed() ?? 0;
    for (let at = start; at < tokens.length; at += perChunk) {
      await this.#untilNext(signal);
      if (fault !== undefined && at - start >= fault.afterTokens) await this.#fail(fault, signal);
      const text = pieces.slice(at - start, at - start + perChunk);
      yield { type: 'chunk', tokens: text.length, text: text.join('') };
    }
    const outputTokens = tokens.length - start;
    const decodeMs = Math.round((this.options.pace?.clock.elapsed() ?? 10) - decodesAt);
    const prefillMs = Math.max(1, Math.round(decodesAt - startedAt));
    yield {
      type: 'done',
      reason,
      usage: { promptTokens: PROMPT_TOKENS + start, outputTokens, loadMs: 0, prefillMs, decodeMs },
    };
  }

  /** The answer, and where this call begins. Like an engine, it trusts what it is told of how much is written already. */
  #answer({ input, resume }: EngineCall) {
    const { words } = this.options;
    if (resume === undefined) return { ...wholeAnswer(input, words), start: 0 };
    const start = tokensBefore(wholeAnswer({ ...input, options: {} }, words).tokens, resume.text);
    return { ...wholeAnswer(input, words, start - resume.tokens), start };
  }

  /** Loads and reads, where that takes time. */
  async *#begin({ model }: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const { pace } = this.options;
    if (pace === undefined) return;
    if (this.#loaded !== model) {
      yield { type: 'progress', phase: 'loading' };
      await wait(pace.clock, pace.loadMs, signal);
      this.#loaded = model;
    }
    yield { type: 'progress', phase: 'prefill' };
    await wait(pace.clock, pace.prefillMs, signal);
  }

  async #untilNext(signal: AbortSignal): Promise<void> {
    const { pace } = this.options;
    if (pace === undefined) await new Promise(setImmediate);
    else await wait(pace.clock, pace.gapMs(), signal);
    signal.throwIfAborted();
    if (!this.#reachable) throw new GoGridError({ code: 'engine_unavailable', message: 'the engine is gone' });
  }

  async #fail({ how, ms = 0 }: Fault, signal: AbortSignal): Promise<void> {
    if (how === 'throw') throw new GoGridError({ code: 'engine_failed', message: 'the engine broke' });
    const { pace } = this.options;
    if (how === 'stall' && pace !== undefined) return wait(pace.clock, ms, signal);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw signal.reason;
  }
}

/** What the word engine counts for any prompt. */
export const PROMPT_TOKENS = 5;

/**
 * What the engine answers from the first token to the last, under the request's own bound, `num_predict`.
 * @param uncounted tokens of it that do not count for the bound
 */
export function wholeAnswer(
  input: JobInput,
  words: WordEngineOptions['words'],
  uncounted = 0,
): { readonly tokens: readonly string[]; readonly reason: FinishReason } {
  const prompt = promptOf(input);
  const all = answerTokens(prompt, typeof words === 'number' ? words : words(prompt));
  const tokens = all.slice(0, (outputLimitOf(input) ?? all.length) + uncounted);
  return { tokens, reason: tokens.length < all.length ? 'length' : 'stop' };
}

export function promptOf(input: JobInput): string {
  return JSON.stringify(input.kind === 'chat' ? input.messages : input.kind === 'generate' ? input.prompt : input.kind);
}

function withSpaceBehind(tokens: readonly string[]): string[] {
  const spaceOf = (token = '') => token.slice(0, token.length - token.trimStart().length);
  return tokens.map((token, at) => (at === 0 ? token : token.trimStart()) + spaceOf(tokens[at + 1]));
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

/** @throws what `signal` was aborted with */
function wait(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const leave = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', leave);
      resolve();
    });
    signal?.addEventListener('abort', leave, { once: true });
  });
}
