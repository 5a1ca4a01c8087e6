/** The OpenAI surface. */

import type { FastifyInstance } from 'fastify';
import { readJson } from '../body.ts';
import { findModel } from '../catalogue.ts';
import { collectJob, jobSpec, modelNotFound, streamJob } from '../job-answer.ts';
import type { SurfaceDeps } from '../surface.ts';
import { type ChatAnswerOptions, ChatEvents, wholeChat } from './chat-answer.ts';
import { decodeChat } from './chat-request.ts';
import { decodeEmbeddings, embeddingsAnswer } from './embeddings.ts';
import { modelEntry } from './models.ts';

export function openAiRoutes(app: FastifyInstance, deps: SurfaceDeps): void {
  const { inference, exchanges, catalogue, clock, privacy } = deps;

  app.post('/v1/chat/completions', inference, async (request, reply) => {
    const { model, input, stream, includeUsage } = decodeChat(await readJson(request.raw));
    const spec = jobSpec(model, input, request.headers, privacy);
    const exchange = exchanges.open(reply.raw);
    const options: ChatAnswerOptions = { model, created: Math.floor(clock.now() / 1000), includeUsage };
    if (stream) {
      reply.hijack();
      await streamJob(exchange, spec, new ChatEvents(options), deps);
      return reply;
    }
    return wholeChat(await collectJob(exchange, spec, deps), options);
  });

  app.post('/v1/embeddings', inference, async (request, reply) => {
    const asked = decodeEmbeddings(await readJson(request.raw));
    const spec = jobSpec(asked.model, asked.input, request.headers, privacy);
    const answer = await collectJob(exchanges.open(reply.raw), spec, deps);
    return reply.type('application/json; charset=utf-8').send(embeddingsAnswer(answer, asked));
  });

  app.get('/v1/models', inference, () => ({ object: 'list', data: catalogue.models().map(modelEntry) }));

  // Names hold slashes, which some clients send as they are and others as %2F.
  app.get<{ Params: { '*': string } }>('/v1/models/*', inference, (request) => {
    const name = request.params['*'];
    const model = findModel(catalogue, name);
    if (model === undefined) throw modelNotFound(name);
    return modelEntry(model);
  });
}
