/** The inference endpoints: from a request to the plan of a generation, and its last line. */

import type { ServerResponse } from 'node:http';
import { continueFrom, embedding, formatted, renderChat, thoughts, toolCall } from './answers.ts';
import { type Ended, pause, pieces, refuse, sendJson, sendPieces, write } from './generation.ts';
import { can, keepAliveMs, type Memory } from './models.ts';
import type { FakeCall, FakeFault, FakeModel, FakeSettings } from './settings.ts';

export type Body = Readonly<Record<string, unknown>>;
type Messages = Parameters<typeof renderChat>[0];

export interface Work {
  readonly body: Body;
  readonly model: FakeModel;
  readonly digest: string;
  readonly call: FakeCall;
  readonly response: ServerResponse;
  readonly fault?: FakeFault | undefined;
}

const DEFAULT_STOPS = ['<|im_start|>', '<|im_end|>'];
const DEFAULT_CONTEXT = 4096;
const CHARS_PER_TOKEN = 4;

/** Lets so many in at once, in order. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #inside = 0;
  most = 0;

  get waiting(): number {
    return this.#waiting.length;
  }

  async enter(parallel: number): Promise<void> {
    if (this.#inside < parallel) this.#inside++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.most = Math.max(this.most, this.#inside);
  }

  /** Hands the place to the next, or frees it. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inside--;
    else next();
  }
}

export class Inference {
  readonly turns = new Turns();
  readonly #settings: () => FakeSettings;
  readonly #memory: Memory;

  constructor(settings: () => FakeSettings, memory: Memory) {
    this.#settings = settings;
    this.#memory = memory;
  }

  /** `_debug_render_only`: loads the model, as the daemon does, but waits for no turn. */
  async render(path: string, work: Work): Promise<void> {
    await this.#load(work);
    this.#rest(work);
    const empty = path === '/api/chat' ? { message: { role: '', content: '' } } : { response: '' };
    finish(work, { ...head(work.body), ...empty, done: false, _debug_info: { rendered_template: prompt(path, work) } });
  }

  async run(path: string, work: Work): Promise<void> {
    const { body, model, call, response } = work;
    const refused = refusal(path, work);
    if (refused !== undefined) return refuse(response, call, 400, refused);
    if (isEmpty(path, body) && keepAliveMs(body.keep_alive, 1) === 0) {
      this.#memory.keep(model, 0);
      return finish(work, emptyAnswer(path, body, 'unload'));
    }
    const { parallel, maxQueue } = this.#settings();
    if (this.turns.waiting >= maxQueue) {
      return refuse(response, call, 503, 'server busy, please try again.  maximum pending requests exceeded');
    }
    await this.turns.enter(parallel);
    try {
      const loadMs = await this.#load(work);
      if (path.startsWith('/api/embed')) this.#embed(path, work, loadMs);
      else if (isEmpty(path, body)) finish(work, emptyAnswer(path, body, 'load'));
      else await this.#generate(path, work, loadMs);
    } finally {
      this.turns.leave();
      this.#rest(work);
    }
  }

  /** Returns once the model is in memory. */
  async #load(work: Work): Promise<number> {
    const { loadMs } = this.#settings();
    await pause(work.response, this.#memory.isWarm(work.model) ? 0 : loadMs);
    this.#memory.keep(work.model, Number.MAX_SAFE_INTEGER / 2);
    return loadMs;
  }

  /** The model is idle from now on: its time in memory runs. */
  #rest(work: Work): void {
    if (!this.#memory.isWarm(work.model)) return;
    this.#memory.keep(work.model, keepAliveMs(work.body.keep_alive, this.#settings().keepAliveMs));
  }

  #embed(path: string, work: Work, loadMs: number): void {
    const { body, model, digest } = work;
    const dimensions = Number(body.dimensions || model.dimensions || 16);
    if (path === '/api/embeddings') {
      const asked = String(body.prompt ?? '');
      finish(work, { embedding: asked === '' ? [] : embedding(digest, asked, dimensions) });
      return;
    }
    const inputs = [body.input ?? []].flat().map(String);
    const embeddings = inputs.map((input) => embedding(digest, input, dimensions));
    if (inputs.length === 0) {
      finish(work, { model: body.model, embeddings });
      return;
    }
    const tokens = inputs.reduce((sum, input) => sum + count(input), 0);
    const times = { total_duration: (loadMs + 1) * 1e6, load_duration: loadMs * 1e6 || 1000 };
    finish(work, { model: body.model, embeddings, ...times, prompt_eval_count: tokens });
  }

  async #generate(path: string, work: Work, loadMs: number): Promise<void> {
    const { body, model, digest, call, response } = work;
    const { tokensPerSecond, prefillMs } = this.#settings();
    const chat = path === '/api/chat';
    const asked = prompt(path, work);
    await pause(response, prefillMs);
    const begun = performance.now();
    let whole = '';
    const thinks = can(model, 'thinking') && body.think !== false && body.raw !== true;
    const once = body.stream === false;
    const send = (field: 'content' | 'thinking', tokens: Iterable<string>, rules: object) => {
      const line = (text: string) => {
        if (field === 'content') whole += text;
        return once ? '' : `${JSON.stringify({ ...head(body), ...piece(chat, field, text), done: false })}\n`;
      };
      const plan = { tokens, stop: [], limit: 0, tokensPerSecond, fault: undefined, line, ...rules };
      return once ? allAtOnce(plan, call) : sendPieces(response, call, plan);
    };
    if (thinks) await send('thinking', thoughts(digest, asked), {});
    const tool = chat ? toolCall(body.messages as Messages, tools(body)) : undefined;
    let ended: Ended = { reason: 'stop', tokens: 1 };
    if (tool !== undefined) {
      call.tokens++;
      const message = { role: 'assistant', content: '', tool_calls: [tool] };
      if (!once) write(response, call, `${JSON.stringify({ ...head(body), message, done: false })}\n`);
    } else {
      const from = continueFrom(digest, asked);
      call.fromToken = from.fromToken;
      const format = body.format || undefined;
      const tokens = format === undefined ? from.tokens : formatted(format, digest, asked);
      ended = await send('content', tokens, { ...limits(body), fault: work.fault });
    }
    const nanos = Math.round((performance.now() - begun) * 1e6);
    const message = { role: 'assistant', content: once ? whole : '', ...(once && tool && { tool_calls: [tool] }) };
    finish(work, {
      ...head(body),
      ...(chat ? { message } : { response: once ? whole : '' }),
      done: true,
      done_reason: ended.reason,
      ...(chat || body.raw === true ? {} : { context: [...Buffer.from(asked + whole)] }),
      total_duration: (loadMs + prefillMs) * 1e6 + nanos,
      load_duration: loadMs * 1e6 || 1000,
      prompt_eval_count: count(asked),
      prompt_eval_duration: prefillMs * 1e6 || 1000,
      eval_count: call.tokens,
      eval_duration: nanos,
    });
  }
}

