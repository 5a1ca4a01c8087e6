/** Answers of Ollama's `/api/chat` and `/api/generate`: one JSON object a line, or one in all. */

import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import type { ToolCall } from '../../protocol/job.ts';
import { type ErrorAnswer, errorAnswer, errorBody } from '../dialect.ts';
import type { AnswerFormat, Chunk, Done, Placed, WholeAnswer } from '../job-answer.ts';
import { jobSummary } from '../job-headers.ts';
import { toolCallId } from '../tools.ts';

const NS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1_000;

export interface AnswerOptions {
  readonly endpoint: 'chat' | 'generate';
  /** As the client wrote it. */
  readonly model: string;
  /** `clock.elapsed()` when the request was read. */
  readonly startedAt: number;
}

/** A part of an answer, or all of it. */
interface Piece {
  readonly text: string;
  readonly thinking: string;
  readonly toolCalls: readonly object[];
}
const NOTHING: Piece = { text: '', thinking: '', toolCalls: [] };

/** One stream's lines. A line of text is that text between two pieces made once, with the time of day in the first. */
export class AnswerLines implements AnswerFormat {
  readonly contentType = 'application/x-ndjson';
  /** After an error line and an orderly end, two clients take the answer for complete. */
  readonly cutAfterError = true;
  readonly #options: AnswerOptions;
  readonly #clock: Clock;
  readonly #head: string;
  readonly #beforeText: string;
  readonly #afterText: string;
  #placed: Placed | undefined;
  #toolCalls = 0;
  #second = -1;
  #secondText = '';

  constructor(options: AnswerOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    const isChat = options.endpoint === 'chat';
    this.#head = `{"model":${JSON.stringify(options.model)},"created_at":"`;
    this.#beforeText = isChat ? '","message":{"role":"assistant","content":' : '","response":';
    this.#afterText = isChat ? '},"done":false}\n' : ',"done":false}\n';
  }

  /** This dialect has no line that every client reads over: a hand-over stands in the last one. */
  placed(placed: Placed): string {
    this.#placed = placed;
    return '';
  }

  chunk({ text = '', thinking = '', toolCalls = [] }: Chunk): string {
    if (thinking === '' && toolCalls.length === 0) return text === '' ? '' : this.#textLine(text);
    const calls = toolCalls.map((call) => toolCallOf(call, this.#placed?.job, this.#toolCalls++));
    const piece = fieldsOf(this.#options, { text, thinking, toolCalls: calls });
    return `${JSON.stringify({ model: this.#options.model, created_at: this.#now(), ...piece, done: false })}\n`;
  }

  done(done: Done): string {
    const durations = durationsOf(done, this.#options.startedAt, this.#clock);
    return `${JSON.stringify(finalObject(this.#options, this.#now(), NOTHING, durations, this.#placed, done))}\n`;
  }

  /** A blank line kills two clients; a line with no text in it none. */
  keepAlive(): string {
    return this.#textLine('');
  }

  error(error: GoGridError): string {
    return `${errorBody('ollama', error)}\n`;
  }

  errorAnswer(error: GoGridError): ErrorAnswer {
    return errorAnswer('ollama', error);
  }

  #textLine(text: string): string {
    return this.#head + this.#now() + this.#beforeText + JSON.stringify(text) + this.#afterText;
  }

  /** As `timestamp`, which takes longer than all else in a line; only the milliseconds change with every one. */
  #now(): string {
    const now = this.#clock.now();
    const second = Math.floor(now / MS_PER_SECOND);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = timestamp(second * MS_PER_SECOND).slice(0, -'000Z'.length);
    }
    return `${this.#secondText}${String(now - second * MS_PER_SECOND).padStart(3, '0')}Z`;
  }
}

/** The body of an answer that is not streamed. */
export function wholeAnswer(answer: WholeAnswer, options: AnswerOptions, clock: Clock): object {
  const { text, thinking, placed, done } = answer;
  const toolCalls = answer.toolCalls.map((call, index) => toolCallOf(call, done.job.id, index));
  const durations = durationsOf(done, options.startedAt, clock);
  return finalObject(options, timestamp(clock.now()), { text, thinking, toolCalls }, durations, placed, done);
}

/** RFC 3339. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}

/** The durations that Ollama reports, in nanoseconds. */
export function durationsOf(done: Done, startedAt: number, clock: Clock): Record<string, number> {
  const { promptTokens, outputTokens, loadMs, prefillMs, decodeMs } = done.usage;
  return {
    total_duration: Math.round((clock.elapsed() - startedAt) * NS_PER_MS),
    load_duration: loadMs * NS_PER_MS,
    prompt_eval_count: promptTokens,
    prompt_eval_duration: prefillMs * NS_PER_MS,
    eval_count: outputTokens,
    eval_duration: decodeMs * NS_PER_MS,
  };
}

function finalObject(
  options: AnswerOptions,
  createdAt: string,
  piece: Piece,
  durations: object,
  placed: Placed | undefined,
  done: Done,
): object {
  const { reason } = done;
  const answer = {
    model: options.model,
    created_at: createdAt,
    ...fieldsOf(options, piece),
    done: true,
    done_reason: reason,
  };
  if (reason === 'load' || reason === 'unload') return answer;
  return { ...answer, ...durations, x_gogrid: jobSummary(placed, done) };
}

function fieldsOf({ endpoint }: AnswerOptions, { text, thinking, toolCalls }: Piece): object {
  const more = {
    ...(thinking !== '' && { thinking }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  };
  if (endpoint === 'chat') return { message: { role: 'assistant', content: text, ...more } };
  return { response: text, ...more };
}

/** @throws GoGridError `engine_failed` when the model's arguments are no object, which this dialect has no way to say */
function toolCallOf(call: ToolCall, job: string | undefined, index: number): object {
  return {
    id: toolCallId(call, job, index),
    function: { index, name: call.name, arguments: objectOf(call.arguments) },
  };
}

function objectOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, without the text.
  }
  throw new GoGridError({
    code: 'engine_failed',
    message: 'the model called a tool with arguments that are no object',
  });
}
