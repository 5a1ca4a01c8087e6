/** The Ollama surface. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Model } from '../../contract/control.ts';
import { GoGridError } from '../../errors.ts';
import type { EmbedInput, JobInput, LoadInput } from '../../protocol/job.ts';
import { fieldError, readBody, readJson } from '../body.ts';
import { findModel } from '../catalogue.ts';
import { collectJob, jobSpec, modelNotFound, streamJob, type WholeAnswer } from '../job-answer.ts';
import { OPEN, type SurfaceDeps } from '../surface.ts';
import { AnswerLines, wholeAnswer } from './answers.ts';
import { embedAnswer, oldEmbedAnswer } from './embed.ts';
import { loadedEntries, showAnswer, tagEntry } from './models.ts';
import { decodeChat, decodeEmbed, decodeGenerate, decodeOldEmbed, type OllamaRequest } from './requests.ts';

/**
 * The version of Ollama whose API this is, not ours: clients compare it with the oldest that they work with, and switch
 * features on by it.
 */
const OLLAMA_VERSION = '0.24.0';
const JSON_TYPE = 'application/json; charset=utf-8';

/** Clients name the model in either field. */
const named = z.object({ model: z.string().nullish(), name: z.string().nullish(), stream: z.boolean().nullish() });

export function ollamaRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  statusRoutes(app, deps);
  modelRoutes(app, deps);
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

  // Pulling is not built: what the mesh has counts as pulled, and the rest is told in a sentence, which is what a person
  // reads after `ollama run` of a model that nobody has.
  app.post('/api/pull', inference, async (request, reply) => {
    const body = await readJson(request.raw);
    try {
      namedModel(body);
    } catch (thrown) {
      throw notPulled(thrown);
    }
    const text = JSON.stringify({ status: 'success' });
    if (readBody(named, body).stream === false) return reply.type(JSON_TYPE).send(text);
    return reply.type('application/x-ndjson').send(`${text}\n`);
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

function notPulled(thrown: unknown): unknown {
  if (!(thrown instanceof GoGridError) || thrown.code !== 'model_not_found') return thrown;
  const way =
    'no machine of the mesh has it, and GoGrid does not download models yet: pull it with Ollama on one of them';
  return new GoGridError({ code: 'model_not_found', message: `${thrown.message}: ${way}` });
}

function writingRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, exchanges, clock, privacy } = deps;

  const write = async (
    endpoint: 'chat' | 'generate',
    asked: OllamaRequest<JobInput>,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => {
    const spec = jobSpec(asked.model, asked.input, request.headers, privacy);
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
  const { inference, exchanges, clock, privacy } = deps;

  const embed = async (
    asked: OllamaRequest<EmbedInput | LoadInput>,
    request: FastifyRequest,
    reply: FastifyReply,
    render: (answer: WholeAnswer, startedAt: number) => string,
  ) => {
    const startedAt = clock.elapsed();
    const spec = jobSpec(asked.model, asked.input, request.headers, privacy);
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
