/** Answers of `POST /v1/chat/completions`: as server-sent events, or whole. */

import type { GoGridError } from '../../errors.ts';
import type { ToolCall } from '../../protocol/job.ts';
import { type ErrorAnswer, errorAnswer, errorBody } from '../dialect.ts';
import type { AnswerFormat, Chunk, Done, Placed, WholeAnswer } from '../job-answer.ts';
import { jobSummary } from '../job-headers.ts';
import { toolCallId } from '../tools.ts';

/** OpenAI's clients compare it between answers; ours never changes what a seed means. */
const FINGERPRINT = 'fp_gogrid';
const NOT_FINISHED = '},"finish_reason":null}]}\n\n';

export interface ChatAnswerOptions {
  /** As the client wrote it. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly includeUsage: boolean;
}

/**
 * One stream's events. What is the same in every event is made once; a chunk is then its text between two constant
 * pieces.
 */
export class ChatEvents implements AnswerFormat {
  readonly contentType = 'text/event-stream; charset=utf-8';
  readonly cutAfterError = false;
  readonly #options: ChatAnswerOptions;
  #placed: Placed | undefined;
  #head = '';
  #contentHead = '';
  #begun = false;
  #toolCalls = 0;

  constructor(options: ChatAnswerOptions) {
    this.#options = options;
    this.#makeHead('');
  }

  /** A comment, which clients read over: who wants to show a hand-over finds it where it happened. */
  placed(placed: Placed): string {
    this.#placed = placed;
    this.#makeHead(placed.job);
    const { provider, route } = placed;
    return this.#begun ? `: handover ${JSON.stringify({ provider, route })}\n\n` : '';
  }

  chunk({ text, thinking, toolCalls }: Chunk): string {
    if (this.#begun && text && !thinking && !toolCalls) return this.#contentHead + JSON.stringify(text) + NOT_FINISHED;
    const fields: string[] = [];
    if (text) fields.push(`"content":${JSON.stringify(text)}`);
    if (thinking) fields.push(`"reasoning":${JSON.stringify(thinking)}`);
    if (toolCalls?.length) fields.push(`"tool_calls":[${toolCalls.map((call) => this.#toolCall(call)).join(',')}]`);
    return fields.length === 0 ? '' : this.#delta(fields);
  }

  done(done: Done): string {
    const beginning = this.#begun ? '' : this.#delta(['"content":""']);
    const reason = JSON.stringify(finishReason(done, this.#toolCalls > 0));
    const finish = `${this.#head}"choices":[{"index":0,"delta":{},"finish_reason":${reason}}]}\n\n`;
    return `${beginning}${finish}${this.#usage(done)}data: [DONE]\n\n`;
  }

  keepAlive(): string {
    return ': keepalive\n\n';
  }

  /** Without a `[DONE]`: a stream that ends in order would pass for a complete answer. */
  error(error: GoGridError): string {
    return `data: ${errorBody('openai', error)}\n\n`;
  }

  errorAnswer(error: GoGridError): ErrorAnswer {
    return errorAnswer('openai', error);
  }

  #makeHead(job: string): void {
    const { model, created } = this.#options;
    const fields = { id: `chatcmpl-${job}`, object: 'chat.completion.chunk', created, model };
    this.#head = `data: ${JSON.stringify({ ...fields, system_fingerprint: FINGERPRINT }).slice(0, -1)},`;
    this.#contentHead = `${this.#head}"choices":[{"index":0,"delta":{"content":`;
  }

  #delta(fields: readonly string[]): string {
    const role = this.#begun ? [] : ['"role":"assistant"'];
    this.#begun = true;
    return `${this.#head}"choices":[{"index":0,"delta":{${[...role, ...fields].join(',')}${NOT_FINISHED}`;
  }

  #toolCall(call: ToolCall): string {
    const index = this.#toolCalls++;
    return JSON.stringify({ index, ...toolCall(call, this.#placed?.job, index) });
  }

  #usage(done: Done): string {
    if (!this.#options.includeUsage) return '';
    const x_gogrid = jobSummary(this.#placed, done);
    return `${this.#head}${JSON.stringify({ choices: [], usage: usageOf(done), x_gogrid }).slice(1)}\n\n`;
  }
}

/** The body of an answer that is not streamed. */
export function wholeChat(answer: WholeAnswer, options: ChatAnswerOptions): object {
  const { placed, done, text, thinking, toolCalls } = answer;
  const calls = toolCalls.map((call, index) => toolCall(call, done.job.id, index));
  const message = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    ...(thinking !== '' && { reasoning: thinking }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    id: `chatcmpl-${done.job.id}`,
    object: 'chat.completion',
    created: options.created,
    model: options.model,
    system_fingerprint: FINGERPRINT,
    choices: [{ index: 0, message, finish_reason: finishReason(done, calls.length > 0) }],
    usage: usageOf(done),
    x_gogrid: jobSummary(placed, done),
  };
}

function toolCall(call: ToolCall, job: string | undefined, index: number): object {
  return {
    id: toolCallId(call, job, index),
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  };
}

function finishReason({ reason }: Done, calledTools: boolean): string {
  if (calledTools) return 'tool_calls';
  return reason === 'length' ? 'length' : 'stop';
}

function usageOf({ usage: { promptTokens, outputTokens } }: Done): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: outputTokens,
    total_tokens: promptTokens + outputTokens,
  };
}
