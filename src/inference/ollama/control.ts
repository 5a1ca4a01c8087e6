/** Ollama's control calls, by its own client package; whatever comes back is checked before it is believed. */

import { Ollama } from 'ollama/browser';
import { z } from 'zod';
import { GoGridError, reasonOf } from '../../errors.ts';
import { ENGINE } from '../../limits/engine.ts';
import { failed, fromOllama, isNobodyThere, unavailable } from './failures.ts';

const text = z.string().catch('');
const size = z.number().nonnegative().catch(0);
const date = z.string().transform((value) => Date.parse(value) || 0);

const details = z
  .object({ format: text, family: text, parameter_size: text, quantization_level: text })
  .catch({ format: '', family: '', parameter_size: '', quantization_level: '' });

const tag = z.object({
  name: z.string(),
  digest: z.string(),
  size,
  modified_at: date.catch(0),
  details,
  /** Runs in somebody's cloud, not here. */
  remote_host: z.string().optional(),
});
export type Tag = z.infer<typeof tag>;

const running = z.object({
  name: z.string(),
  digest: z.string(),
  size,
  size_vram: size,
  expires_at: date.optional(),
  context_length: size,
});
export type Running = z.infer<typeof running>;

const shown = z.object({
  template: text,
  parameters: text,
  system: text,
  license: text,
  model_info: z.record(z.string(), z.unknown()).catch({}),
  /** Absent before Ollama 0.6.4. */
  capabilities: z.array(z.string()).optional().catch(undefined),
});
export type Shown = z.infer<typeof shown>;

const list = <T extends z.ZodType>(item: T) => z.object({ models: z.array(item).nullable() });

export interface Control {
  version(signal: AbortSignal): Promise<string>;
  tags(signal: AbortSignal): Promise<readonly Tag[]>;
  running(signal: AbortSignal): Promise<readonly Running[]>;
  /** @throws GoGridError `model_not_found` */
  show(model: string, signal: AbortSignal): Promise<Shown>;
}

/** Every call ends within `ENGINE.controlTimeoutMs`, and throws a `GoGridError`. */
export function createControl(url: string): Control {
  const client = (signal: AbortSignal) => new Ollama({ host: url, fetch: boundedFetch(url, signal) });
  return {
    version: (signal) =>
      checked(client(signal).version(), z.object({ version: z.string().max(40) }), 'version').then((it) => it.version),
    tags: (signal) => checked(client(signal).list(), list(tag), 'tags').then((it) => it.models ?? []),
    running: (signal) => checked(client(signal).ps(), list(running), 'ps').then((it) => it.models ?? []),
    show: (model, signal) => checked(client(signal).show({ model }), shown, 'show'),
  };
}

async function checked<T extends z.ZodType>(answer: Promise<unknown>, schema: T, name: string): Promise<z.infer<T>> {
  const received = await answer.catch((thrown: unknown) => {
    if (thrown instanceof GoGridError) throw thrown;
    throw failed(`Ollama's answer to /api/${name} is not JSON`, thrown);
  });
  const parsed = schema.safeParse(received);
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path.join('.') ?? '';
  throw failed(`Ollama's answer to /api/${name} is malformed${at === '' ? '' : ` at ${at}`}`);
}

/** The fetch that the client package uses: ends in time, reads a bounded answer, and knows what went wrong. */
export function boundedFetch(url: string, signal: AbortSignal): typeof fetch {
  return async (input, init) => {
    const late = AbortSignal.timeout(ENGINE.controlTimeoutMs);
    try {
      const response = await fetch(input, { ...init, signal: AbortSignal.any([signal, late]) });
      const body = await readBounded(response);
      if (!response.ok) throw fromOllama(response.status, errorOf(body), modelOf(init));
      return new Response(body, { headers: { 'content-type': 'application/json' } });
    } catch (thrown) {
      if (thrown instanceof GoGridError) throw thrown;
      if (signal.aborted) throw reasonOf(signal);
      if (isNobodyThere(thrown)) throw unavailable(url, thrown);
      if (late.aborted) throw failed(`Ollama did not answer within ${ENGINE.controlTimeoutMs} ms`, thrown);
      throw failed('Ollama broke off a control call', thrown);
    }
  };
}

async function readBounded(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > ENGINE.maxAnswerBytes) throw failed(`Ollama answered with more than ${ENGINE.maxAnswerBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function errorOf(body: string): string {
  const parsed = z.object({ error: z.string() }).safeParse(attempt(() => JSON.parse(body)));
  return parsed.success ? parsed.data.error : body;
}

function modelOf(init: RequestInit | undefined): string {
  const body = typeof init?.body === 'string' ? attempt(() => JSON.parse(init.body as string)) : undefined;
  const parsed = z.object({ model: z.string() }).safeParse(body);
  return parsed.success ? parsed.data.model : '';
}

function attempt(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return undefined;
  }
}
