/**
 * The process that runs a model: the second program of GoGrid (`dist/embedded.js`). The node starts it, talks to it over the
 * channel of `child_process.fork` (messages.ts), and ends it; when the node is gone, it ends itself. It has nothing to save.
 */

import type { Llama } from 'node-llama-cpp';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import { embed } from './child/embed.ts';
import { CANCELLED, fromLibrary } from './child/failure.ts';
import { type Library, loadModel, type RunningModel } from './child/model.ts';
import { Outbox } from './child/outbox.ts';
import { speak } from './child/speak.ts';
import { type FromProcess, type LoadOrder, type RunOrder, toProcess } from './messages.ts';

interface Running {
  readonly id: number;
  readonly outbox: Outbox;
  readonly stop: AbortController;
}

let library: Library | undefined;
let llama: Llama | undefined;
let model: RunningModel | undefined;
let current: Running | undefined;

/** Native code may be in the middle of something; it has nothing to save either. */
function end(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

function send(message: FromProcess): void {
  process.send?.(message, undefined, undefined, (error) => {
    if (error !== null) end();
  });
}

async function begin(): Promise<void> {
  try {
    library = await import('node-llama-cpp');
    llama = await library.getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      logLevel: library.LlamaLogLevel.disabled,
      // How many a call uses is said with the model.
      maxThreads: 0,
    });
    const version = await library.getModuleVersion();
    send({ type: 'ready', version: version.slice(0, 40) });
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const message = said.includes('NoBinaryFound') ? 'there is no llama.cpp for this system' : said;
    send({ type: 'unusable', message: message.slice(0, EMBEDDED.maxMessageChars) });
  }
}

async function load(order: LoadOrder): Promise<void> {
  try {
    if (library === undefined || llama === undefined || model !== undefined) throw new Error('not the time to load');
    model = await loadModel(library, llama, order);
    send({ type: 'loaded', loadMs: model.loadMs, sizeBytes: model.model.size });
  } catch (thrown) {
    sendError(undefined, fromLibrary('could not load the model', order.name, thrown));
  }
}

async function run(order: RunOrder): Promise<void> {
  const { id, input } = order;
  const stop = new AbortController();
  const outbox = new Outbox(id, order.credits, send, stop.signal);
  current = { id, outbox, stop };
  try {
    if (model === undefined) throw new Error('no model is loaded');
    const running = model;
    const { signal } = stop;
    const phase = (name: 'prefill' | 'decoding') => send({ type: 'progress', id, phase: name });
    const { reason, usage } =
      input.kind === 'embed'
        ? await embed(running, order, input, outbox, signal)
        : input.kind === 'load'
          ? await prepare(running, order)
          : await speak({ running, order, input, outbox, signal, phase });
    if (signal.aborted) throw CANCELLED;
    outbox.end();
    current = undefined;
    send({ type: 'done', id, reason, usage });
  } catch (thrown) {
    current = undefined;
    sendError(id, fromLibrary('failed', model?.order.name ?? 'no model', thrown));
  }
}

/** Loading a model makes its context too, so that the first question does not wait for it. */
async function prepare(running: RunningModel, order: RunOrder) {
  await running.context(order.contextLength, running.order.threads);
  const usage = { promptTokens: 0, outputTokens: 0, loadMs: running.loadMs, prefillMs: 0, decodeMs: 0 };
  running.loadMs = 0;
  return { reason: 'load', usage } as const;
}

function sendError(id: number | undefined, thrown: unknown): void {
  const { code, message, hint } = thrown instanceof GoGridError ? thrown : toGoGridError(thrown);
  const most = EMBEDDED.maxMessageChars;
  send({ type: 'error', id, code, message: message.slice(0, most), hint: hint?.slice(0, most) });
}

process.on('message', (received) => {
  const message = toProcess.parse(received);
  switch (message.type) {
    case 'load':
      void load(message);
      break;
    case 'run':
      void run(message);
      break;
    case 'credit':
      if (current?.id === message.id) current.outbox.credit(message.count);
      break;
    case 'cancel':
      if (current?.id === message.id) current.stop.abort();
  }
});
process.on('disconnect', end);
// A Ctrl-C at the terminal goes to every process there. The node decides when this one ends: running jobs may finish first.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
void begin();
