/** A mesh with credits: its founder, who is its witness too, and nodes that know one another; and what is asked of their books. */

import { cp } from 'node:fs/promises';
import path from 'node:path';
import {
  type Balance,
  balance,
  type CreditEntry,
  creditHistory,
  type LedgerHead,
  ledgerHead,
  ledgerVerification,
  type TransferAnswer,
  transferAnswer,
} from '../../src/contract/credits.ts';
import { network } from '../../src/contract/network.ts';
import type { Finished } from './command.ts';
import type { Environment } from './environment.ts';
import type { NodeOptions, NodeProcess } from './node-process.ts';
import { until } from './until.ts';

export const CREDIT = 1_000_000n;
const VERIFIED_WITHIN_MS = 300_000;

/** What starts the nodes of a mesh, and ends them. */
interface Starter {
  readonly folder: string;
  node(options: Omit<NodeOptions, 'folder'>): Promise<NodeProcess>;
  gogrid(args: readonly string[]): Promise<Finished>;
}

export class CreditMesh {
  readonly founder: NodeProcess;
  readonly genesis: bigint;
  readonly #starter: Starter;
  readonly #env: Environment;

  private constructor(starter: Starter, founder: NodeProcess, genesis: bigint, env: Environment) {
    this.#starter = starter;
    this.founder = founder;
    this.genesis = genesis;
    this.#env = env;
  }

  /** Founds the mesh and starts its founder's node. */
  static async found(
    starter: Starter,
    { genesis = 1000n * CREDIT, env = {} as Environment } = {},
  ): Promise<CreditMesh> {
    const home = path.join(starter.folder, 'founder');
    const args = ['network', 'create', '--home', home, '--name', 'paid', '--genesis', String(genesis), '--json'];
    const made = await starter.gogrid(args);
    if (made.code !== 0) throw new Error(`network create: ${made.stderr}`);
    const { file } = network.parse(JSON.parse(made.stdout));
    const joining = { ...env, GOGRID_NETWORK_DESCRIPTOR: file ?? '' };
    const founder = await starter.node({ name: 'founder', env });
    return new CreditMesh(starter, founder, genesis, joining);
  }

  /** One more node of the mesh. @param through nodes to join by; the founder without any */
  join(name: string, through: readonly NodeProcess[] = [this.founder]): Promise<NodeProcess> {
    const bootstrap = through.flatMap(({ addresses }) => addresses);
    return this.#starter.node({ name, bootstrap, env: this.#env });
  }

  /** A node that has ended starts again, at ports of its own. */
  again(node: NodeProcess, through: readonly NodeProcess[]): Promise<NodeProcess> {
    return this.join(node.name, through);
  }

  /** A second home with everything of the first one, the key included. Its node must not run. */
  async copyHome(of: NodeProcess, name: string): Promise<void> {
    await cp(of.home, path.join(this.#starter.folder, name), { recursive: true });
  }
}

/* ---- what is asked of a node ---- */

export async function balanceOf(node: NodeProcess): Promise<Balance> {
  return balance.parse(await node.get('/credits/balance'));
}

export async function headOf(node: NodeProcess): Promise<LedgerHead> {
  return ledgerHead.parse(await node.get('/ledger/head'));
}

/** Newest first, at most a thousand. */
export async function historyOf(node: NodeProcess): Promise<CreditEntry[]> {
  return creditHistory.parse(await node.get('/credits/history?limit=1000')).entries;
}

/** @throws Error when the node does not take it */
export async function pay(from: NodeProcess, to: NodeProcess, amount: bigint, memo = ''): Promise<TransferAnswer> {
  const order = { to: to.peerId, amountMicrocredits: String(amount), memo, unknownAccount: true };
  return transferAnswer.parse(await from.post('/credits/transfer', order));
}

/** Waits until a node signs entries of its own. */
export async function untilSigning(...nodes: readonly NodeProcess[]): Promise<void> {
  for (const node of nodes) {
    const ready = async () => (await headOf(node)).signing.state === 'ready';
    await until(ready, { what: `${node.name} to sign`, within: 20_000 });
  }
}

/** Waits until nothing of a node is on its way or could still be taken back. */
export async function untilFinal(node: NodeProcess, available: bigint): Promise<void> {
  const settled = async () => {
    const seen = await balanceOf(node);
    const wanted = { availableMicrocredits: String(available), finalMicrocredits: String(available) };
    if (
      seen.availableMicrocredits === wanted.availableMicrocredits &&
      seen.finalMicrocredits === wanted.finalMicrocredits
    )
      return true;
    throw new Error(JSON.stringify(seen));
  };
  await until(settled, { what: `${node.name} to have ${available} for good`, within: 30_000 });
}

/** Waits until all nodes hold the same ledger. @returns it, as its head says */
export async function untilAgreed(nodes: readonly NodeProcess[], within = 60_000): Promise<LedgerHead> {
  return until(
    async () => {
      const heads = await Promise.all(nodes.map(headOf));
      const [first] = heads;
      const seen = heads.map(({ digest, entries }, at) => `${nodes[at]?.name} ${entries} ${digest.slice(0, 8)}`);
      if (new Set(heads.map(({ digest }) => digest)).size > 1) throw new Error(seen.join(', '));
      return first;
    },
    { what: 'all to hold the same ledger', within },
  );
}

/** Every credit there is: what all accounts have, have set aside, and have sent. */
export async function sumOf(nodes: readonly NodeProcess[]): Promise<bigint> {
  const balances = await Promise.all(nodes.map(balanceOf));
  return balances.reduce(
    (sum, { availableMicrocredits, reservedMicrocredits, promisedMicrocredits }) =>
      sum + BigInt(availableMicrocredits) + BigInt(reservedMicrocredits) + BigInt(promisedMicrocredits),
    0n,
  );
}

/** Has a node check every signature and every amount on its disk. */
export async function verified(node: NodeProcess): Promise<{ readonly entries: number }> {
  // A third of a millisecond an entry, on a machine that has nothing else to do.
  const answer = await node.fetch('/ledger/verify', { signal: AbortSignal.timeout(VERIFIED_WITHIN_MS) });
  const { valid, problems, entries } = ledgerVerification.parse(await answer.json());
  if (!valid) throw new Error(`${node.name}: ${JSON.stringify(problems)}`);
  return { entries };
}
