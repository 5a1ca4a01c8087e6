/** The Fastify application without its routes: what happens to every request before and around them. */

import {
  type FastifyContextConfig,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import { nearest } from '../config/nearest.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { API } from '../limits.ts';
import { logDefect } from '../telemetry/defect.ts';
import type { Logger } from '../telemetry/logger.ts';
import { dialectOf, errorAnswer } from './dialect.ts';
import type { Access, Guard } from './guard.ts';
import { preflightHeaders } from './origins.ts';
import { INFERENCE } from './surface.ts';
import { fromFastify, refuseBody } from './wire-errors.ts';

/** What every request passes. */
export interface Gate {
  readonly guard: Guard;
  /** Paths of the inference surface, which everybody may know. */
  readonly openPaths: Set<string>;
  /** The node ends: nothing new for a model. */
  closing: boolean;
}

export function createApp(gate: Gate, log: Logger): FastifyInstance {
  const app = fastify({
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: API.maxParamChars, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true },
    // The address itself is malformed: no route was looked up, and nothing was checked yet.
    frameworkErrors: (error, request, reply) => {
      const refused = refusal(gate, request, reply, 'key');
      void sendError(refused ?? error, request, reply, log);
    },
    // Bodies are checked by zod and written by JSON.stringify: Fastify's own compilers would only cost time to load.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
  });
  // Routes read their bodies themselves (body.ts), after all checks and whatever the content type.
  for (const method of ['POST', 'DELETE']) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  guardRequests(app, gate);
  answerPreflights(app, gate.openPaths);
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log));
  app.setNotFoundHandler((request) => {
    throw new GoGridError({
      code: 'not_found',
      message: `there is no ${request.method} ${request.url.split('?')[0]?.slice(0, 200)}`,
      hint: 'GET /openapi.json lists what there is',
    });
  });
  return app;
}

function guardRequests(app: FastifyInstance, gate: Gate): void {
  app.addHook('onRequest', (request, reply, done) => {
    done(refusal(gate, request, reply, accessOf(request)));
  });
}

/** Why a request goes no further; undefined when it does. */
function refusal(gate: Gate, request: FastifyRequest, reply: FastifyReply, access: Access): GoGridError | undefined {
  try {
    gate.guard(request.raw, reply.raw, access);
  } catch (thrown) {
    return withLikelyPath(gate, request, toGoGridError(thrown));
  }
  if (!gate.closing || access !== 'inference') return undefined;
  reply.raw.setHeader('connection', 'close');
  return new GoGridError({ code: 'shutting_down', message: 'this node is shutting down' });
}

/** Who mistyped a path that needs no key is told the right one; all others are secrets of nobody, and of the key's owner. */
function withLikelyPath({ openPaths }: Gate, request: FastifyRequest, error: GoGridError): GoGridError {
  const path = request.url.split('?')[0] ?? '';
  if (error.code !== 'unauthorized' || dialectOf(path) === 'control' || openPaths.has(path)) return error;
  const meant = nearest(path, [...openPaths]);
  if (meant === undefined) return error;
  return new GoGridError({ code: error.code, message: error.message, hint: `did you mean ${meant}?` });
}

/** What a route says of itself; nothing means the key, and so it is for paths that do not exist. */
function accessOf(request: FastifyRequest): Access {
  // Fastify's types hide that a path without a route has no config.
  const config: FastifyContextConfig | undefined = request.routeOptions.config;
  return config?.access ?? 'key';
}

/** Answers what a browser asks before it calls, at every path of the inference surface. */
function answerPreflights(app: FastifyInstance, paths: Set<string>): void {
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.access !== 'inference' || method === 'OPTIONS' || paths.has(url)) return;
    paths.add(url);
    app.options(url, INFERENCE, (request, reply) => {
      const { origin } = request.headers;
      if (origin !== undefined) void reply.headers(preflightHeaders(origin, request.headers));
      return reply.code(204).send();
    });
  });
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  const error = fromFastify(thrown) ?? toGoGridError(thrown);
  if (error.code === 'internal') logDefect(log, error);
  const { status, headers, body } = errorAnswer(dialectOf(request.raw.url ?? ''), error);
  if (error.code !== 'payload_too_large') return reply.code(status).headers(headers).send(body);
  reply.hijack();
  refuseBody(request.raw, reply.raw, status, headers, body);
  return reply;
}

function noCompiler(): () => never {
  return () => {
    throw new Error('no route has a schema for Fastify');
  };
}
