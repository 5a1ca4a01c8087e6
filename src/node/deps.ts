/** What a node is built from, besides its configuration. */

import { hostname } from 'node:os';
import path from 'node:path';
import type { Logs } from '../api/ports.ts';
import type { Config } from '../config/settings.ts';
import { MESH } from '../limits/mesh.ts';
import type { HomePaths } from '../storage/home.ts';
import type { Logger } from '../telemetry/logger.ts';

/** The last folder of the home that a node has unless it is given another (`storage/home.ts`). */
const USUAL_HOME = 'gogrid';

export interface NodeDeps {
  readonly home: HomePaths;
  readonly logger: Logger;
  readonly logs: Logs;
  readonly version: string;
  /** For the programs that it starts, and for the proxy of downloads. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's own folder. */
  readonly userFolder: string;
  /** Absolute path of the file in `network.descriptor`; undefined when the setting is empty. */
  readonly descriptorFile: string | undefined;
  /** Whether somebody asked for just this `network.port`: a busy one is then an error, not a reason to take another. */
  readonly portIsConfigured: boolean;
}

/**
 * The operator's name for this node, else the machine's: with that of the home behind it, where it is not the usual home, so
 * that two nodes of one machine can be told apart.
 */
export function nodeName(config: Config, home: Pick<HomePaths, 'folder'>): string {
  if (config.node.node_name !== '') return config.node.node_name;
  const folder = path.basename(home.folder).replace(/^\.+/, '');
  const parts = folder === USUAL_HOME || folder === '' ? [hostname()] : [hostname(), folder];
  return parts.join('-').slice(0, MESH.maxNodeNameChars);
}
