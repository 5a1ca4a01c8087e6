/** What a history will be, drawn from its seed as plain data: who is there, what is asked, what goes wrong. */

import type { PrivacyTier } from '../../jobs/privacy.ts';
import type { Fault as EngineFault } from '../word-engine.ts';
import { type Random, randomOf } from './random.ts';

export interface NodePlan {
  readonly models: readonly string[];
  readonly slots: number;
  /** Jobs that wait at most. */
  readonly room: number;
  /** Milliseconds between two tokens. */
  readonly gapMs: number;
  readonly loadMs: number;
  readonly prefillMs: number;
  readonly stopMs: number;
  readonly perChunk: number;
  readonly spaceBehind: boolean;
  /** Nodes that its user calls friends. */
  readonly friends: readonly number[];
  /** By how much its wall clock is wrong. */
  readonly skewMs: number;
  readonly maxJobMs: number;
  /** Bounds of its own waiting line. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

export interface JobPlan {
  readonly index: number;
  /** Virtual milliseconds. */
  readonly at: number;
  readonly node: number;
  readonly model: string;
  readonly words: number;
  readonly kind: 'chat' | 'generate';
  /** Its answer cannot be continued by another provider. */
  readonly tools: boolean;
  /** Its client wants the answer in one piece, at the end. */
  readonly whole: boolean;
  /** `num_predict`. */
  readonly limit: number | undefined;
  readonly privacy: PrivacyTier;
  readonly deadlineMs: number | undefined;
  /** The client hangs up so long after it asked, or cancels the job by its id. */
  readonly endsAfterMs: number | undefined;
  readonly endsBy: 'hang-up' | 'cancel';
  /** Milliseconds that its client takes over every piece. */
  readonly readerMs: number;
}

export type FaultPlan = { readonly index: number; readonly at: number } & (
  | { readonly kind: 'kill' | 'power'; readonly node: number; readonly downMs: number }
  | { readonly kind: 'stop'; readonly node: number; readonly ms: number }
  | {
      readonly kind: 'slow';
      readonly node: number;
      readonly ms: number;
      readonly times: number;
      readonly lagMs: number;
    }
  | { readonly kind: 'drain'; readonly node: number; readonly graceMs: number; readonly downMs: number }
  | { readonly kind: 'pause'; readonly node: number }
  | { readonly kind: 'clock'; readonly node: number; readonly jumpMs: number }
  | { readonly kind: 'engine'; readonly node: number; readonly fault: EngineFault }
  | { readonly kind: 'engine-gone'; readonly node: number; readonly ms: number }
  /** The user of a provider ends a peer's job there. */
  | { readonly kind: 'send-away'; readonly node: number }
  | { readonly kind: 'reset'; readonly from: number; readonly to: number }
  /** Nothing gets from one side to the other, and back unless `oneWay`. */
  | {
      readonly kind: 'cut';
      readonly side: readonly number[];
      readonly other: readonly number[];
      readonly oneWay: boolean;
      readonly ms: number;
    }
);

export interface Plan {
  readonly seed: number;
  /** What kind of history it is, for the reader. */
  readonly theme: Theme;
  readonly nodes: readonly NodePlan[];
  readonly jobs: readonly JobPlan[];
  readonly faults: readonly FaultPlan[];
  /** Faults are over by then. */
  readonly calmAt: number;
  /** One way, milliseconds, between the nearest and the farthest. */
  readonly delayMs: readonly [number, number];
  /** Of the delay. */
  readonly jitter: number;
  /** Probability that a packet has to be sent again. */
  readonly loss: number;
  /** Probability that gossip does not reach somebody. */
  readonly gossipLoss: number;
  /** A connection on which nothing gets through is given up after so long. */
  readonly keepAliveMs: number;
  /** Bytes of a job's stream that wait to be acknowledged. */
  readonly windowBytes: number;
  /** Opening a stream takes a round trip, or the request goes along with it. */
  readonly streamsTakeRoundTrip: boolean;
}

export const THEMES = ['calm', 'flood', 'overload', 'owner', 'faulty', 'network', 'mixed', 'crowd'] as const;
export type Theme = (typeof THEMES)[number];

export interface PlanBounds {
  readonly nodes?: readonly [number, number] | undefined;
}

const MODELS = ['m0:latest', 'm1:latest', 'm2:latest'];

