/** What a history of ledgers will be, drawn from its seed as plain data: who is there, what is paid, who cheats, what breaks. */

import { type Random, randomOf } from '../sim/random.ts';

export interface NodePlan {
  /** Milliseconds of a durable write. */
  readonly diskMs: number;
  /** By how much its wall clock is wrong. */
  readonly skewMs: number;
  /** Money that is not final is never booked. */
  readonly requireFinal: boolean;
}

/** An account. The first ones are those of the nodes; the others are written by an author that lives on a node. */
export interface AccountPlan {
  readonly home: number;
  readonly cheats: boolean;
}

/** What an honest account does. */
export type MovePlan = { readonly index: number; readonly at: number; readonly from: number } & (
  | { readonly kind: 'pay'; readonly to: number; readonly amount: number }
  | {
      /** A hold, vouchers on its legs step by step, claims, and the rest taken back. */
      readonly kind: 'channel';
      readonly legs: readonly { readonly to: number; readonly max: number; readonly leaves: boolean }[];
      readonly steps: number;
      readonly everyMs: number;
    }
);

export type CheatKind = 'split' | 'late' | 'launder' | 'league' | 'over-claim' | 'twice' | 'overspend';

/** What a cheating account tries; each tries one thing after the other. */
export interface CheatPlan {
  readonly index: number;
  readonly at: number;
  readonly account: number;
  readonly kind: CheatKind;
  /** Entries shown for one place. */
  readonly ways: number;
  /** How much of the mesh each of them is shown to at first, 0 to 1. */
  readonly share: number;
  /** Milliseconds between the first and the others, for what comes late. */
  readonly lateMs: number;
  /** Entries of its own that the late one goes back. */
  readonly back: number;
  readonly seed: number;
}

export type FaultPlan = {
  readonly index: number;
  readonly at: number;
} /** The program dies; `power` loses what was not durable. */ & (
  | { readonly kind: 'kill' | 'power' | 'drain'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'stop'; readonly node: number; readonly ms: number }
  /** Its disk becomes what it was some time ago. */
  | { readonly kind: 'restore'; readonly node: number; readonly ageMs: number; readonly downMs: number }
  /** A second machine starts with a copy of its disk and key, and both go on. */
  | { readonly kind: 'clone'; readonly node: number }
  | { readonly kind: 'clock'; readonly node: number; readonly jumpMs: number }
  | {
      readonly kind: 'cut';
      readonly side: readonly number[];
      readonly other: readonly number[];
      readonly oneWay: boolean;
      readonly ms: number;
    }
);

export const THEMES = ['calm', 'cheats', 'faulty', 'network', 'witnesses', 'mixed', 'crowd'] as const;
export type Theme = (typeof THEMES)[number];

export interface Plan {
  readonly seed: number;
  readonly theme: Theme;
  readonly nodes: readonly NodePlan[];
  readonly accounts: readonly AccountPlan[];
  /** Nodes that are witnesses, and those of them that lie. */
  readonly witnesses: readonly number[];
  readonly liars: readonly number[];
  readonly moves: readonly MovePlan[];
  readonly cheats: readonly CheatPlan[];
  readonly faults: readonly FaultPlan[];
  /** Microcredits that the founder gives to every other account. */
  readonly grant: number;
  /** Everything was tried, and every fault is over by then. */
  readonly calmAt: number;
  /** One way, milliseconds, between the nearest and the farthest. */
  readonly delayMs: readonly [number, number];
  /** Of the delay. */
  readonly jitter: number;
  /** Probability that a hint does not reach somebody. */
  readonly hintLoss: number;
  readonly loneReleaseMs: number;
  readonly capMicrocredits: number;
}

export interface PlanBounds {
  readonly nodes?: readonly [number, number] | undefined;
}

