/** `/openapi.json`, made from `contract/` when somebody first asks for it. */

import { type ZodType, z } from 'zod';
import { errorBody } from '../contract/control.ts';
import { type ControlRoute, controlRoutes } from '../contract/routes.ts';
import { version } from '../version.ts';

/** Documented by their owners; here only that this node answers them. */
const INFERENCE: readonly (readonly [method: string, path: string, summary: string])[] = [
  ['post', '/v1/chat/completions', 'OpenAI: chat, whole or as server-sent events'],
  ['post', '/v1/embeddings', 'OpenAI: embeddings'],
  ['get', '/v1/models', 'OpenAI: every model of the mesh'],
  ['get', '/v1/models/{id}', 'OpenAI: one model'],
  ['get', '/', 'Ollama: the banner by which its clients know a server'],
  ['get', '/api/version', 'Ollama: the version whose API this is'],
  ['get', '/api/tags', 'Ollama: every model of the mesh'],
  ['get', '/api/ps', 'Ollama: models in memory'],
  ['post', '/api/show', 'Ollama: one model'],
  ['post', '/api/pull', 'Ollama: succeeds for a model that the mesh has; with the key it gets one to this machine'],
  ['delete', '/api/delete', 'Ollama: deletes a model of this machine, with the key'],
  ['post', '/api/chat', 'Ollama: chat, as lines of JSON or whole'],
  ['post', '/api/generate', 'Ollama: continues a prompt; loads the model when the prompt is empty'],
  ['post', '/api/embed', 'Ollama: embeddings'],
  ['post', '/api/embeddings', 'Ollama: one embedding, the older form'],
];

type Json = Record<string, unknown>;

export function openApiText(): string {
  const paths: Record<string, Json> = {};
  for (const route of controlRoutes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) };
  }
  for (const [method, path, summary] of INFERENCE) {
    paths[path] = { ...paths[path], [method]: inferenceOperation(method, path, summary) };
  }
  return JSON.stringify({
    openapi: '3.1.0',
    info: { title: 'GoGrid', version, description: 'The local API of one node.' },
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { Error: schemaOf(errorBody, 'output') },
    },
    security: [{ key: [] }],
    paths,
  });
}

function operation({ path, summary, query, body, answer, stream, events, open }: ControlRoute): Json {
  const type = events === true ? 'text/event-stream' : 'application/json';
  const content: Json = { [type]: { schema: schemaOf(answer, 'output') } };
  if (stream !== undefined) content['application/x-ndjson'] = { schema: schemaOf(stream, 'output') };
  return {
    tags: ['control'],
    summary,
    ...(open === true && { security: [] }),
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(body !== undefined && { requestBody: requestBody(body) }),
    responses: { 200: { description: 'OK', content }, default: errorResponse() },
  };
}

function inferenceOperation(method: string, path: string, summary: string): Json {
  const content = { 'application/json': { schema: { type: 'object' } } };
  return {
    tags: ['inference'],
    summary,
    security: path === '/' ? [] : [{}, { key: [] }],
    parameters: pathParameters(path),
    ...(method !== 'get' && { requestBody: { required: true, content } }),
    responses: { 200: { description: 'OK' } },
  };
}

function requestBody(body: ZodType): Json {
  return { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: ZodType | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {} } = schemaOf(query, 'input') as { properties?: Record<string, unknown> };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }));
}

function errorResponse(): Json {
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } };
  return { description: 'docs/errors.md explains every code', content };
}

/** `input` is what a client sends, `output` what it gets. */
function schemaOf(schema: ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
