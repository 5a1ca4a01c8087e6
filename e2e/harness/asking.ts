/** One question by any of the ways in which people ask: two packages, streamed and whole. */

import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { ask, openai } from './clients.ts';
import type { NodeProcess } from './node-process.ts';

export const WAYS = ['openai streamed', 'openai whole', 'ollama streamed', 'ollama whole'] as const;
export type Way = (typeof WAYS)[number];

export interface Question {
  readonly content: string;
  /** Default `words`. */
  readonly model?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called with each piece of text, at once. */
  readonly onPiece?: (soFar: Heard) => void;
  /** Tools that the model may call; by Ollama's package alone. */
  readonly tools?: readonly object[];
}

/** What has come of the answer. */
export interface Heard {
  text: string;
  pieces: number;
  /** Of the answer's head; undefined before it came. */
  headers: Headers | undefined;
  /** HTTP status; undefined before it came. */
  status: number | undefined;
}

export interface Asking {
  /** Grows while the answer comes. */
  readonly heard: Heard;
  /** Resolves when the answer is whole; rejects with the package's error. */
  readonly ended: Promise<Heard>;
  hangUp(): void;
}

/** Beyond the time of any job here: a client that gives up by itself would hide one that hangs. */
const PATIENCE_MS = 600_000;

export function startAsking(node: NodeProcess, way: Way, question: Question): Asking {
  const client = new AbortController();
  const heard: Heard = { text: '', pieces: 0, headers: undefined, status: undefined };
  const hear = (text: string | null | undefined) => {
    if (!text) return;
    heard.text += text;
    heard.pieces++;
    question.onPiece?.(heard);
  };
  const listening: typeof fetch = async (url, init) => {
    const signals = [client.signal, ...(init?.signal ? [init.signal] : [])];
    const response = await fetch(url, { ...init, signal: AbortSignal.any(signals) });
    heard.headers = response.headers;
    heard.status = response.status;
    return response;
  };
  const speak = way.startsWith('openai') ? byOpenai : byOllama;
  const ended = speak(node, way.endsWith('streamed'), question, { hear, listening }).then(() => heard);
  // Whoever hangs up does not look at the end.
  ended.catch(() => undefined);
  return { heard, ended, hangUp: () => client.abort() };
}

/** The job's id, once the head of the answer is there. */
export function jobOf(heard: Heard): string | undefined {
  return heard.headers?.get('x-gogrid-job') ?? undefined;
}

interface Ear {
  readonly hear: (text: string | null | undefined) => void;
  readonly listening: typeof fetch;
}

async function byOpenai(node: NodeProcess, streamed: boolean, question: Question, ear: Ear): Promise<void> {
  const { headers } = question;
  const client = openai(node, {
    fetch: ear.listening,
    timeout: PATIENCE_MS,
    ...(headers && { defaultHeaders: headers }),
  });
  const body = { model: question.model ?? 'words', messages: ask(question.content) };
  if (!streamed) {
    ear.hear((await client.chat.completions.create(body)).choices[0]?.message.content);
    return;
  }
  let finish: string | null = null;
  for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
    ear.hear(choices[0]?.delta.content);
    finish = choices[0]?.finish_reason ?? finish;
  }
  if (finish === null) throw new Error('the stream ended without its end');
}

async function byOllama(node: NodeProcess, streamed: boolean, question: Question, ear: Ear): Promise<void> {
  const client = new Ollama({ host: node.api, fetch: ear.listening, headers: { ...question.headers } });
  const body = {
    model: question.model ?? 'words',
    messages: ask(question.content),
    ...(question.tools && { tools: question.tools as [] }),
  };
  if (!streamed) {
    ear.hear((await client.chat(body)).message.content);
    return;
  }
  let done = false;
  for await (const part of await client.chat({ ...body, stream: true })) {
    ear.hear(part.message.content);
    done ||= part.done;
  }
  if (!done) throw new Error('the stream ended without its end');
}

/** How a client package says that an answer failed, whichever it is. */
export interface Refusal {
  /** HTTP status, 200 when the answer had begun, or undefined without an answer. */
  readonly status: number | undefined;
  readonly retryAfter: string | null;
  readonly message: string;
  /** OpenAI's package alone. */
  readonly code: string | undefined;
}

/** The failure of an answer that must fail. @throws Error when it does not */
export async function refusalOf(asking: Asking): Promise<Refusal> {
  const error: unknown = await asking.ended.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error)) throw new Error(`answered instead of refused: ${asking.heard.text.slice(0, 100)}`);
  const { status, headers } = asking.heard;
  const code = error instanceof OpenAI.APIError ? (error.code ?? undefined) : undefined;
  return { status, retryAfter: headers?.get('retry-after') ?? null, message: error.message, code };
}
