/**
 * An engine that costs next to nothing, so that what is measured is what stands in front of it: Ollama's HTTP with every
 * answer made beforehand. The prompt says how to answer: `chunks=64 gap=5` is 64 chunks, 5 ms apart.
 *
 * Prints its port on the first line.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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
  let sent = 0;
  const finish = () => response.end(last(chunks));
  if (gapMs === 0) {
    for (; sent < chunks; sent++) response.write(word);
    finish();
    return;
  }
  response.write(word);
  const timer = setInterval(() => {
    if (++sent < chunks) return response.write(word);
    clearInterval(timer);
    return finish();
  }, gapMs);
  response.on('close', () => clearInterval(timer));
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
