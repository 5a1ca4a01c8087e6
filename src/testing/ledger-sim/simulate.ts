/** Runs one history of ledgers from its plan to its end. */

import type { AccountId, EntryName } from '../../ledger/entries/entry.ts';
import { caughtBy } from '../sim/caught.ts';
import { randomOf } from '../sim/random.ts';
import type { TraceLine } from '../sim/trace.ts';
import { type Violation, World } from '../sim/world.ts';
import { accountIdOf, meshOf } from './accounts.ts';
import { cheat } from './cheats.ts';
import { Disk } from './disk.ts';
import { inflict, prepare } from './faults.ts';
import { checkHealed } from './healed.ts';
import { Laws } from './laws.ts';
import { SimMesh } from './mesh.ts';
import { SimNode } from './node.ts';
import type { Plan } from './plan.ts';
import { buildProgram, codecOnce } from './program.ts';
import { Spends } from './spends.ts';
import { Acknowledged, Users } from './users.ts';

/** Virtual milliseconds from a double spend to the first proof of it, and to the last node that has one. */
export interface Times {
  readonly first: number[];
  readonly everywhere: number[];
}

export interface Result {
  readonly plan: Plan;
  readonly violation: Violation | undefined;
  /** Of everything that happened. */
  readonly hash: string;
  /** Empty unless somebody wants to read them. */
  readonly lines: readonly TraceLine[];
  readonly events: number;
  readonly virtualMs: number;
  /** What happened how often. */
  readonly tally: ReadonlyMap<string, number>;
  readonly times: Times;
}

/** After the last fault: rounds of sync with peers drawn at random, until all have heard of all. */
const QUIET_MS = 300_000;
const GRANTS_AT_MS = 500;

export async function simulate(plan: Plan, keepTrace = false): Promise<Result> {
  const history = new History(plan, keepTrace);
  const leave = caughtBy(history.world);
  try {
    await history.run();
  } finally {
    leave();
  }
  return history.result();
}

/** What could be known when a program started. */
interface Known {
  /** The newest entry of each of its accounts that a witness had. */
  readonly newest: ReadonlyMap<AccountId, number>;
  /** Faults before. */
  readonly faults: number;
}

class History {
  readonly world: World;
  readonly #plan: Plan;
  readonly #links: SimMesh;
  readonly #spends: Spends;
  readonly #laws: Laws;
  readonly #nodes: SimNode[] = [];
  readonly #acknowledged = new Acknowledged();
  readonly #cloned = new Set<AccountId>();
  /** Places of accounts whose node got an older disk: what was written there may be known to nobody. */
  readonly #excused = new Map<AccountId, { readonly from: number; readonly to: number }[]>();
  readonly #cheats: ReadonlySet<AccountId>;
  readonly #codec = codecOnce();
  /** Faults so far. */
  #faults = 0;

  constructor(plan: Plan, keepTrace: boolean) {
    this.#plan = plan;
    this.world = new World(keepTrace);
    this.#links = new SimMesh(this.world, plan);
    this.#spends = new Spends(this.world);
    this.#cheats = new Set(plan.accounts.flatMap(({ cheats }, index) => (cheats ? [accountIdOf(index)] : [])));
    const isHonest = (author: AccountId, sequence: number) => this.#isHonest(author, sequence);
    this.#laws = new Laws({ world: this.world, founder: accountIdOf(0), spends: this.#spends, isHonest });
    for (const place of plan.nodes.keys()) this.#addNode(place, place);
    this.world.afterEvent((place) => {
      const program = this.#nodes[place]?.program;
      if (program !== undefined) this.#laws.check(place, program.ingest.ledger);
    });
  }

