/** What the route files share. */

import type { IncomingMessage } from 'node:http';
import type { Clock } from '../clock.ts';
import type { RunJob } from '../jobs/output.ts';
import type { PrivacyTier } from '../jobs/privacy.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Exchanges } from './exchange.ts';
import type { Access } from './guard.ts';
import type { Catalogue, Pulls } from './ports.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
}

/** Route options that say who may call it; a route without them needs the key. */
export interface RouteAccess {
  readonly config: { readonly access: Access };
}

export interface SurfaceDeps {
  readonly runJob: RunJob;
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  readonly exchanges: Exchanges;
  readonly log: Logger;
  /** Tier of requests that name none. */
  readonly privacy: PrivacyTier;
  readonly pulls: Pulls;
  /** Whether a request brings the admin key. */
  readonly hasKey: (request: IncomingMessage) => boolean;
  /** For the routes of the inference surface. */
  readonly inference: RouteAccess;
}

/** For what anybody may ask, without a key even where the inference surface needs one. */
export const OPEN: RouteAccess = { config: { access: 'open' } };

/** For the OpenAI and Ollama endpoints. */
export const INFERENCE: RouteAccess = { config: { access: 'inference' } };
