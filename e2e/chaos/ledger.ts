/**
 * Writers that are killed in the middle of their appends. Each sends small transfers, several at once, until a SIGKILL at a
 * random moment; then it starts again from its disk. What it acknowledged must be in its log afterwards, and its log must not fork.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  CREDIT,
  type CreditMesh,
  headOf,
  pay,
  sumOf,
  untilAgreed,
  untilFinal,
  untilSigning,
  verified,
} from '../harness/credits.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { type Random, randomFrom } from '../harness/random.ts';
import { until } from '../harness/until.ts';

export interface LedgerChaosOptions {
  readonly kills: number;
  readonly seed: number;
  /** Nodes that write and are killed, side by side. */
  readonly writers: number;
  readonly tell: (line: string) => void;
}

export interface LedgerChaosFigures {
  readonly kills: number;
  readonly acknowledged: number;
  /** In the logs of all writers. */
  readonly entries: number;
  /** Transfers that were cut off by a kill, and stand all the same: their answer was lost, not they. */
  readonly unanswered: number;
  readonly violations: readonly string[];
}

const IN_FLIGHT = 4;
const SENT = 1_000n;
/** A kill comes within so many milliseconds of the first acknowledgement. */
const KILL_WITHIN_MS = 250;
/** So often all books are compared in between. */
const COMPARE_EVERY = 50;

export async function ledgerChaos(mesh: CreditMesh, options: LedgerChaosOptions): Promise<LedgerChaosFigures> {
  const { founder } = mesh;
  const payee = await mesh.join('payee');
  await untilSigning(founder, payee);
  const share = Math.ceil(options.kills / options.writers);
  const names = Array.from({ length: options.writers }, (_, at) => `writer-${at + 1}`);
  const done = await Promise.all(
    names.map((name) => new Writer(mesh, name, payee, options).run(share, randomFrom(options.seed, name))),
  );

  for (const violation of done.flatMap((one) => one.violations)) options.tell(`VIOLATION ${violation}`);
  const writers = done.map(({ node }) => node);
  const all = [founder, payee, ...writers];
  await untilAgreed(all, 120_000);
  await until(async () => (await sumOf(all)) === mesh.genesis, {
    what: 'all credits to be accounted for',
    within: 60_000,
  });
  const { forked, forks } = await headOf(founder);
  const violations = done.flatMap((one) => one.violations);
  if (forked > 0) violations.push(`an honest log is forked: ${JSON.stringify(forks)}`);
  for (const node of all) await verified(node);
  return {
    kills: done.reduce((sum, { kills }) => sum + kills, 0),
    acknowledged: done.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    entries: done.reduce((sum, { entries }) => sum + entries, 0),
    unanswered: done.reduce((sum, { unanswered }) => sum + unanswered, 0),
    violations,
  };
}

/** From one start of a writer's node to its kill. */
interface Life {
  hasWritten: boolean;
  isKilled: boolean;
}

class Writer {
  readonly #mesh: CreditMesh;
  readonly #name: string;
  readonly #payee: NodeProcess;
  readonly #options: LedgerChaosOptions;
  readonly #acknowledged = new Map<number, string>();
  readonly violations: string[] = [];

  constructor(mesh: CreditMesh, name: string, payee: NodeProcess, options: LedgerChaosOptions) {
    this.#mesh = mesh;
    this.#name = name;
    this.#payee = payee;
    this.#options = options;
  }

  async run(kills: number, random: Random) {
    let node = await this.#mesh.join(this.#name);
    await untilSigning(node);
    await pay(this.#mesh.founder, node, 100n * CREDIT);
    await untilFinal(node, 100n * CREDIT);
    for (let kill = 1; kill <= kills; kill++) {
      await this.#writeUntilKilled(node, random);
      node = await this.#mesh.again(node, [this.#mesh.founder, this.#payee]);
      await untilSigning(node);
      if (kill % COMPARE_EVERY === 0) {
        await this.#compare(node);
        this.#options.tell(`${this.#name}: ${kill} kills, ${this.#acknowledged.size} acknowledged`);
      }
    }
    const entries = await this.#compare(node);
    const acknowledged = this.#acknowledged.size;
    return { node, kills, acknowledged, entries, unanswered: entries - 1 - acknowledged, violations: this.violations };
  }

  async #writeUntilKilled(node: NodeProcess, random: Random): Promise<void> {
    const first = Promise.withResolvers<void>();
    const life = { hasWritten: false, isKilled: false };
    const write = async () => {
      for (;;) {
        const sent = await pay(node, this.#payee, SENT).catch((thrown: unknown) => this.#judge(thrown, life));
        if (sent === 'ended') return first.resolve();
        if (sent === 'not ready') {
          await Promise.race([untilSigning(node), node.exited]);
          continue;
        }
        this.#note(sent.name);
        life.hasWritten = true;
        first.resolve();
      }
    };
    const writing = Promise.all(Array.from({ length: IN_FLIGHT }, write));
    await first.promise;
    // The moment is what is drawn: nothing is waited for here.
    await sleep(random.int(0, KILL_WITHIN_MS));
    life.isKilled = true;
    await node.kill();
    await writing;
  }

  /** Behind the kill every error is its doing; before it a node refuses nothing, once it has begun to sign. */
  #judge(thrown: unknown, { hasWritten, isKilled }: Life): 'ended' | 'not ready' {
    if (isKilled) return 'ended';
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    if (!hasWritten && message.includes('ledger_not_ready')) return 'not ready';
    this.violations.push(`${this.#name}: refused before it was killed: ${message}`);
    return 'ended';
  }

  #note({ sequence, id }: { readonly sequence: number; readonly id: string }): void {
    const before = this.#acknowledged.get(sequence);
    if (before !== undefined) this.violations.push(`${this.#name}: two acknowledged at ${sequence}: ${before}, ${id}`);
    this.#acknowledged.set(sequence, id);
  }

  /** @returns how many entries its log has */
  async #compare(node: NodeProcess): Promise<number> {
    const head = await headOf(node);
    const ids = await logOf(node);
    for (const [sequence, id] of this.#acknowledged) {
      if (ids.get(sequence) !== id)
        this.violations.push(`${this.#name}: ${id} at ${sequence} was acknowledged, and is lost`);
    }
    return (head.own?.sequence ?? -1) + 1;
  }
}

/** Ids of a node's own entries, by sequence. */
async function logOf(node: NodeProcess): Promise<Map<number, string>> {
  const ids = new Map<number, string>();
  let from: number | null = 0;
  while (from !== null) {
    const page = (await node.get(`/ledger/entries?limit=1000&from=${from}`)) as {
      entries: { sequence: number; id: string }[];
      next: number | null;
    };
    for (const { sequence, id } of page.entries) ids.set(sequence, id);
    from = page.next;
  }
  return ids;
}
