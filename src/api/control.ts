/** The control surface: what the command line, the dashboard and scripts ask of a node. Shapes are in `contract/`. */

import type { FastifyInstance } from 'fastify';
import { jobListQuery, logQuery } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { readBody } from './body.ts';
import type { Exchanges } from './exchange.ts';
import { followLog } from './log-stream.ts';
import { meshRoutes } from './mesh.ts';
import { openApiText } from './openapi.ts';
import type { Catalogue, Doorkeeper, Jobs, Logs, Runtime, StopNode } from './ports.ts';
import { OPEN } from './surface.ts';

export interface ControlDeps {
  readonly runtime: Runtime;
  readonly doorkeeper: Doorkeeper;
  readonly catalogue: Catalogue;
  readonly jobs: Jobs;
  readonly logs: Logs;
  readonly stopNode: StopNode;
  readonly exchanges: Exchanges;
}

interface ById {
  readonly Params: { readonly id: string };
}

export function controlRoutes(app: FastifyInstance, deps: ControlDeps): void {
  const { runtime, catalogue } = deps;

  app.get('/health', OPEN, () => ({ status: 'ok' }));
  app.get('/health/runtime', () => runtime.health());
  app.get('/status', () => runtime.status());
  app.get('/identity', () => runtime.identity());

  meshRoutes(app, deps);

  app.get('/model/list', () => {
    const models = catalogue.models();
    return { models, total: models.length };
  });

  app.post('/stop', () => ({ state: 'draining', ...deps.stopNode() }));

  let openApi: string | undefined;
  app.get('/openapi.json', (_request, reply) => {
    openApi ??= openApiText();
    return reply.type('application/json; charset=utf-8').send(openApi);
  });

  jobRoutes(app, deps);
  logRoutes(app, deps);
}

function jobRoutes(app: FastifyInstance, { jobs }: ControlDeps): void {
  app.get('/jobs', async (request) => {
    const { jobs: records, total } = await jobs.list(readBody(jobListQuery, request.query).limit);
    return { jobs: records.map(({ decision: _, ...listed }) => listed), total };
  });
  app.get<ById>('/jobs/:id', async (request) => (await jobs.get(request.params.id)) ?? noJob(request.params.id));
  app.post<ById>(
    '/jobs/:id/cancel',
    async (request) => (await jobs.cancel(request.params.id)) ?? noJob(request.params.id),
  );
}

function logRoutes(app: FastifyInstance, { logs, exchanges }: ControlDeps): void {
  app.get('/logs', async (request, reply) => {
    const { lines, level, follow } = readBody(logQuery, request.query);
    const tail = await logs.tail(lines, level);
    if (!follow) return { lines: tail };
    const exchange = exchanges.open(reply.raw, 'endless');
    reply.hijack();
    followLog(exchange, tail, (listener) => logs.follow(level, listener));
    return reply;
  });
}

function noJob(id: string): never {
  throw new GoGridError({
    code: 'job_not_found',
    message: `no job '${id.slice(0, 80)}' is known here`,
    hint: 'GET /jobs lists those that are',
  });
}