/** The history of a seed. The same seed and bounds give the same plan. */
export function planOf(seed: number, bounds: PlanBounds = {}): Plan {
  const random = randomOf(seed, 'ledger plan');
  const theme = random.chance(0.02) ? 'crowd' : random.pick(THEMES.filter((each) => each !== 'crowd'));
  const count = countOf(theme, random, bounds);
  const nodes = Array.from({ length: count }, () => nodeOf(random));
  const witnesses = random.some(indexes(count), count >= 5 && random.chance(0.6) ? 4 : 1);
  const liars = witnesses.length === 4 && random.chance(0.6) ? random.some(witnesses, 1) : [];
  const accounts = accountsOf(theme, count, random);
  const spanMs = random.between(30_000, theme === 'crowd' ? 60_000 : 150_000);
  // The founder has paid everybody by then.
  const fromMs = 1_000 + accounts.length * 20;
  const moves = movesOf(theme, accounts, { fromMs, spanMs }, random);
  const cheats = cheatsOf(theme, accounts, { fromMs: fromMs + 4_000, spanMs }, random);
  const faults = faultsOf(theme, count, witnesses, { fromMs, spanMs }, random);
  const far = random.logBetween(1, 200);
  return {
    seed,
    theme,
    nodes,
    accounts,
    witnesses,
    liars,
    moves,
    cheats,
    faults,
    grant: 100_000,
    calmAt: Math.max(fromMs + spanMs, ...moves.map(endOfMove), ...cheats.map(endOfCheat), ...faults.map(endOfFault)),
    delayMs: [Math.min(0.3, far), far],
    jitter: random.between(0, 1),
    hintLoss: random.chance(0.5) ? 0 : random.between(0, 0.6),
    loneReleaseMs: random.pick([20_000, 60_000, 7 * 86_400_000]),
    capMicrocredits: random.pick([0, 1_000, 50_000]),
  };
}

/** The same history without some of what happens in it, to see what matters. */
export function without(plan: Plan, cut: Cut): Plan {
  return {
    ...plan,
    moves: plan.moves.filter(({ index }) => !cut.moves.has(index)),
    cheats: plan.cheats.filter(({ index }) => !cut.cheats.has(index)),
    faults: plan.faults.filter(({ index }) => !cut.faults.has(index)),
  };
}

/** What is left out of a history, by index. */
export interface Cut {
  readonly moves: ReadonlySet<number>;
  readonly cheats: ReadonlySet<number>;
  readonly faults: ReadonlySet<number>;
}

interface Span {
  readonly fromMs: number;
  readonly spanMs: number;
}

function countOf(theme: Theme, random: Random, { nodes }: PlanBounds): number {
  if (nodes !== undefined) return random.int(nodes[0], nodes[1]);
  if (theme === 'crowd') return random.int(25, 40);
  return random.chance(0.75) ? random.int(2, 8) : random.int(9, 20);
}

function nodeOf(random: Random): NodePlan {
  return {
    diskMs: random.logBetween(0.5, 40),
    skewMs: random.chance(0.3) ? random.between(-600_000, 600_000) : 0,
    requireFinal: random.chance(0.3),
  };
}

function accountsOf(theme: Theme, nodes: number, random: Random): AccountPlan[] {
  const own = Array.from({ length: nodes }, (_, home) => ({ home, cheats: false }));
  const honest = random.int(0, theme === 'crowd' ? 160 : 2 * nodes);
  const cheating = theme === 'calm' ? 0 : random.int(5, theme === 'crowd' ? 120 : theme === 'cheats' ? 40 : 20);
  const more = Array.from({ length: honest + cheating }, (_, index) => ({
    home: random.int(0, nodes - 1),
    cheats: index >= honest,
  }));
  return [...own, ...more];
}

function movesOf(theme: Theme, accounts: readonly AccountPlan[], { fromMs, spanMs }: Span, random: Random): MovePlan[] {
  const honest = accounts.flatMap(({ cheats }, index) => (cheats ? [] : [index]));
  const count = random.int(5, theme === 'crowd' ? 150 : theme === 'calm' ? 120 : 60);
  const someone = (not: number) => random.pick(indexes(accounts.length).filter((other) => other !== not));
  return Array.from({ length: count }, (_, index) => {
    const at = fromMs + random.between(0, spanMs * 0.8);
    const from = random.pick(honest);
    if (random.chance(0.65)) {
      return { index, at, from, kind: 'pay', to: someone(from), amount: Math.round(random.logBetween(1, 60_000)) };
    }
    const payees = random.some(
      indexes(accounts.length).filter((other) => other !== from),
      random.pick([1, 1, 2, 4]),
    );
    const legs = payees.map((to) => ({
      to,
      max: Math.round(random.logBetween(10, 20_000)),
      leaves: random.chance(0.25),
    }));
    return { index, at, from, kind: 'channel', legs, steps: random.int(0, 6), everyMs: random.logBetween(100, 8_000) };
  });
}

const CHEATS: readonly CheatKind[] = [
  'split',
  'split',
  'split',
  'late',
  'late',
  'launder',
  'launder',
  'league',
  'over-claim',
  'twice',
  'overspend',
];

