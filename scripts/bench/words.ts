/** Engines in this process whose words can be checked, and a client that notes when each piece of an answer came. */

import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeOllama } from '../../e2e/engine/server.ts';
import type { FakeCall, FakeSettings } from '../../e2e/engine/settings.ts';
import { tokensTo } from '../../e2e/harness/expected.ts';

export interface WordEngine {
  readonly fake: FakeOllama;
  readonly url: string;
}

/** It ends with this process. */
export async function startWordEngine(settings: Partial<FakeSettings>): Promise<WordEngine> {
  const fake = new FakeOllama(settings);
  const server = fake.server().listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return { fake, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** The newest answer that an engine was asked for; one that only renders a prompt does not count. */
export function lastAnswerOf({ fake }: WordEngine): FakeCall | undefined {
  return fake.report().calls.findLast(({ render }) => !render);
}

/** A piece of an answer, with the wall clock that all processes of this machine share. */
export interface Arrival {
  readonly at: number;
  readonly text: string;
}

export interface Heard {
  /** 200, or what was answered instead. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly askedAt: number;
  readonly endedAt: number;
  readonly arrivals: readonly Arrival[];
  readonly text: string;
  /** Of the last line: as the engine counted. */
  readonly promptTokens: number;
  readonly tokens: number;
  /** What came in place of an answer, or broke it off. */
  readonly error: string | undefined;
}

export interface Question {
  readonly url: string;
  readonly model?: string;
  readonly content: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called when so many pieces of the answer have come. */
  readonly onText?: (pieces: number, headers: Heard['headers']) => void;
  /** Hangs up. */
  readonly signal?: AbortSignal;
}

interface Line {
  readonly message?: { readonly content?: string };
  readonly done?: boolean;
  readonly prompt_eval_count?: number;
  readonly eval_count?: number;
  readonly error?: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1_024 });

/**
 * Asks in Ollama's words, streamed. Whatever is answered is no error here.
 * @throws Error when there is no connection, or the signal aborts before the answer begins
 */
export function hear({ url, model = 'words', content, headers = {}, onText, signal }: Question): Promise<Heard> {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content }], stream: true });
  const { promise, resolve, reject } = Promise.withResolvers<Heard>();
  const askedAt = Date.now();
  const all = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers };
  const sent = request(`${url}/api/chat`, { agent, method: 'POST', headers: all, signal }, (answer) => {
    const arrivals: Arrival[] = [];
    let [text, rest, last, error] = ['', '', undefined as Line | undefined, undefined as string | undefined];
    // A hang-up is an error too; `close` follows it.
    answer.on('error', () => undefined);
    answer.setEncoding('utf8').on('data', (piece: string) => {
      const at = Date.now();
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.filter((each) => each !== '').map((each) => JSON.parse(each) as Line)) {
        if (line.done === true) last = line;
        error ??= line.error;
        const said = line.message?.content ?? '';
        if (said === '') continue;
        text += said;
        arrivals.push({ at, text: said });
        onText?.(arrivals.length, answer.headers);
      }
    });
    answer.once('close', () => {
      if (last === undefined) error ??= rest === '' ? 'broken off' : rest;
      resolve({
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        askedAt,
        endedAt: Date.now(),
        arrivals,
        text,
        promptTokens: last?.prompt_eval_count ?? 0,
        tokens: last?.eval_count ?? 0,
        error,
      });
    });
  });
  sent.once('error', reject);
  sent.end(body);
  return promise;
}

/** How many words of the right answer are missing in what came, and how many are there that should not be. */
export function wrongWords(content: string, text: string, model = 'words:latest'): number {
  const right = tokensTo(content, { name: model }).join('');
  if (text === right) return 0;
  const balance = new Map<string, number>();
  const count = (words: string, by: number) => {
    for (const word of words.split(/\s+/)) if (word !== '') balance.set(word, (balance.get(word) ?? 0) + by);
  };
  count(right, 1);
  count(text, -1);
  // The same words with other white space between them are wrong too.
  return Math.max(
    1,
    [...balance.values()].reduce((sum, left) => sum + Math.abs(left), 0),
  );
}
