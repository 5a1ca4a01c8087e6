/** Several nodes that know one another, each with an engine of its own or none. */

import { DEFAULTS, type FakeSettings } from '../engine/settings.ts';
import { type FakeEngine, startFakeEngine } from '../engine/start.ts';
import type { Environment } from './environment.ts';
import { NodeProcess } from './node-process.ts';
import { until } from './until.ts';

export interface MemberOptions {
  /** What its engine is like; without it the node runs no models. */
  readonly engine?: Partial<FakeSettings>;
  readonly env?: Environment;
}

export interface Member {
  readonly node: NodeProcess;
  readonly engine: FakeEngine | undefined;
  /** Canonical names of the models that its engine has. */
  readonly models: readonly string[];
}

/** Called with each part as soon as it runs, so that it is ended even when a later one fails. */
export interface Started {
  node(node: NodeProcess): void;
  engine(engine: FakeEngine): void;
}

export interface MeshOptions {
  readonly folder: string;
  /** One for each node; the first is the one that the others are bootstrapped on. */
  readonly members: readonly MemberOptions[];
  /** Settings of every node. */
  readonly env?: Environment;
  readonly started: Started;
  /** Milliseconds within which they must see one another, once all have started; default 20,000. */
  readonly within?: number;
}

export class Mesh {
  readonly #members: Member[];
  readonly #started: Started;

  private constructor(members: Member[], started: Started) {
    this.#members = members;
    this.#started = started;
  }

  /** Starts all nodes, and waits until every one knows every other with its models. */
  static async start(options: MeshOptions): Promise<Mesh> {
    const engines = await Promise.all(
      options.members.map(async ({ engine: settings }) => {
        if (settings === undefined) return undefined;
        const engine = await startFakeEngine(settings);
        options.started.engine(engine);
        return engine;
      }),
    );
    const start = async (index: number, bootstrap: readonly string[]): Promise<Member> => {
      const member = options.members[index] ?? {};
      const node = await NodeProcess.start({
        name: `node-${index + 1}`,
        folder: options.folder,
        bootstrap,
        engineUrl: engines[index]?.url,
        env: { ...options.env, ...member.env },
      });
      options.started.node(node);
      return { node, engine: engines[index], models: member.engine === undefined ? [] : modelNames(member.engine) };
    };
    const first = await start(0, []);
    const others = await Promise.all(options.members.slice(1).map((_, at) => start(at + 1, first.node.addresses)));
    const mesh = new Mesh([first, ...others], options.started);
    await mesh.settled(options.within);
    return mesh;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** The node with this index. */
  node(index: number): NodeProcess {
    return this.#member(index).node;
  }

  /** The engine of the node with this index. */
  engine(index: number): FakeEngine {
    const { engine } = this.#member(index);
    if (engine === undefined) throw new Error(`node-${index + 1} has no engine`);
    return engine;
  }

  /** The index of the node that is meant by a PeerId, such as the one in `x-gogrid-provider`. */
  indexOf(peerId: string | null | undefined): number {
    const index = this.#members.findIndex(({ node }) => node.peerId === peerId);
    if (index < 0) throw new Error(`no node of this mesh is ${peerId}`);
    return index;
  }

  /** Starts a node that has ended again: same home, same ports. */
  async restart(index: number): Promise<NodeProcess> {
    const member = this.#member(index);
    const { node } = member;
    const port = node.addresses[0]?.match(/\/tcp\/(\d+)/)?.[1] ?? '0';
    const env = { ...node.options.env, GOGRID_NETWORK_PORT: port, GOGRID_API_PORT: new URL(node.api).port };
    const again = await NodeProcess.start({ ...node.options, env });
    this.#started.node(again);
    this.#members[index] = { ...member, node: again };
    return again;
  }

  /** Waits until every living node lists every other living one, ready for jobs, with the models it has. */
  async settled(within = 20_000): Promise<void> {
    const living = this.#members.filter(({ node }) => node.exit === undefined);
    await Promise.all(
      living.map(async ({ node }) => {
        const others = living.filter((other) => other.node !== node);
        await until(() => expectAll(node, others), { what: `${node.name} to see the other nodes`, within });
      }),
    );
  }

  #member(index: number): Member {
    const member = this.#members[index];
    if (member === undefined) throw new Error(`the mesh has no node-${index + 1}`);
    return member;
  }
}

/** @throws Error that says who is missing, and what of them */
async function expectAll(node: NodeProcess, others: readonly Member[]): Promise<true> {
  const peers = await node.peers();
  const missing = others.flatMap((other) => {
    const peer = peers.find(({ peerId }) => peerId === other.node.peerId);
    if (peer === undefined) return [`${other.node.name} is not listed`];
    const { admitted, status, models } = peer;
    if (!admitted) return [`${other.node.name} is not admitted`];
    if (status !== 'idle' && status !== 'busy') return [`${other.node.name} is ${status}`];
    return other.models
      .filter((model) => !models.includes(model))
      .map((model) => `${other.node.name} is listed without ${model}`);
  });
  if (missing.length > 0) throw new Error(missing.join('; '));
  return true;
}

function modelNames({ models = DEFAULTS.models }: Partial<FakeSettings>): string[] {
  return models
    .map(({ name }) => name.toLowerCase())
    .map((name) => (name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`));
}
