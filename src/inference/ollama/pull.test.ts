/** Pulling through a daemon: its lines, its ways to fail (texts of Ollama 0.24), and the end of a call. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { createOllamaModels, type OllamaModels, type OllamaStep } from './pull.ts';

const never = new AbortController().signal;
const closes: (() => void)[] = [];
afterEach(() => {
  for (const close of closes.splice(0)) close();
});

async function daemon(answer: (request: IncomingMessage, response: ServerResponse, body: string) => void) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    answer(request, response, body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const models = createOllamaModels(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, systemClock);
  closes.push(() => {
    models.stop();
    server.closeAllConnections();
    server.close();
  });
  return models;
}

const says = (...lines: object[]) =>
  daemon((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  });

async function collect(models: OllamaModels, name = 'llama3.2'): Promise<OllamaStep[]> {
  const steps: OllamaStep[] = [];
  for await (const step of models.pull(name, never)) steps.push(step);
  return steps;
}

describe('a pull', () => {
  it('is told step by step, under the name that was written', async () => {
    const asked: unknown[] = [];
    const models = await daemon((request, response, body) => {
      asked.push([request.method, request.url, JSON.parse(body)]);
      response.write('{"status":"pulling manifest"}\n');
      response.write('{"status":"pulling abc","digest":"sha256:abc","total":10}\n');
      response.write('{"status":"pulling abc","digest":"sha256:abc","total":10,"completed":10}\n\n');
      response.end('{"status":"success"}\n');
    });
    const none = { digest: undefined, totalBytes: undefined, bytes: undefined };
    expect(await collect(models, 'hf.co/User/Repo:Q4')).toEqual([
      { ...none, status: 'pulling manifest' },
      { status: 'pulling abc', digest: 'sha256:abc', totalBytes: 10, bytes: undefined },
      { status: 'pulling abc', digest: 'sha256:abc', totalBytes: 10, bytes: 10 },
    ]);
    expect(asked).toEqual([['POST', '/api/pull', { model: 'hf.co/User/Repo:Q4', stream: true }]]);
  });

  it.each([
    ['pull model manifest: file does not exist', 'model_not_found', "model 'llama3.2' not found"],
    [
      'max retries exceeded: Get "https://registry.ollama.ai/v2/": dial tcp: lookup registry.ollama.ai: no such host',
      'download_failed',
      'Ollama could not fetch llama3.2: max retries',
    ],
    ['write /models/blobs/x: no space left on device', 'disk_full', "Ollama's disk is too full"],
    ['the model you are attempting to pull requires a newer version of Ollama', 'unsupported', 'newer version'],
    ['something else', 'engine_failed', 'something else'],
  ])('that fails with "%s" is %s', async (text, code, message) => {
    const failed = collect(await says({ status: 'pulling manifest' }, { error: text }));
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    const models = await daemon((_request, response) => {
      response.writeHead(500).end(JSON.stringify({ error: text }));
    });
    await expect(collect(models)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('that ends without success has failed', async () => {
    await expect(collect(await says({ status: 'pulling manifest' }))).rejects.toMatchObject({ code: 'engine_failed' });
    const cut = await daemon((_request, response) => {
      response.write('{"status":"pulling manifest"}\n', () => response.destroy());
    });
    await expect(collect(cut)).rejects.toMatchObject({ code: 'engine_failed' });
  });

  it('that is left ends at the daemon too', async () => {
    let left = 0;
    const models = await daemon((_request, response) => {
      response.on('close', () => left++);
      response.write('{"status":"pulling manifest"}\n');
    });
    for await (const _ of models.pull('x', never)) break;
    await expect.poll(() => left).toBe(1);
    const abort = new AbortController();
    const reason = new GoGridError({ code: 'shutting_down', message: 'the node stops' });
    const read = async () => {
      for await (const _ of models.pull('x', abort.signal)) abort.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    await expect.poll(() => left).toBe(2);
  });
});

describe('a daemon', () => {
  it('is there or not', async () => {
    const models = await daemon((_request, response) => response.end('{"version":"0.24.0"}'));
    expect(await models.isThere(never)).toBe(true);
    const away = createOllamaModels('http://127.0.0.1:9', systemClock);
    expect(await away.isThere(never)).toBe(false);
    await expect(collect(away)).rejects.toMatchObject({ code: 'engine_unavailable' });
    away.stop();
  });

  it('has the models of its list, however they are written', async () => {
    const models = await daemon((_request, response) =>
      response.end(JSON.stringify({ models: [{ name: 'Llama3.2:latest', digest: 'x' }] })),
    );
    expect(await models.has('llama3.2', never)).toBe(true);
    expect(await models.has('llama3', never)).toBe(false);
  });

  it('deletes, and says when it has none', async () => {
    const asked: unknown[] = [];
    const models = await daemon((request, response, body) => {
      asked.push([request.method, request.url, JSON.parse(body).name]);
      if (asked.length === 1) response.end();
      else response.writeHead(404).end('{"error":"model \'x\' not found"}');
    });
    await models.remove('x', never);
    await expect(models.remove('x', never)).rejects.toMatchObject({
      code: 'model_not_found',
      message: "model 'x' not found",
    });
    expect(asked[0]).toEqual(['DELETE', '/api/delete', 'x']);
  });
});
