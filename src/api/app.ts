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
import { API } from '../limits/api.ts';
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
  /** Paths of the inference surface, which everybody may know, each with the methods it takes. */
  readonly openPaths: Map<string, string[]>;
  /** Whether the inference surface answers without a key: nothing below it is kept from anybody then. */
  readonly isOpen: boolean;
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
  for (const method of ['POST', 'PUT', 'DELETE']) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  guardRequests(app, gate);
  answerPreflights(app, gate.openPaths);
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log));
  app.setNotFoundHandler((request) => {
    throw notFound(gate, request);
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
    return explained(gate, request, toGoGridError(thrown), access);
  }
  if (!gate.closing || access !== 'inference') return undefined;
  reply.raw.setHeader('connection', 'close');
  return new GoGridError({ code: 'shutting_down', message: 'this node is shutting down' });
}

/**
 * The paths of the inference surface are known to everybody: who lacks the key for one is told so, and who mistyped one is told
 * the right one. All others are secrets of nobody, and of the key's owner.
 */
function explained(gate: Gate, request: FastifyRequest, error: GoGridError, access: Access): GoGridError {
  const path = pathOf(request);
  if (error.code !== 'unauthorized' || dialectOf(path) === 'control') return error;
  if (access === 'inference') {
    const message = `${path.slice(0, API.maxShownPathChars)} needs the key of this node`;
    return new GoGridError({ code: error.code, message, ...(error.hint !== undefined && { hint: error.hint }) });
  }
  if (gate.isOpen && request.is404) return notFound(gate, request);
  const meant = gate.openPaths.has(path) ? undefined : nearest(path, [...gate.openPaths.keys()]);
  if (meant === undefined) return error;
  return new GoGridError({ code: error.code, message: error.message, hint: `did you mean ${meant}?` });
}

function notFound({ openPaths }: Gate, request: FastifyRequest): GoGridError {
  const path = pathOf(request);
  const what = `there is no ${request.method} ${path.slice(0, API.maxShownPathChars)}`;
  const dialect = dialectOf(path);
  if (dialect === 'control') {
    return new GoGridError({ code: 'not_found', message: what, hint: 'GET /openapi.json lists what there is' });
  }
  const methods = openPaths.get(path);
  const own = [...openPaths.keys()].filter((known) => dialectOf(known) === dialect && !/[:*]/.test(known));
  const meant = nearest(path, own);
  const hint =
    methods !== undefined
      ? `it takes ${methods.join(' and ')}`
      : meant !== undefined
        ? `did you mean ${meant}?`
        : `there are ${own.join(', ')}`;
  return new GoGridError({ code: 'not_found', message: `${what} here`, hint });
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?')[0] ?? '';
}

/** What a route says of itself; nothing means the key, and so it is for paths that do not exist. */
function accessOf(request: FastifyRequest): Access {
  // Fastify's types hide that a path without a route has no config.
  const config: FastifyContextConfig | undefined = request.routeOptions.config;
  return config?.access ?? 'key';
}

/** Answers what a browser asks before it calls, at every path of the inference surface. */
function answerPreflights(app: FastifyInstance, paths: Map<string, string[]>): void {
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.access !== 'inference' || method === 'OPTIONS') return;
    const known = paths.get(url);
    if (known !== undefined) return void known.push(...[method].flat());
    paths.set(url, [method].flat());
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
