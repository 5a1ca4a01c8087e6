/**
 * The HTTP server of one node: the OpenAI and Ollama surfaces for any client, the control surface for the node's owner.
 */

import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import type { RunJob } from '../jobs/output.ts';
import type { PrivacyTier } from '../jobs/privacy.ts';
import { API } from '../limits/api.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createApp, type Gate } from './app.ts';
import { controlRoutes } from './control.ts';
import { creditRoutes } from './credits.ts';
import { doctorRoutes } from './doctor.ts';
import { eventRoutes } from './events.ts';
import { Exchanges } from './exchange.ts';
import { explainRoutes } from './explain.ts';
import { createGuard, createKeyCheck, type GuardOptions } from './guard.ts';
import { isLoopback } from './hosts.ts';
import { ledgerRoutes } from './ledger.ts';
import { boundedServer, type Listening, listen } from './listeners.ts';
import { networkRoutes } from './network.ts';
import { ollamaRoutes } from './ollama/routes.ts';
import { openAiRoutes } from './openai/routes.ts';
import type {
  Catalogue,
  Credits,
  Descriptor,
  Doctor,
  Doorkeeper,
  Events,
  Explain,
  Friends,
  Jobs,
  LedgerAccess,
  Logs,
  Pulls,
  Runtime,
  StopNode,
} from './ports.ts';
import { privacyRoutes } from './privacy.ts';
import { pullRoutes } from './pulls.ts';
import { INFERENCE, type SurfaceDeps } from './surface.ts';
import { answerClientError } from './wire-errors.ts';

export interface ApiOptions extends GuardOptions {
  /** An address of this machine, or `localhost`; on any but a loopback address the inference surface needs the key too. */
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Who may see the prompt of a request that does not say. */
  readonly privacy: PrivacyTier;
}

export interface ApiDeps {
  readonly runJob: RunJob;
  readonly explain: Explain;
  readonly catalogue: Catalogue;
  readonly runtime: Runtime;
  readonly doorkeeper: Doorkeeper;
  readonly friends: Friends;
  readonly jobs: Jobs;
  readonly pulls: Pulls;
  readonly descriptor: Descriptor;
  readonly credits: Credits;
  readonly ledger: LedgerAccess;
  readonly events: Events;
  readonly logs: Logs;
  readonly stopNode: StopNode;
  readonly doctor: Doctor;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Api {
  /**
   * Resolves when requests are answered.
   * @returns the base URL, such as `http://127.0.0.1:4301`
   * @throws GoGridError `port_in_use`, `invalid_config`
   */
  start(): Promise<string>;
  /** The base URL; after `start`. */
  url(): string;
  /**
   * Takes no more questions to models, lets those that run finish for `graceMs`, then ends them with `shutting_down`. The
   * control surface goes on, so that the node can still be asked what it waits for.
   */
  drain(graceMs: number): Promise<void>;
  /** As `drain`, and takes no more requests at all. */
  stop(graceMs: number): Promise<void>;
}

export function createApi(options: ApiOptions, deps: ApiDeps): Api {
  if (options.key.length < API.minKeyChars) throw new Error(`a key of fewer than ${API.minKeyChars} characters`);
  const isOpen = !options.requireKey && isLoopbackHost(options.host);
  const gate: Gate = {
    guard: createGuard({ ...options, requireKey: !isOpen }),
    openPaths: new Map(),
    isOpen,
    closing: false,
  };
  const exchanges = new Exchanges();
  const app = createApp(gate, deps.log);
  const hasKey = createKeyCheck(options.key);
  const surface: SurfaceDeps = { ...deps, exchanges, hasKey, privacy: options.privacy, inference: INFERENCE };
  openAiRoutes(app, surface);
  ollamaRoutes(app, surface);
  controlRoutes(app, { ...deps, exchanges });
  doctorRoutes(app, deps);
  pullRoutes(app, { ...deps, exchanges });
  networkRoutes(app, deps);
  creditRoutes(app, deps);
  ledgerRoutes(app, { ...deps, exchanges });
  eventRoutes(app, { ...deps, exchanges });
  privacyRoutes(app, deps);
  explainRoutes(app, { ...deps, exchanges, privacy: options.privacy });

  let listening: Listening = { servers: [], port: 0 };
  return {
    url: () => baseUrl(options.host, listening.port),
    async start() {
      await app.ready();
      listening = await listen(() => boundedServer(app.routing, answerClientError), options.host, options.port);
      return baseUrl(options.host, listening.port);
    },
    async drain(graceMs) {
      gate.closing = true;
      await exchanges.empty(deps.clock, graceMs, 'answer');
      exchanges.endAll(shuttingDown(), 'answer');
      await exchanges.empty(deps.clock, API.lastWordsMs, 'answer');
      exchanges.cutAll('answer');
    },
    async stop(graceMs) {
      gate.closing = true;
      await close(listening, exchanges, graceMs, deps.clock);
      await app.close();
    },
  };
}

async function close({ servers }: Listening, exchanges: Exchanges, graceMs: number, clock: Clock): Promise<void> {
  const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
  const stopping = shuttingDown();
  exchanges.endAll(stopping, 'endless');
  await exchanges.empty(clock, graceMs);
  exchanges.endAll(stopping);
  await exchanges.empty(clock, API.lastWordsMs);
  for (const server of servers) server.closeAllConnections();
  await Promise.all(closed);
}

export function shuttingDown(): GoGridError {
  return new GoGridError({
    code: 'shutting_down',
    message: 'this node is shutting down',
    hint: 'send the request again when it runs again',
  });
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || (isLoopback(host) && host !== '0.0.0.0');
}

function baseUrl(host: string, port: number): string {
  if (host === '0.0.0.0' || host === 'localhost') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