function cheatsOf(
  theme: Theme,
  accounts: readonly AccountPlan[],
  { fromMs, spanMs }: Span,
  random: Random,
): CheatPlan[] {
  const cheaters = accounts.flatMap(({ cheats }, index) => (cheats ? [index] : []));
  const rounds = theme === 'cheats' ? 8 : 4;
  return cheaters
    .flatMap((account) =>
      Array.from({ length: random.int(1, rounds) }, () => ({
        at: fromMs + random.between(0, spanMs * 0.9),
        account,
        kind: random.pick(CHEATS),
        ways: random.pick([2, 2, 2, 3, 5]),
        share: random.between(0.1, 1),
        lateMs: random.logBetween(500, 90_000),
        back: random.int(0, 3),
        seed: random.int(0, 2 ** 31),
      })),
    )
    .map((cheat, index) => ({ index, ...cheat }));
}

const FAULT_KINDS: Readonly<Record<Theme, readonly FaultPlan['kind'][]>> = {
  calm: [],
  cheats: ['kill', 'drain', 'cut'],
  faulty: ['kill', 'kill', 'power', 'power', 'drain', 'drain', 'stop', 'restore', 'clone', 'clock'],
  network: ['cut', 'cut', 'stop', 'drain'],
  witnesses: ['kill', 'power', 'drain', 'restore', 'stop', 'cut'],
  mixed: ['kill', 'power', 'drain', 'stop', 'restore', 'clone', 'clock', 'cut', 'cut'],
  crowd: ['kill', 'power', 'drain', 'cut', 'restore'],
};

function faultsOf(
  theme: Theme,
  nodes: number,
  witnesses: readonly number[],
  { fromMs, spanMs }: Span,
  random: Random,
): FaultPlan[] {
  const kinds = FAULT_KINDS[theme];
  if (kinds.length === 0) return [];
  const count = random.int(1, Math.min(12, 2 + nodes));
  const often = theme === 'witnesses' ? 0.8 : 0.25;
  return Array.from({ length: count }, (_, index) => {
    const at = fromMs + random.between(0, spanMs * 0.8);
    // Witnesses that come and go are what certificates have to bear.
    const node = random.chance(often) ? random.pick(witnesses) : random.int(0, nodes - 1);
    const kind = random.pick(kinds);
    // A witness that runs twice may sign twice: no more of them may do so than may lie.
    return faultOf({ index, at, node }, kind === 'clone' && witnesses.includes(node) ? 'kill' : kind, nodes, random);
  });
}

function faultOf(
  where: { readonly index: number; readonly at: number; readonly node: number },
  kind: FaultPlan['kind'],
  nodes: number,
  random: Random,
): FaultPlan {
  const { index, at } = where;
  switch (kind) {
    case 'kill':
    case 'power':
    case 'drain':
      return { ...where, kind, downMs: random.logBetween(200, 60_000) };
    case 'stop':
      return { ...where, kind, ms: random.logBetween(200, 40_000) };
    case 'restore':
      return { ...where, kind, ageMs: random.logBetween(1_000, 60_000), downMs: random.logBetween(2_000, 60_000) };
    case 'clock':
      return { ...where, kind, jumpMs: random.between(-3_600_000, 3_600_000) };
    case 'clone':
      return { ...where, kind };
    case 'cut': {
      const side = random.some(indexes(nodes), random.chance(0.5) ? 1 : random.int(1, Math.max(1, nodes - 1)));
      const rest = indexes(nodes).filter((other) => !side.includes(other));
      const other = random.chance(0.7) ? rest : random.some(rest, 1);
      return { index, at, kind, side, other, oneWay: random.chance(0.25), ms: random.logBetween(500, 80_000) };
    }
  }
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function endOfMove(move: MovePlan): number {
  return move.at + (move.kind === 'channel' ? (move.steps + 2) * move.everyMs : 0);
}

function endOfCheat({ at, kind, lateMs }: CheatPlan): number {
  if (kind === 'league') return at + lateMs + 100_000;
  return at + (kind === 'late' ? lateMs : 1_000);
}

function endOfFault(fault: FaultPlan): number {
  switch (fault.kind) {
    case 'kill':
    case 'power':
    case 'drain':
    case 'restore':
      return fault.at + fault.downMs;
    case 'stop':
    case 'cut':
      return fault.at + fault.ms;
    default:
      return fault.at;
  }
}
