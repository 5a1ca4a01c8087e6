/** What a job asks of the embedded engine, and what it refuses before anything is loaded. Pure. */

import { GoGridError } from '../../errors.ts';
import { outputLimitOf } from '../../jobs/bounds.ts';
import { requestObstacle } from '../../jobs/resume.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import type { ChatInput, GenerateInput, JobInput, JobRequest } from '../../protocol/job.ts';

/** Inputs whose answer is text that comes token by token. */
export type TextInput = ChatInput | GenerateInput;
export type Resume = NonNullable<JobRequest['resume']>;

export interface TextOptions {
  /** Output tokens; infinite when nothing limits them. */
  readonly numPredict: number;
  /** Undefined when the request does not say. */
  readonly threads: number | undefined;
}

export function optionsOf({ options }: Pick<JobInput, 'options'>): TextOptions {
  const threads = options?.num_thread;
  return {
    numPredict: Math.floor(outputLimitOf({ options }) ?? Number.POSITIVE_INFINITY),
    threads: typeof threads === 'number' && threads >= 1 ? Math.floor(threads) : undefined,
  };
}

/**
 * Tokens of the context that a call gets: what it asks for, within what the model can do.
 * @param modelTokens the model's own length; 0 when it is not known
 */
export function contextTokens({ options }: Pick<JobInput, 'options'>, modelTokens: number): number {
  const asked = options?.num_ctx;
  const wanted = typeof asked === 'number' && asked > 0 ? Math.floor(asked) : EMBEDDED.defaultContextTokens;
  const most = modelTokens > 0 ? modelTokens : EMBEDDED.defaultContextTokens;
  return Math.min(most, Math.max(EMBEDDED.minContextTokens, wanted));
}

/**
 * Checks that the engine can do what is asked.
 * @throws GoGridError `unsupported`, naming the part of the request that it cannot do
 */
export function checkSupported(model: string, input: JobInput, embedsOnly: boolean): void {
  const why = unsupported(input, embedsOnly);
  if (why === undefined) return;
  throw new GoGridError({
    code: 'unsupported',
    message: `${model} ${why} on the embedded engine`,
    hint: 'use Ollama for it (https://ollama.com/download), or ask a peer that has it',
  });
}

function unsupported(input: JobInput, embedsOnly: boolean): string | undefined {
  if (input.kind === 'embed' || input.kind === 'load') return undefined;
  if (embedsOnly) return `does not support ${input.kind}`;
  if (input.think !== undefined && input.think !== false) return 'does not support thinking';
  if (input.kind === 'chat') {
    if (filled(input.tools)) return 'does not support tools';
    return input.messages.some((message) => filled(message.images)) ? 'does not support images' : undefined;
  }
  if (filled(input.images)) return 'does not support images';
  if (filled(input.suffix)) return 'does not support insert (suffix)';
  if (filled(input.template)) return 'does not support a template of the request';
  return filled(input.context) ? 'does not support a token context' : undefined;
}

function filled(value: { readonly length: number } | null | undefined): boolean {
  return value !== undefined && value !== null && value.length > 0;
}

/**
 * Checks that a text prefix says all there is to say about where the answer stands.
 * @throws GoGridError `cannot_continue`
 */
export function checkResumable(model: string, input: JobInput): asserts input is TextInput {
  const text = input.kind === 'chat' || input.kind === 'generate';
  const why = text ? requestObstacle(input) : `${input.kind} jobs have no text to go on with`;
  if (why !== undefined) throw cannotContinue(model, why);
}

/** The error of a call that cannot go on in the middle. */
export function cannotContinue(model: string, why: string): GoGridError {
  return new GoGridError({
    code: 'cannot_continue',
    message: `${model} cannot continue this answer here: ${why}`,
    hint: 'ask for it again from the beginning',
  });
}

/** Whether the answer has all its tokens already. */
export function isSpent(input: TextInput, resume: Resume): boolean {
  return resume.tokens >= optionsOf(input).numPredict;
}

const UNITS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const DURATION = /^-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/;

/**
 * How long a model stays in memory: a number of seconds, or a duration of Go such as `5m` or `1h30m`.
 * @returns milliseconds, infinite for a negative one; undefined when the request does not say
 * @throws GoGridError `invalid_request`
 */
export function keepAliveMs(keepAlive: JobInput['keepAlive']): number | undefined {
  if (keepAlive === undefined) return undefined;
  const seconds = typeof keepAlive === 'number' ? keepAlive : Number(keepAlive.trim() || Number.NaN);
  const ms = Number.isNaN(seconds) ? durationMs(String(keepAlive).trim()) : seconds * 1000;
  if (ms === undefined || Number.isNaN(ms)) {
    const message = `keep_alive: '${String(keepAlive)}' is no duration`;
    throw new GoGridError({ code: 'invalid_request', message, hint: 'use seconds, or a duration such as 5m' });
  }
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}

function durationMs(text: string): number | undefined {
  const negative = text.startsWith('-');
  let rest = negative ? text.slice(1) : text;
  if (rest === '') return undefined;
  let ms = 0;
  while (rest !== '') {
    const [matched, count, , unit] = DURATION.exec(rest) ?? [];
    if (matched === undefined) return undefined;
    ms += Number(count) * UNITS[unit as keyof typeof UNITS];
    rest = rest.slice(matched.length);
  }
  return negative ? -ms : ms;
}
