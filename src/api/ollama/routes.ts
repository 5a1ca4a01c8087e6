/** The Ollama surface. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Model } from '../../contract/control.ts';
import { GoGridError } from '../../errors.ts';
import type { JobSpec } from '../../jobs/output.ts';
import type { EmbedInput, JobInput, LoadInput } from '../../protocol/job.ts';
import { fieldError, readBody, readJson } from '../body.ts';
import { findModel } from '../catalogue.ts';
import { collectJob, jobSpec, modelNotFound, streamJob, type WholeAnswer } from '../job-answer.ts';
import { OPEN, type SurfaceDeps } from '../surface.ts';
import { AnswerLines, wholeAnswer } from './answers.ts';
import { embedAnswer, oldEmbedAnswer } from './embed.ts';
import { loadedEntries, showAnswer, tagEntry } from './models.ts';
import { ollamaPullRoutes } from './pulls.ts';
import { decodeChat, decodeEmbed, decodeGenerate, decodeOldEmbed, type OllamaRequest } from './requests.ts';

/**
 * The version of Ollama whose API this is, not ours: clients compare it with the oldest that they work with, and switch
 * features on by it.
 */
const OLLAMA_VERSION = '0.24.0';
const JSON_TYPE = 'application/json; charset=utf-8';

/** Clients name the model in either field. */
const named = z.object({ model: z.string().nullish(), name: z.string().nullish() });

export function ollamaRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  statusRoutes(app, deps);
  modelRoutes(app, deps);
  ollamaPullRoutes(app, deps);
  refuseMaking(app, deps);
  writingRoutes(app, deps);
  embeddingRoutes(app, deps);
}

function statusRoutes(app: FastifyInstance, { inference }: SurfaceDeps): void {
  for (const method of ['GET', 'HEAD'] as const) {
    app.route({
      method,
      url: '/',
      ...OPEN,
      // By the second header a GoGrid that finds its port taken knows its own kind.
      handler: (_request, reply) =>
        reply.type('text/plain; charset=utf-8').header('server', 'GoGrid').send('Ollama is running'),
    });
    app.route({ method, url: '/api/version', ...inference, handler: () => ({ version: OLLAMA_VERSION }) });
  }
}

function modelRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, catalogue, exchanges } = deps;

  for (const method of ['GET', 'HEAD'] as const) {
    const handler = () => ({ models: catalogue.models().map(tagEntry) });
    app.route({ method, url: '/api/tags', ...inference, handler });
  }

  app.get('/api/ps', inference, async (_request, reply) => {
    const loaded = await catalogue.loaded(exchanges.open(reply.raw).signal);
    return { models: loadedEntries(catalogue.models(), loaded) };
  });

  app.post('/api/show', inference, async (request, reply) => {
    const model = namedModel(await readJson(request.raw));
    const description = await catalogue.describe(model.name, exchanges.open(reply.raw).signal);
    return showAnswer(model, description);
  });

  function namedModel(body: unknown): Model {
    const { model, name } = readBody(named, body);
    const text = model || name;
    if (!text) throw fieldError('model', 'expected a name, got nothing', 'send {"model": "llama3.2"}, for example');
    const found = findModel(catalogue, text);
    if (found === undefined) throw modelNotFound(text);
    return found;
  }
}

/** Routes of their own, because without one the key would be asked for, of which Ollama's command line shows the number. */
function refuseMaking(app: FastifyInstance, { inference }: SurfaceDeps): void {
  for (const url of ['/api/create', '/api/copy', '/api/push', '/api/blobs/:digest']) {
    app.post(url, inference, () => {
      throw new GoGridError({
        code: 'unsupported',
        message: 'a node makes, copies and pushes no models',
        hint: 'do it with Ollama itself, without OLLAMA_HOST; the mesh has the new model in a moment',
      });
    });
  }
  // `ollama create` looks whether its file is there already, and shows nothing but the answer to sending it.
  app.head('/api/blobs/:digest', inference, (_request, reply) => reply.code(404).send());
}

/** The job of a request. @throws GoGridError `unsupported` when it unloads what only other machines have */
function specOf(
  { model, input }: OllamaRequest<JobInput>,
  { headers }: FastifyRequest,
  { catalogue, privacy }: SurfaceDeps,
): JobSpec {
  const spec = jobSpec(model, input, headers, privacy);
  if (input.kind !== 'load' || input.keepAlive !== 0) return spec;
  if (findModel(catalogue, model)?.local === false) {
    throw new GoGridError({
      code: 'unsupported',
      message: `'${model}' is not unloaded: it is on other machines, and each decides by itself how long it keeps a model`,
    });
  }
  return { ...spec, privacy: 'local' };
}

function writingRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, exchanges, clock } = deps;

  const write = async (
    endpoint: 'chat' | 'generate',
    asked: OllamaRequest<JobInput>,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => {
    const spec = specOf(asked, request, deps);
    const exchange = exchanges.open(reply.raw);
    const options = { endpoint, model: asked.model, startedAt: clock.elapsed() };
    if (asked.stream) {
      reply.hijack();
      await streamJob(exchange, spec, new AnswerLines(options, clock), deps);
      return reply;
    }
    return wholeAnswer(await collectJob(exchange, spec, deps), options, clock);
  };

  app.post('/api/chat', inference, async (request, reply) =>
    write('chat', decodeChat(await readJson(request.raw)), request, reply),
  );
  app.post('/api/generate', inference, async (request, reply) =>
    write('generate', decodeGenerate(await readJson(request.raw)), request, reply),
  );
}

function embeddingRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, exchanges, clock } = deps;

  const embed = async (
    asked: OllamaRequest<EmbedInput | LoadInput>,
    request: FastifyRequest,
    reply: FastifyReply,
    render: (answer: WholeAnswer, startedAt: number) => string,
  ) => {
    const startedAt = clock.elapsed();
    const spec = specOf(asked, request, deps);
    const answer = await collectJob(exchanges.open(reply.raw), spec, deps);
    return reply.type(JSON_TYPE).send(render(answer, startedAt));
  };

  app.post('/api/embed', inference, async (request, reply) => {
    const asked = decodeEmbed(await readJson(request.raw));
    return embed(asked, request, reply, (answer, startedAt) => embedAnswer(answer, asked, startedAt, clock));
  });
  app.post('/api/embeddings', inference, async (request, reply) => {
    const asked = decodeOldEmbed(await readJson(request.raw));
    return embed(asked, request, reply, (answer) => oldEmbedAnswer(answer, asked));
  });
}