/** The history of a seed. The same seed and bounds give the same plan. */
export function planOf(seed: number, bounds: PlanBounds = {}): Plan {
  const random = randomOf(seed, 'plan');
  const theme = themeOf(random);
  const count = countOf(theme, random, bounds);
  const nodes = Array.from({ length: count }, (_, index) => nodeOf(index, count, theme, random));
  const spanMs = theme === 'crowd' ? 12_000 : random.between(4_000, 25_000);
  const jobs = jobsOf(theme, nodes, spanMs, random);
  const faults = faultsOf(theme, nodes, spanMs, random);
  const far = random.logBetween(1, 150);
  return {
    seed,
    theme,
    nodes,
    jobs,
    faults,
    calmAt: Math.max(spanMs, ...faults.map(endOf)),
    delayMs: [Math.min(0.3, far), far],
    jitter: random.between(0, 1),
    loss: random.chance(0.3) ? random.between(0, 0.05) : 0,
    gossipLoss: random.chance(0.3) ? random.between(0, 0.5) : 0,
    keepAliveMs: random.logBetween(10_000, 90_000),
    windowBytes: random.pick([1_024, 16_384, 262_144]),
    streamsTakeRoundTrip: random.chance(0.5),
  };
}

/** The same history without some of its jobs and faults, to see which of them matter. */
export function without(plan: Plan, jobs: ReadonlySet<number>, faults: ReadonlySet<number>): Plan {
  return {
    ...plan,
    jobs: plan.jobs.filter(({ index }) => !jobs.has(index)),
    faults: plan.faults.filter(({ index }) => !faults.has(index)),
  };
}

function themeOf(random: Random): Theme {
  const roll = random.next();
  if (roll < 0.02) return 'crowd';
  return random.pick(THEMES.filter((theme) => theme !== 'crowd'));
}

function countOf(theme: Theme, random: Random, { nodes }: PlanBounds): number {
  if (nodes !== undefined) return random.int(nodes[0], nodes[1]);
  if (theme === 'crowd') return random.int(40, 120);
  if (theme === 'flood') return random.int(3, 6);
  return random.chance(0.7) ? random.int(2, 8) : random.int(9, 24);
}

function nodeOf(index: number, count: number, theme: Theme, random: Random): NodePlan {
  const serves = index === count - 1 || random.chance(theme === 'overload' || theme === 'flood' ? 0.3 : 0.5);
  const others = Array.from({ length: count }, (_, other) => other).filter((other) => other !== index);
  return {
    models: serves ? random.some(MODELS, random.pick([1, 1, 2, 3])) : [],
    slots: theme === 'flood' ? 1 : random.pick([1, 1, 1, 2, 4]),
    room: theme === 'overload' ? random.int(1, 8) : theme === 'flood' ? 32 : random.pick([4, 8, 32, 32]),
    gapMs: random.logBetween(3, 60),
    loadMs: random.chance(0.2) ? random.between(500, 6_000) : random.between(0, 200),
    prefillMs: random.logBetween(5, 400),
    stopMs: random.chance(0.5) ? 0 : random.between(0, 90),
    perChunk: random.pick([1, 1, 1, 3]),
    spaceBehind: random.chance(0.4),
    friends: random.some(others, random.int(0, Math.min(3, others.length))),
    skewMs: random.chance(0.3) ? random.between(-600_000, 600_000) : 0,
    maxJobMs: random.chance(0.2) ? random.between(3_000, 20_000) : 60_000,
    maxWaiting: random.pick([2, 8, 64, 64]),
    maxWaitMs: random.pick([2_000, 20_000, 60_000]),
  };
}

/** Enough that they meet: at a provider, in a fault. */
const MOST_JOBS: Readonly<Record<Theme, number>> = {
  calm: 60,
  flood: 120,
  overload: 160,
  owner: 60,
  faulty: 60,
  network: 60,
  mixed: 90,
  crowd: 200,
};

function jobsOf(theme: Theme, nodes: readonly NodePlan[], spanMs: number, random: Random): JobPlan[] {
  const { length } = nodes;
  const many = MOST_JOBS[theme];
  const count = random.int(Math.ceil(many / 8), many);
  const [flooder = 0, second = 0] = random.some(
    nodes.map((_, index) => index),
    2,
  );
  const servers = nodes.flatMap(({ models }, index) => (models.length > 0 ? [index] : []));
  const served = [...new Set(nodes.flatMap((node) => node.models))];
  return Array.from({ length: count }, (_, index) => {
    // One that floods, and another one that comes with a lesser flood when the first one has had its share for a while.
    const floods = theme === 'flood' ? random.pick([flooder, flooder, flooder, second, undefined]) : undefined;
    const burst = floods !== undefined || (theme === 'overload' && random.chance(0.7));
    const node = floods ?? random.int(0, length - 1);
    const from = floods === second ? 3_000 : 0;
    return {
      index,
      at: burst ? from + random.between(0, 1_500) : random.between(0, spanMs * 0.8),
      node: theme === 'owner' && random.chance(0.4) ? random.pick(servers) : node,
      model: served.length === 0 || random.chance(0.03) ? random.pick(MODELS) : random.pick(served),
      words: Math.round(
        theme === 'flood' ? random.between(4, 16) : random.logBetween(1, random.chance(0.1) ? 300 : 80),
      ),
      kind: random.pick(['chat', 'generate'] as const),
      tools: theme !== 'flood' && random.chance(0.08),
      whole: random.chance(0.25),
      limit: random.chance(0.2) ? random.int(1, 40) : undefined,
      privacy: random.chance(0.85) ? 'mesh' : random.pick(['local', 'friends', 'own'] as const),
      deadlineMs: random.chance(0.1) ? Math.round(random.logBetween(100, 30_000)) : undefined,
      endsAfterMs: random.chance(0.15) ? random.logBetween(1, 8_000) : undefined,
      endsBy: random.pick(['hang-up', 'cancel'] as const),
      readerMs: random.chance(0.15) ? random.logBetween(1, 150) : 0,
    };
  });
}

