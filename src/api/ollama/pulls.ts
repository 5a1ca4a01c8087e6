/**
 * Ollama's `/api/pull` and `/api/delete`. Anybody who may ask a model may "pull" one that the mesh has, as clients do before
 * they use it; what changes this machine needs the admin key.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { PullState } from '../../contract/pulls.ts';
import { GoGridError } from '../../errors.ts';
import { fieldError, readBody, readJson } from '../body.ts';
import { findModel } from '../catalogue.ts';
import { type PullFormat, streamPull, wholePull } from '../pulls.ts';
import type { SurfaceDeps } from '../surface.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
/** Characters of a digest that Ollama shows. */
const SHOWN_DIGEST_CHARS = 12;

/** Clients name the model in either field. */
const asked = z.object({ model: z.string().nullish(), name: z.string().nullish(), stream: z.boolean().nullish() });

export function ollamaPullRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, catalogue, exchanges, pulls, hasKey } = deps;

  app.post('/api/pull', inference, async (request, reply) => {
    const { name, stream } = nameIn(await readJson(request.raw));
    if (findModel(catalogue, name) !== undefined) {
      const text = JSON.stringify({ status: 'success' });
      if (!stream) return reply.type(JSON_TYPE).send(text);
      return reply.type('application/x-ndjson').send(`${text}\n`);
    }
    if (!hasKey(request.raw)) {
      throw keyRequired(
        `no machine of the mesh has the model '${shown(name)}'`,
        `gogrid models pull ${shellWord(name)}`,
      );
    }
    const exchange = exchanges.open(reply.raw, 'endless');
    if (!stream) return reply.type(JSON_TYPE).send(JSON.stringify(await wholePull(exchange, name, FORMAT, deps)));
    reply.hijack();
    await streamPull(exchange, name, FORMAT, deps);
    return reply;
  });

  app.delete('/api/delete', inference, async (request: FastifyRequest, reply) => {
    const { name } = nameIn(await readJson(request.raw));
    if (!hasKey(request.raw)) {
      throw keyRequired(`'${shown(name)}' is not deleted`, `gogrid models rm ${shellWord(name)}`);
    }
    await pulls.remove(name, exchanges.open(reply.raw).signal);
    // As Ollama: status 200 and nothing.
    return reply.send();
  });
}

function nameIn(body: unknown): { name: string; stream: boolean } {
  const { model, name, stream } = readBody(asked, body);
  const text = model || name;
  if (!text) throw fieldError('model', 'expected a name, got nothing', 'send {"model": "llama3.2"}, for example');
  return { name: text, stream: stream !== false };
}

/** `ollama run` of a model that nobody has ends with this sentence. */
function keyRequired(what: string, command: string): GoGridError {
  return new GoGridError({
    code: 'key_required',
    message: `${what}, and what changes this machine needs its key`,
    hint: `run \`${command}\`, or send \`Authorization: Bearer <the line in api.key>\``,
  });
}

function shown(name: string): string {
  return name.slice(0, 200);
}

/** The name came from a client, and people copy the command into a shell: what is no plain model name is quoted. */
function shellWord(name: string): string {
  const text = shown(name).replace(/\p{Cc}/gu, '�');
  return /^\w[\w./:-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const FORMAT: PullFormat = { dialect: 'ollama', line: ollamaLine, success: () => ({ status: 'success' }) };

/** In Ollama's words: its command line draws a bar for each digest. */
function ollamaLine(state: PullState): object {
  const { status, digest, bytes, totalBytes } = state;
  switch (state.state) {
    case 'copying':
    case 'downloading':
      if (digest === null || totalBytes === 0) return { status };
      return {
        status: `pulling ${digest.replace(/^sha256:/, '').slice(0, SHOWN_DIGEST_CHARS)}`,
        digest,
        total: totalBytes,
        ...(bytes > 0 && { completed: bytes }),
      };
    case 'checking':
      return { status: 'verifying sha256 digest' };
    default:
      return { status };
  }
}