  async run(): Promise<void> {
    const { world } = this;
    for (const node of this.#nodes) node.start();
    this.#schedule();
    await world.run(this.#plan.calmAt + QUIET_MS);
    if (world.violation !== undefined) return;
    const nodes = this.#nodes.flatMap(({ place, program, disk }) =>
      program === undefined ? [] : [{ place, ledger: program.ingest.ledger, store: disk.store }],
    );
    if (nodes.length < this.#plan.nodes.length) world.violate('starts', 'a node does not run when all is over');
    await checkHealed({
      world,
      mesh: meshOf(this.#plan),
      nodes,
      spends: this.#spends,
      laws: this.#laws,
      acknowledged: this.#acknowledged.all(),
    });
  }

  result(): Result {
    const { violation, trace, events, tally, now } = this.world;
    const times: Times = { first: [], everywhere: [] };
    for (const { author, triedAt = 0, isFirst, known } of this.#spends.tried()) {
      const proofs = [...this.#spends.proofsAgainst(author).values()].map((at) => at - triedAt);
      if (!isFirst || known.size < 2 || proofs.length === 0) continue;
      times.first.push(Math.max(0, Math.min(...proofs)));
      times.everywhere.push(Math.max(0, ...proofs));
    }
    const { hash, lines } = trace;
    return { plan: this.#plan, violation, hash, lines, events, virtualMs: now, tally, times };
  }

  #schedule(): void {
    const { world } = this;
    const plan = this.#plan;
    const users = new Users({
      world,
      plan,
      links: this.#links,
      wallet: (account) => this.#nodes[plan.accounts[account]?.home ?? 0]?.program?.wallets.get(account),
      acknowledged: (_wallet, entry) => this.#acknowledged.add(entry),
    });
    world.clock.after(GRANTS_AT_MS, () => users.grant());
    for (const move of plan.moves) world.clock.after(move.at, () => users.move(move));
    const stage = {
      world,
      plan,
      mesh: meshOf(plan),
      links: this.#links,
      spends: this.#spends,
      view: (home: number) => this.#viewAt(home),
    };
    for (const each of plan.cheats) world.clock.after(each.at, () => cheat(each, stage));
    const faults = {
      world,
      links: this.#links,
      nodes: this.#nodes,
      clone: (of: SimNode) => this.#clone(of),
      restored: (node: SimNode) => this.#restored(node),
    };
    for (const fault of plan.faults) {
      prepare(fault, faults);
      world.clock.after(fault.at, () => {
        this.#faults++;
        inflict(fault, faults);
      });
    }
  }

  #addNode(place: number, key: number, disk?: Disk): SimNode {
    const plan = this.#plan;
    const { diskMs = 1, skewMs = 0 } = plan.nodes[key] ?? {};
    const random = randomOf(plan.seed, `disk ${place}`);
    const node = new SimNode({
      place,
      key,
      disk: disk ?? new Disk(diskMs, random),
      skewMs,
      world: this.world,
      links: this.#links,
      build: (of, process, isFresh) => {
        const known = this.#whatWitnessesKnow(place);
        return buildProgram(of, process, isFresh, {
          world: this.world,
          plan,
          mesh: meshOf(plan),
          links: this.#links,
          codec: this.#codec,
          ready: (account, head) => this.#checkHead(place, account, head, known),
          taken: (entries, forks) => {
            this.#laws.taken(place, entries);
            for (const pair of forks)
              this.#spends.found(
                place,
                pair.map(({ id }) => id),
              );
          },
        });
      },
    });
    this.#nodes[place] = node;
    return node;
  }

  /** When a program starts: which of its witnesses could be asked, and what they could say. */
  #whatWitnessesKnow(place: number): Known {
    const { links, witnesses, liars } = { links: this.#links, ...this.#plan };
    const canBeAsked = (other: SimNode) =>
      other.program?.host.process.state === 'running' &&
      other.place !== place &&
      !liars.includes(other.place) &&
      !links.isCut(place, other.place) &&
      !links.isCut(other.place, place);
    const asked = witnesses.flatMap((witness) => this.#nodes[witness] ?? []).filter(canBeAsked);
    const newest = new Map<AccountId, number>();
    for (const { program } of asked) {
      for (const author of this.#accountsAt(this.#nodes[place]?.key ?? place)) {
        const heads = program?.ingest.ledger.heads(author) ?? [];
        newest.set(author, Math.max(newest.get(author) ?? -1, ...heads.map(({ sequence }) => sequence)));
      }
    }
    return { newest, faults: this.#faults };
  }

  /** Whoever starts goes on behind what any witness has that it could ask. */
  #checkHead(place: number, account: number, head: EntryName | undefined, { newest, faults }: Known): void {
    const author = accountIdOf(account);
    const known = newest.get(author) ?? -1;
    if (faults !== this.#faults || known <= (head?.sequence ?? -1) || this.#cloned.has(author)) return;
    // What is cut off by a fork of its own is no place to go on.
    if (this.#spends.proofsAgainst(author).size > 0) return;
    const text = `${author} goes on behind ${head?.sequence ?? 'nothing'}, and a witness has its entry ${known}`;
    this.world.violate('goes-on-behind', text, place, account);
  }

  /** The ledger of a node, or if it does not run that of another one. */
  #viewAt(home: number) {
    const runs = this.#nodes[home]?.program ?? this.#nodes.find(({ program }) => program !== undefined)?.program;
    return runs?.ingest.ledger;
  }

  #isHonest(author: AccountId, sequence: number): boolean {
    if (this.#cheats.has(author) || this.#cloned.has(author)) return false;
    return !this.#excused.get(author)?.some(({ from, to }) => from <= sequence && sequence <= to);
  }

  #accountsAt(key: number): AccountId[] {
    return this.#plan.accounts.flatMap(({ home, cheats }, index) =>
      home === key && !cheats ? [accountIdOf(index)] : [],
    );
  }

  #clone(of: SimNode): void {
    for (const account of this.#accountsAt(of.key)) this.#cloned.add(account);
    const place = this.#nodes.length;
    const { diskMs = 1 } = this.#plan.nodes[of.key] ?? {};
    const disk = new Disk(diskMs, randomOf(this.#plan.seed, `disk ${place}`), of.disk.copy());
    this.#addNode(place, of.key, disk).start();
  }

  /** What nobody else has of what this disk had is gone; and it may be written again. */
  async #restored(node: SimNode): Promise<void> {
    const others = this.#nodes.filter((other) => other !== node).map(({ disk }) => disk.store);
    for (const author of this.#accountsAt(node.key)) {
      let newest = -1;
      for await (const { sequence } of node.disk.store.chain(author, 0)) newest = sequence;
      const lost: EntryName[] = [];
      for (const entry of this.#acknowledged.of(author)) {
        if (entry.sequence <= newest) continue;
        const held = await Promise.all(others.map((store) => store.idsAt(author, entry.sequence)));
        if (!held.flat().includes(entry.id)) lost.push(entry);
      }
      this.#acknowledged.forget(author, (entry) => lost.includes(entry));
      const to = this.#spends.newestOf(author);
      if (to > newest) this.#excused.set(author, [...(this.#excused.get(author) ?? []), { from: newest + 1, to }]);
    }
  }
}
