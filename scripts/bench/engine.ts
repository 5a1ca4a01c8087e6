/**
 * An engine that costs next to nothing, so that what is measured is what stands in front of it: Ollama's HTTP with every
 * answer made beforehand. The prompt says how to answer:
 *
 * - `chunks=64`: so many, all at once; `gap=5`: 5 ms apart; `rate=200`: so many a second, on time over the whole answer
 * - `turns`: as fast as the reader takes them, but each in a turn of its own, as an engine has them that computes them
 * - `stamps`: each chunk's text is the time at which it was written, in microseconds of the clock that all processes share
 *
 * Prints its port on the first line.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

const MODEL = 'bench:latest';
const details = {
  format: 'gguf',
  family: 'llama',
  families: ['llama'],
  parameter_size: '1M',
  quantization_level: 'F32',
};
const tags = {
  models: [
    { name: MODEL, model: MODEL, modified_at: '2026-01-01T00:00:00Z', size: 1, digest: 'ab'.repeat(32), details },
  ],
};
const show = {
  details,
  model_info: { 'general.architecture': 'llama', 'general.parameter_count': 1_000_000, 'llama.context_length': 8192 },
  capabilities: ['completion'],
  template: '',
  parameters: '',
};

const line = (fields: object) => `${JSON.stringify({ model: MODEL, created_at: '2026-01-01T00:00:00Z', ...fields })}\n`;
const word = line({ message: { role: 'assistant', content: ' word' }, done: false });
const [beforeStamp = '', behindStamp = ''] = line({ message: { role: 'assistant', content: '@' }, done: false }).split(
  '@',
);
/** A word that a reader finds in whatever the gateway made of the line: ` @` and digits. */
const stamped = () => `${beforeStamp} @${process.hrtime.bigint() / 1_000n}${behindStamp}`;
const last = (count: number) =>
  line({
    message: { role: 'assistant', content: '' },
    done: true,
    done_reason: 'stop',
    total_duration: 1_000_000,
    prompt_eval_count: 5,
    prompt_eval_duration: 1_000,
    eval_count: count,
    eval_duration: 1_000_000,
  });

async function chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of request) body += chunk;
  const chunks = Number(/chunks=(\d+)/.exec(body)?.[1] ?? 1);
  const gapMs = Number(/gap=(\d+)/.exec(body)?.[1] ?? 0);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  if (body.includes('_debug_render_only')) {
    response.end(line({ _debug_info: { rendered_template: 'x' } }));
    return;
  }
  const next = body.includes('stamps') ? stamped : () => word;
  const finish = () => response.end(last(chunks));
  const perSecond = Number(/rate=(\d+)/.exec(body)?.[1] ?? (gapMs > 0 ? 1_000 / gapMs : 0));
  if (body.includes('turns')) {
    await writeInTurns(response, chunks, next);
    finish();
  } else if (perSecond > 0) {
    writeOnTime(response, chunks, perSecond, next, finish);
  } else {
    for (let sent = 0; sent < chunks; sent++) response.write(next());
    finish();
  }
}

async function writeInTurns(response: ServerResponse, chunks: number, next: () => string): Promise<void> {
  for (let sent = 0; sent < chunks && !response.destroyed; sent++) {
    response.write(next());
    if (response.writableNeedDrain) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    await nextTurn();
  }
}

/** A timer that was late writes all that is due: the pace holds over the whole answer. */
function writeOnTime(
  response: ServerResponse,
  chunks: number,
  perSecond: number,
  next: () => string,
  finish: () => void,
): void {
  const startedAt = performance.now();
  let sent = 0;
  const writeDue = () => {
    const due = 1 + Math.floor(((performance.now() - startedAt) * perSecond) / 1_000);
    for (; sent < Math.min(due, chunks); sent++) response.write(next());
    if (sent < chunks) return;
    clearInterval(timer);
    finish();
  };
  const timer = setInterval(writeDue, 1_000 / perSecond);
  response.on('close', () => clearInterval(timer));
  writeDue();
}

const answers: Readonly<Record<string, unknown>> = {
  '/api/version': { version: '0.24.0' },
  '/api/tags': tags,
  '/api/ps': { models: tags.models.map((model) => ({ ...model, expires_at: '2036-01-01T00:00:00Z', size_vram: 0 })) },
  '/api/show': show,
};

const server = createServer((request, response) => {
  if (request.url === '/api/chat') return void chat(request, response);
  const answer = answers[request.url ?? ''];
  response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer ?? { error: 'not found' }));
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
