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
  peerChoice,
  peerDecision,
  peerList,
  runtimeHealth,
  stopping,
} from './control.ts';
import {
  balance,
  creditHistory,
  creditHistoryQuery,
  creditSummary,
  exportLine,
  ledgerEntries,
  ledgerEntriesQuery,
  ledgerHead,
  ledgerVerification,
  transferAnswer,
  transferOrder,
} from './credits.ts';
import { diagnosis } from './doctor.ts';
import { nodeEvent } from './events.ts';
import { explainRequest, explanation } from './explanation.ts';
import { network, networkChanges } from './network.ts';
import { friendChoice, friendList } from './privacy.ts';
import { modelRemoved, pullLine, pullList, pullRequest, pullSuccess } from './pulls.ts';

export interface ControlRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Parameters as OpenAPI writes them: `/jobs/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly query?: ZodType;
  /** Sent as JSON. */
  readonly body?: ZodType;
  readonly answer: ZodType;
  /** Of the answer's lines, when the query asks for a stream of them. */
  readonly stream?: ZodType;
  /** The answer is server-sent events without an end, each with one of `answer` as its data. */
  readonly events?: boolean;
  /** Answered without a key. */
  readonly open?: boolean;
}

export const controlRoutes = [
  { method: 'GET', path: '/health', summary: 'Whether the node answers', answer: health, open: true },
  { method: 'GET', path: '/health/runtime', summary: 'State, engine, model, uptime, peers', answer: runtimeHealth },
  { method: 'GET', path: '/status', summary: 'Statistics since the node started', answer: nodeStatus },
  { method: 'GET', path: '/identity', summary: 'Keys and addresses of this node', answer: identity },
  { method: 'GET', path: '/network', summary: 'The mesh that this node is in', answer: network },
  {
    method: 'POST',
    path: '/network/reissue',
    summary: 'Signs the next revision of the descriptor; on the node that holds the key of the founder',
    body: networkChanges,
    answer: network,
  },
  { method: 'GET', path: '/mesh/peers', summary: 'The nodes of the mesh that this one knows', answer: peerList },
  { method: 'GET', path: '/mesh/peers/{id}', summary: 'One node of the mesh', answer: peer },
  { method: 'GET', path: '/agent-mesh/peers/{id}', summary: 'The same as /mesh/peers/{id}', answer: peer },
  {
    method: 'POST',
    path: '/mesh/accept',
    summary: 'Accepts a machine: it is admitted as soon as its user accepts this one too',
    body: peerChoice,
    answer: peerDecision,
  },
  {
    method: 'POST',
    path: '/mesh/block',
    summary: 'Hangs up on a machine, and refuses it from now on',
    body: peerChoice,
    answer: peerDecision,
  },
  {
    method: 'POST',
    path: '/mesh/unblock',
    summary: 'Makes a blocked machine a stranger again',
    body: peerChoice,
    answer: peerDecision,
  },
  {
    method: 'GET',
    path: '/privacy/friends',
    summary: 'The peers that may see prompts of the privacy tier friends',
    answer: friendList,
  },
  { method: 'PUT', path: '/privacy/friends', summary: 'Replaces that list', body: friendChoice, answer: friendList },
  { method: 'PUT', path: '/privacy/friends/{id}', summary: 'Puts one peer on it', answer: friendList },
  { method: 'DELETE', path: '/privacy/friends/{id}', summary: 'Takes one off it', answer: friendList },
  { method: 'GET', path: '/model/list', summary: 'Every model of the mesh', answer: modelList },
  {
    method: 'POST',
    path: '/model/pull',
    summary: 'Gets a model to this machine; one JSON object a line until `success`, or one answer with stream=false',
    body: pullRequest,
    answer: pullSuccess,
    stream: pullLine,
  },
  { method: 'GET', path: '/model/pull/progress', summary: 'The models that are being pulled', answer: pullList },
  { method: 'DELETE', path: '/model/{name}', summary: 'Deletes a model of this machine', answer: modelRemoved },
  {
    method: 'GET',
    path: '/jobs',
    summary: 'Jobs asked or run here, newest first, without why they went where they went',
    query: jobListQuery,
    answer: jobList,
  },
  { method: 'GET', path: '/jobs/{id}', summary: 'One job', answer: job },
  { method: 'POST', path: '/jobs/{id}/cancel', summary: 'Cancels a job; answers with it as it is then', answer: job },
  {
    method: 'POST',
    path: '/route/explain',
    summary:
      'Who would answer a question, and why; takes the body and the headers of /v1/chat/completions, runs nothing',
    body: explainRequest,
    answer: explanation,
  },
  {
    method: 'GET',
    path: '/credits/balance',
    summary: 'What the account of this node has, has promised, and is promised',
    answer: balance,
  },
  {
    method: 'GET',
    path: '/credits/history',
    summary: 'Why the balance is what it is: newest first, page by page',
    query: creditHistoryQuery,
    answer: creditHistory,
  },
  {
    method: 'GET',
    path: '/credits/summary',
    summary: 'Earned, spent, received and sent: today, in seven days, in thirty',
    answer: creditSummary,
  },
  {
    method: 'POST',
    path: '/credits/transfer',
    summary: 'Sends credits to another account; answers when that is on the disk of this node',
    body: transferOrder,
    answer: transferAnswer,
  },
  {
    method: 'GET',
    path: '/ledger/head',
    summary: 'What this node holds of the ledger, its own newest entry, witnesses and forks',
    answer: ledgerHead,
  },
  {
    method: 'GET',
    path: '/ledger/verify',
    summary: 'Checks every signature, chain and amount on the disk again, which takes a while in a large mesh',
    answer: ledgerVerification,
  },
  {
    method: 'GET',
    path: '/ledger/entries',
    summary:
      'Entries of one account; with stream=true the whole ledger as JSON lines, which can be checked without a node',
    query: ledgerEntriesQuery,
    answer: ledgerEntries,
    stream: exportLine,
  },
  {
    method: 'GET',
    path: '/events',
    summary: 'What happens in this node, as server-sent events; goes on behind `Last-Event-ID`',
    answer: nodeEvent,
    events: true,
  },
  {
    method: 'GET',
    path: '/logs',
    summary: 'The last lines of the log; with follow=true, one JSON object a line, without an end',
    query: logQuery,
    answer: logList,
    stream: logLine,
  },
  { method: 'GET', path: '/doctor', summary: 'What is wrong with the node, why, and the fix', answer: diagnosis },
  {
    method: 'POST',
    path: '/stop',
    summary: 'Stops the node in order: running jobs may finish, then its process ends',
    answer: stopping,
  },
  { method: 'GET', path: '/openapi.json', summary: 'This description', answer: errorBody.loose().partial() },
] as const satisfies readonly ControlRoute[];
