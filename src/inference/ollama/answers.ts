/**
 * Ollama's answer lines as engine events. This runs for every token: it reads the fields it needs, checks their types,
 * and merges what came together into one chunk.
 */

import { type GoGridError, toGoGridError } from '../../errors.ts';
import type { EngineEvent } from '../../jobs/ports.ts';
import { FINISH_REASONS, type FinishReason, type ToolCall } from '../../protocol/job.ts';
import { failed, fromOllama } from './failures.ts';

type Fields = Readonly<Record<string, unknown>>;
type Done = Extract<EngineEvent, { type: 'done' }>;

/** Ollama gives an answer up, without a last line, when a model repeats one token more often than this (llm/server.go). */
const REPEATS_UNTIL_GIVEN_UP = 30;
const NANOS_PER_MILLI = 1e6;

/** Reads one streamed answer, batch of lines by batch. One line counts as one token. */
export class AnswerReader {
  readonly #chat: boolean;
  readonly #model: string;
  #events: EngineEvent[] = [];
  #tokens = 0;
  #text = '';
  #thinking = '';
  #counted = 0;
  #last = '';
  #repeats = 0;
  /** The answer's last line has come. */
  done = false;
  /** What a line of the last batch said went wrong; the events before it still count. */
  failure: GoGridError | undefined;

  /** @param path the endpoint that answers: `/api/chat` nests its text in `message`, `/api/generate` does not */
  constructor(path: string, model: string) {
    this.#chat = path === '/api/chat';
    this.#model = model;
  }

  /**
   * The events of a batch, in the order of its lines. Sets `failure` to `engine_failed` at a line that makes no sense,
   * or to the error that Ollama's line names.
   */
  read(lines: readonly string[]): readonly EngineEvent[] {
    this.#events = [];
    try {
      for (const line of lines) {
        if (line !== '' && !this.done) this.#readLine(parseLine(line));
      }
    } catch (thrown) {
      this.failure = toGoGridError(thrown);
    }
    this.#flush();
    return this.#events;
  }

  /**
   * The end for an answer that closed in order but without a last line.
   * @throws GoGridError `engine_failed` unless Ollama gave up on a model that repeats itself
   */
  endWithoutLastLine(): Done {
    if (this.#repeats < REPEATS_UNTIL_GIVEN_UP) throw failed('Ollama ended an answer without its last line');
    this.done = true;
    const usage = { promptTokens: 0, outputTokens: this.#counted, loadMs: 0, prefillMs: 0, decodeMs: 0 };
    return { type: 'done', reason: 'length', usage };
  }

  #readLine(line: Fields): void {
    if (line.error !== undefined) {
      throw fromOllama(undefined, String(line.error), this.#model);
    }
    const message = this.#chat ? line.message : line;
    if (!isFields(message)) throw failed('Ollama sent a line without a message');
    const text = message[this.#chat ? 'content' : 'response'];
    const { thinking, tool_calls: calls } = message;
    const thinks = typeof thinking === 'string' && thinking !== '';
    const speaks = typeof text === 'string' && text !== '';
    const acts = Array.isArray(calls) && calls.length > 0;
    // The line's one token counts where its first part goes.
    let token = 1;
    if (thinks) {
      this.#addThinking(thinking, token);
      token = 0;
    }
    if (speaks) {
      this.#addText(text, token);
      token = 0;
    }
    if (acts) this.#addToolCalls(calls, token);
    if (line.done === true) this.#finish(line);
  }

  #addText(text: string, tokens: number): void {
    const word = text.trim();
    // White space alone is not hidden behind words: where an answer breaks off behind it, it is written, and counted, once more.
    const hidesSpace = word === '' && this.#text.trim() !== '';
    if (this.#thinking !== '' || hidesSpace) this.#flush();
    this.#text += text;
    this.#count(tokens);
    this.#repeats = word === this.#last ? this.#repeats + 1 : 0;
    this.#last = word;
  }

  #addThinking(thinking: string, tokens: number): void {
    if (this.#text !== '') this.#flush();
    this.#thinking += thinking;
    this.#count(tokens);
  }

  #addToolCalls(calls: readonly unknown[], tokens: number): void {
    this.#flush();
    this.#counted += tokens;
    this.#events.push({ type: 'chunk', tokens, toolCalls: calls.map(readToolCall) });
  }

  #count(tokens: number): void {
    this.#tokens += tokens;
    this.#counted += tokens;
  }

  #flush(): void {
    if (this.#text !== '') this.#events.push({ type: 'chunk', tokens: this.#tokens, text: this.#text });
    else if (this.#thinking !== '')
      this.#events.push({ type: 'chunk', tokens: this.#tokens, thinking: this.#thinking });
    this.#text = '';
    this.#thinking = '';
    this.#tokens = 0;
  }

  #finish(line: Fields): void {
    this.#flush();
    this.done = true;
    this.#events.push({ type: 'done', reason: finishReason(line), usage: readUsage(line, this.#counted) });
  }
}

/**
 * One line as an object.
 * @throws GoGridError `engine_failed` when it is none; the line itself may hold an answer and is not shown
 */
export function parseLine(line: string): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw failed(`Ollama sent a line of ${line.length} characters that is not JSON`);
  }
  if (!isFields(parsed)) throw failed('Ollama sent a line that is no JSON object');
  return parsed;
}

/**
 * The vectors of an `/api/embed` answer.
 * @param count how many texts were asked for
 * @throws GoGridError `engine_failed` when there are more or fewer, or they differ in length
 */
export function readVectors(answer: Fields, count: number): { dimensions: number; vectors: readonly Float32Array[] } {
  const embeddings = answer.embeddings;
  if (!Array.isArray(embeddings) || embeddings.length !== count) {
    throw failed(`Ollama sent no list of ${count} embeddings`);
  }
  const vectors = embeddings.map((vector: unknown) => {
    if (!Array.isArray(vector) || !vector.every((value) => typeof value === 'number')) {
      throw failed('Ollama sent an embedding that is no list of numbers');
    }
    return Float32Array.from(vector);
  });
  const dimensions = vectors[0]?.length ?? 0;
  if (vectors.some((vector) => vector.length !== dimensions || dimensions === 0)) {
    throw failed('Ollama sent embeddings of different lengths');
  }
  return { dimensions, vectors };
}

/** Usage out of a last line; Ollama leaves fields out that are zero. */
export function readUsage(line: Fields, counted: number): Done['usage'] {
  return {
    promptTokens: count(line.prompt_eval_count),
    outputTokens: count(line.eval_count) || counted,
    loadMs: millis(line.load_duration),
    prefillMs: millis(line.prompt_eval_duration),
    decodeMs: millis(line.eval_duration),
  };
}

/** Anything but what we know counts as a plain end. */
function finishReason(line: Fields): FinishReason {
  return FINISH_REASONS.find((reason) => reason === line.done_reason) ?? 'stop';
}

function readToolCall(call: unknown): ToolCall {
  const named = isFields(call) ? call.function : undefined;
  if (!isFields(call) || !isFields(named) || typeof named.name !== 'string') {
    throw failed('Ollama sent a tool call without a name');
  }
  const id = call.id;
  const given = named.arguments;
  return {
    ...(typeof id === 'string' && id !== '' && { id }),
    name: named.name,
    arguments: typeof given === 'string' ? given : JSON.stringify(given ?? {}),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function millis(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.round(value / NANOS_PER_MILLI) : 0;
}
