/** The clients that people use, pointed at a node; and a bare one, for what the packages hide. */

import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Ollama } from 'ollama';
import OpenAI, { type ClientOptions } from 'openai';
import type { NodeProcess } from './node-process.ts';

/** Without retries unless said otherwise, so that a test sees every answer there was. */
export function openai(node: NodeProcess, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: `${node.api}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 60_000, ...options });
}

export function ollama(node: NodeProcess): Ollama {
  return new Ollama({ host: node.api });
}

/** A conversation of one question. */
export function ask(content: string): [{ role: 'user'; content: string }] {
  return [{ role: 'user', content }];
}

/** An answer as it came in. */
export interface Streamed {
  /** Of `/v1/chat/completions`, joined. */
  text: string;
  chunks: number;
  /** Set by the chunk that carries it. */
  usage: OpenAI.CompletionUsage | undefined;
  finish: string | null;
  /** From the headers. */
  readonly job: string;
  readonly provider: string;
  readonly route: string;
}

export interface StreamOptions {
  readonly model?: string;
  readonly content: string;
  readonly signal?: AbortSignal;
  /** Called with each chunk; the stream waits for it. */
  readonly onChunk?: (soFar: Streamed) => Promise<void> | void;
  /** More fields of the request. */
  readonly more?: Partial<OpenAI.ChatCompletionCreateParamsStreaming>;
}

/** Asks one question through the openai package and follows the stream to its end. */
export async function streamChat(client: OpenAI, options: StreamOptions): Promise<Streamed> {
  const { data: stream, response } = await client.chat.completions
    .create(
      {
        model: options.model ?? 'words',
        messages: ask(options.content),
        stream: true,
        stream_options: { include_usage: true },
        ...options.more,
      },
      { signal: options.signal },
    )
    .withResponse();
  const header = (name: string) => response.headers.get(name) ?? '';
  const streamed: Streamed = {
    text: '',
    chunks: 0,
    usage: undefined,
    finish: null,
    job: header('x-gogrid-job'),
    provider: header('x-gogrid-provider'),
    route: header('x-gogrid-route'),
  };
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    streamed.text += choice?.delta.content ?? '';
    streamed.chunks++;
    streamed.finish = choice?.finish_reason ?? streamed.finish;
    streamed.usage = chunk.usage ?? streamed.usage;
    await options.onChunk?.(streamed);
  }
  return streamed;
}

/** A request whose answer is not read until the test reads it. */
export interface RawAnswer {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
}

/** Sends a POST over a connection of its own, and resolves with the headers; the body stays paused. */
export function rawPost(url: string, body: unknown): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent: false, headers: { 'content-type': 'application/json' } });
    outgoing.once('response', (response) => resolve({ request: outgoing, response: response.pause() }));
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(body));
  });
}