const FAULT_KINDS = {
  calm: [],
  flood: ['engine', 'send-away'],
  overload: ['engine', 'engine-gone', 'kill'],
  owner: ['kill', 'stop', 'pause'],
  faulty: [
    'kill',
    'kill',
    'power',
    'stop',
    'slow',
    'drain',
    'pause',
    'engine',
    'engine',
    'engine-gone',
    'send-away',
    'clock',
  ],
  network: ['reset', 'reset', 'cut', 'cut', 'cut', 'stop'],
  mixed: [
    'kill',
    'power',
    'stop',
    'slow',
    'drain',
    'pause',
    'engine',
    'engine-gone',
    'send-away',
    'reset',
    'cut',
    'clock',
  ],
  crowd: ['kill', 'cut', 'reset', 'drain', 'engine'],
} as const;

function faultsOf(theme: Theme, nodes: readonly NodePlan[], spanMs: number, random: Random): FaultPlan[] {
  const kinds = FAULT_KINDS[theme];
  if (kinds.length === 0 || random.chance(0.05)) return [];
  const count = random.int(1, theme === 'flood' || theme === 'owner' ? 3 : Math.min(16, 3 + nodes.length));
  return Array.from({ length: count }, (_, index) => faultOf(index, random.pick(kinds), nodes, spanMs, random));
}

function faultOf(
  index: number,
  kind: FaultPlan['kind'],
  nodes: readonly NodePlan[],
  spanMs: number,
  random: Random,
): FaultPlan {
  const at = random.between(50, spanMs * 0.8);
  const all = nodes.map((_, node) => node);
  const providers = all.filter((node) => (nodes[node]?.models.length ?? 0) > 0);
  // What hits a provider teaches more than what hits somebody who only asks.
  const node = providers.length > 0 && random.chance(0.75) ? random.pick(providers) : random.pick(all);
  switch (kind) {
    case 'kill':
    case 'power':
      return { index, at, kind, node, downMs: random.logBetween(200, 15_000) };
    case 'stop':
      return { index, at, kind, node, ms: random.logBetween(100, 20_000) };
    case 'slow':
      return {
        index,
        at,
        kind,
        node,
        ms: random.logBetween(500, 15_000),
        times: random.logBetween(2, 40),
        lagMs: random.between(0, 400),
      };
    case 'drain':
      return { index, at, kind, node, graceMs: random.logBetween(500, 15_000), downMs: random.logBetween(200, 10_000) };
    case 'clock':
      return { index, at, kind, node, jumpMs: random.between(-3_600_000, 3_600_000) };
    case 'engine': {
      const how = random.pick(['throw', 'throw', 'hang', 'stall'] as const);
      const afterTokens = random.int(0, 20);
      return { index, at, kind, node, fault: { how, afterTokens, ms: random.logBetween(100, 20_000) } };
    }
    case 'engine-gone':
      return { index, at, kind, node, ms: random.logBetween(200, 10_000) };
    case 'reset': {
      const [from = 0, to = 0] = random.some(all, 2);
      return { index, at, kind, from, to };
    }
    case 'cut': {
      const side = random.some(all, random.chance(0.6) ? 1 : random.int(1, Math.max(1, all.length - 1)));
      const rest = all.filter((other) => !side.includes(other));
      const other = random.chance(0.5) ? rest : random.some(rest, 1);
      return { index, at, kind, side, other, oneWay: random.chance(0.4), ms: random.logBetween(300, 30_000) };
    }
    default:
      return { index, at, kind, node };
  }
}

/** When a fault has passed. */
function endOf(fault: FaultPlan): number {
  switch (fault.kind) {
    case 'kill':
    case 'power':
      return fault.at + fault.downMs;
    case 'drain':
      return fault.at + fault.graceMs + fault.downMs;
    case 'stop':
    case 'slow':
    case 'cut':
    case 'engine-gone':
      return fault.at + fault.ms;
    default:
      return fault.at;
  }
}
