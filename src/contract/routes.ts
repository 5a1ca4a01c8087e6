/** The control surface's paths, once: the server serves exactly these, and `/openapi.json` lists them. */

import type { ZodType } from 'zod';
import {
  errorBody,
  health,
  identity,
  job,
  jobList,
  jobListQuery,
  logLine,
  logList,
  logQuery,
  modelList,
  nodeStatus,
  peer,
  peerList,
  runtimeHealth,
} from './control.ts';

export interface ControlRoute {
  readonly method: 'GET' | 'POST';
  /** Parameters as OpenAPI writes them: `/jobs/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly query?: ZodType;
  readonly answer: ZodType;
  /** Of the answer's lines, when the query asks for a stream of them. */
  readonly stream?: ZodType;
  /** Answered without a key. */
  readonly open?: boolean;
}

export const controlRoutes = [
  { method: 'GET', path: '/health', summary: 'Whether the node answers', answer: health, open: true },
  { method: 'GET', path: '/health/runtime', summary: 'State, engine, model, uptime, peers', answer: runtimeHealth },
  { method: 'GET', path: '/status', summary: 'Statistics since the node started', answer: nodeStatus },
  { method: 'GET', path: '/identity', summary: 'Keys and addresses of this node', answer: identity },
  { method: 'GET', path: '/mesh/peers', summary: 'The nodes of the mesh that this one knows', answer: peerList },
  { method: 'GET', path: '/mesh/peers/{id}', summary: 'One node of the mesh', answer: peer },
  { method: 'GET', path: '/agent-mesh/peers/{id}', summary: 'The same as /mesh/peers/{id}', answer: peer },
  { method: 'GET', path: '/model/list', summary: 'Every model of the mesh', answer: modelList },
  {
    method: 'GET',
    path: '/jobs',
    summary: 'Jobs asked or run here, newest first',
    query: jobListQuery,
    answer: jobList,
  },
  { method: 'GET', path: '/jobs/{id}', summary: 'One job', answer: job },
  { method: 'POST', path: '/jobs/{id}/cancel', summary: 'Cancels a job; answers with it as it is then', answer: job },
  {
    method: 'GET',
    path: '/logs',
    summary: 'The last lines of the log; with follow=true, one JSON object a line, without an end',
    query: logQuery,
    answer: logList,
    stream: logLine,
  },
  { method: 'GET', path: '/openapi.json', summary: 'This description', answer: errorBody.loose().partial() },
] as const satisfies readonly ControlRoute[];
