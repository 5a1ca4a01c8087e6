/** Nodes as their users run them, from the bundle, with settings that leave this machine and its user alone. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Peer, PeerList } from '../../src/contract/control.ts';
import { ended, firstLine, type Measured, NODE, newFolder, start, until } from './processes.ts';

export type Settings = Readonly<Record<string, string>>;

export interface MeasuredNode extends Measured {
  readonly peerId: string;
  readonly addresses: readonly string[];
  /** From the start of the process to its `ready` line, milliseconds. */
  readonly readyMs: number;
  /** `performance.now()` at the start of the process. */
  readonly startedAt: number;
  /** An answer of its control API. @throws Error unless the status is 2xx */
  get(path: string): Promise<unknown>;
  peers(): Promise<readonly Peer[]>;
}

/** Said one by one, so that no change of a default changes what is measured. */
const SETTINGS: Settings = {
  GOGRID_API_PORT: '0',
  GOGRID_NETWORK_PORT: '0',
  GOGRID_NETWORK_LISTEN: '127.0.0.1',
  GOGRID_NETWORK_MDNS: 'false',
  GOGRID_NETWORK_ACCEPT: 'all',
  GOGRID_NETWORK_TRANSPORTS: 'tcp',
  GOGRID_ENGINE_KIND: 'none',
  GOGRID_RESOURCES_ENABLE_ADAPTIVE_THROTTLING: 'false',
};

/** The user's environment, but for settings of the user's own node. */
export function environment(): NodeJS.ProcessEnv {
  const inherited = ['PATH', 'HOME', 'XDG_CACHE_HOME', 'LANG', 'TMPDIR'].map((name) => [name, process.env[name]]);
  return Object.fromEntries(inherited.filter(([, value]) => value !== undefined));
}

/** An engine of this machine for `startNode`. */
export function ollamaAt(url: string): Settings {
  return { GOGRID_ENGINE_KIND: 'ollama', GOGRID_ENGINE_OLLAMA_URL: url };
}

/** The way into a mesh for `startNode`. */
export function joining(...nodes: readonly MeasuredNode[]): Settings {
  return { GOGRID_NETWORK_BOOTSTRAP: nodes.flatMap(({ addresses }) => addresses).join(',') };
}

/**
 * Starts a node and waits until it is ready.
 * @param program the bundle's `gogrid.js`
 * @param home by default a new one
 * @throws Error with its last words when it ends before
 */
export async function startNode(
  program: string,
  settings: Settings,
  home: string = newFolder('home'),
): Promise<MeasuredNode> {
  const startedAt = performance.now();
  const child = start(NODE, [program, 'up', '--home', home, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment(), ...SETTINGS, ...settings },
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000);
  });
  const line = await firstLine(child).catch((error: Error) => {
    throw new Error(said.trim() || error.message);
  });
  const readyMs = performance.now() - startedAt;
  const ready = JSON.parse(line) as { api: string; peerId: string; addresses: string[] };
  const headers = { authorization: `Bearer ${readFileSync(path.join(home, 'api.key'), 'utf8').trim()}` };
  const get = async (path: string) => {
    const answer = await fetch(ready.api + path, { headers });
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    pid: child.pid ?? 0,
    url: ready.api,
    peerId: ready.peerId,
    addresses: ready.addresses,
    readyMs,
    startedAt,
    get,
    async peers() {
      return ((await get('/mesh/peers')) as PeerList).peers;
    },
    stop: () => ended(child),
  };
}

/** Resolves when a node can run this model, itself or through others. */
export async function listsModel(node: MeasuredNode, model = 'bench'): Promise<void> {
  const listed = async () => (await (await fetch(`${node.url}/api/tags`)).text()).includes(model);
  await until(`a node lists ${model}`, listed, { withinMs: 20_000 });
}

/**
 * A mesh of so many nodes, all started at once but the first, through which the others join.
 * @returns when each of them lists all others
 */
export async function startMesh(
  program: string,
  count: number,
  settings: Settings,
): Promise<{ nodes: MeasuredNode[]; completeAfterMs: number[] }> {
  const first = await startNode(program, settings);
  const others = Array.from({ length: count - 1 }, () => startNode(program, { ...settings, ...joining(first) }));
  const complete = async (node: MeasuredNode) => {
    await listsPeers(node, count - 1, 50);
    return performance.now() - node.startedAt;
  };
  const nodes = [first, ...(await Promise.all(others))];
  const completeAfterMs = await Promise.all(nodes.slice(1).map(complete));
  await complete(first);
  return { nodes, completeAfterMs };
}

/** Resolves when a node's directory holds so many others. */
export async function listsPeers(node: MeasuredNode, count: number, everyMs: number): Promise<void> {
  const full = async () => (await node.peers()).length >= count;
  await until(`a directory with ${count} others`, full, { everyMs, withinMs: 60_000 });
}
