/** What a node is built from, besides its configuration. */

import { hostname } from 'node:os';
import type { Logs } from '../api/ports.ts';
import type { Config } from '../config/schema.ts';
import type { HomePaths } from '../storage/home.ts';
import type { Logger } from '../telemetry/logger.ts';

/** As `protocol/profile.ts` bounds it. */
const MAX_NAME_CHARS = 64;

export interface NodeDeps {
  readonly home: HomePaths;
  readonly logger: Logger;
  readonly logs: Logs;
  readonly version: string;
  /** Whether somebody asked for just this `network.port`: a busy one is then an error, not a reason to take another. */
  readonly portIsConfigured: boolean;
}

/** The operator's name for this node, else the machine's. */
export function nodeName(config: Config): string {
  return config.node.node_name || hostname().slice(0, MAX_NAME_CHARS);
}