/** The prompt as the model sees it. */
function prompt(path: string, { body, model }: Work): string {
  const open = model.template === 'open';
  const options = { open, thinks: can(model, 'thinking'), think: body.think !== false };
  if (path === '/api/chat') return renderChat(body.messages as Messages, tools(body), options);
  const asked = String(body.prompt ?? '');
  if (body.raw === true) return asked;
  if (body.suffix) return `<PRE>${asked}<SUF>${String(body.suffix)}<MID>`;
  const earlier = Array.isArray(body.context) ? Buffer.from(body.context as number[]).toString() : '';
  const messages = [{ role: 'user', content: asked, images: body.images as unknown[] | undefined }];
  if (body.system) messages.unshift({ role: 'system', content: String(body.system), images: undefined });
  return earlier + renderChat(messages, [], options);
}

/** Why a request is refused with status 400, in the daemon's words. */
function refusal(path: string, work: Work): string | undefined {
  const { body, model } = work;
  if (path.startsWith('/api/embed')) return undefined;
  const name = String(body.model);
  if (tools(body).length > 0 && !can(model, 'tools')) {
    return `registry.ollama.ai/library/${model.name} does not support tools`;
  }
  if (body.think && !can(model, 'thinking')) return `"${name}" does not support thinking`;
  if (!can(model, 'completion') && keepAliveMs(body.keep_alive, 1) !== 0) {
    return `"${name}" does not support ${path === '/api/chat' ? 'chat' : 'generate'}`;
  }
  const context = Number(options(body).num_ctx ?? DEFAULT_CONTEXT);
  if (body.truncate === false && count(prompt(path, work)) > context) {
    return 'the input length exceeds the context length';
  }
  return undefined;
}

/** An unstreamed answer is made in one go. */
async function allAtOnce(plan: Parameters<typeof pieces>[0], call: FakeCall): Promise<Ended> {
  const source = pieces(plan);
  for (let next = source.next(); ; next = source.next()) {
    if (next.done === true) {
      call.tokens += next.value.tokens;
      return next.value;
    }
    plan.line(next.value.text);
  }
}

/** The last line of a stream, or the one object of an answer that is not streamed. */
function finish(work: Work, last: object): void {
  const { call, response } = work;
  if (response.headersSent) {
    write(response, call, `${JSON.stringify(last)}\n`);
    response.end();
    return;
  }
  call.firstAt = Date.now();
  call.bytes = sendJson(response, 200, last);
}

function emptyAnswer(path: string, body: Body, reason: 'load' | 'unload'): object {
  const empty = path === '/api/chat' ? { message: { role: 'assistant', content: '' } } : { response: '' };
  return { ...head(body), ...empty, done: true, done_reason: reason };
}

function isEmpty(path: string, body: Body): boolean {
  if (path === '/api/chat') return !Array.isArray(body.messages) || body.messages.length === 0;
  return path === '/api/generate' && !body.prompt;
}

function head(body: Body): { model: unknown; created_at: string } {
  // Go writes nanoseconds.
  return { model: body.model, created_at: new Date().toISOString().replace('Z', '000000Z') };
}

function piece(chat: boolean, field: 'content' | 'thinking', text: string): object {
  const thinking = field === 'thinking' ? { thinking: text } : {};
  const content = field === 'content' ? text : '';
  return chat ? { message: { role: 'assistant', content, ...thinking } } : { response: content, ...thinking };
}

function limits(body: Body): { stop: readonly string[]; limit: number } {
  const stop = options(body).stop;
  return {
    stop: stop === undefined || stop === null ? DEFAULT_STOPS : [stop].flat().map(String),
    limit: Number(options(body).num_predict ?? 0),
  };
}

function options(body: Body): Readonly<Record<string, unknown>> {
  return (body.options ?? {}) as Readonly<Record<string, unknown>>;
}

function tools(body: Body): readonly unknown[] {
  return Array.isArray(body.tools) ? body.tools : [];
}

function count(text: string): number {
  return Math.ceil(text.length / CHARS_PER_TOKEN);
}
