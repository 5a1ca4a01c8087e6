/**
 * Chaos: clients ask without a pause while providers are killed, frozen and told to stop at random moments, and every
 * answer is compared word by word with the one that an undisturbed engine gives.
 */

import { WAYS } from '../harness/asking.ts';
import type { MemberOptions, Mesh } from '../harness/mesh.ts';
import { type Random, randomFrom } from '../harness/random.ts';
import { isFree } from '../harness/rest.ts';
import { until } from '../harness/until.ts';
import { Figures } from './figures.ts';
import { type Asked, judge, standstills } from './judge.ts';
import { askOnce, question } from './questioner.ts';
import { Striker } from './striker.ts';

export interface ChaosOptions {
  readonly strikes: number;
  readonly seed: number;
  readonly requesters: number;
  readonly providers: number;
  /** Clients of each requester and way that ask without a pause. */
  readonly clientsPerWay: number;
  /** Called behind every hundredth strike, and every violation. */
  readonly tell: (line: string) => void;
}

/** What a small machine with a small model writes. */
const TOKENS_PER_SECOND = 60;
/** Answers of one third of a second to one second: strikes come faster than that. */
const SHORTEST = 20;
const LONGEST = 70;
const OWNERS_LONGEST = 40;
const SLOTS = 2;

/** The members of a mesh for it: those who ask come first. */
export function chaosMembers({ requesters, providers }: ChaosOptions): MemberOptions[] {
  // Without a grace, so that whoever is told to stop gives back what runs instead of finishing it.
  const env = { GOGRID_WORKER_MAX_CONCURRENT_JOBS: String(SLOTS), GOGRID_NODE_SHUTDOWN_GRACE_SECS: '0' };
  const engine = { tokensPerSecond: TOKENS_PER_SECOND, prefillMs: 20, parallel: SLOTS };
  return [...range(0, requesters).map(() => ({})), ...range(0, providers).map(() => ({ engine, env }))];
}

export const CHAOS_SETTINGS = { GOGRID_NETWORK_RECONNECT_DELAY_SECS: '1' };

export async function chaos(mesh: Mesh, options: ChaosOptions): Promise<Figures> {
  const figures = new Figures();
  const requesters = range(0, options.requesters);
  const providers = range(options.requesters, options.providers);
  const owners = randomFrom(options.seed, 'owners');
  const violated = (what: string) => {
    figures.violated(what);
    options.tell(`VIOLATION after ${figures.strikesInAll} strikes: ${what}`);
  };
  const striker = new Striker({
    mesh,
    random: randomFrom(options.seed, 'strikes'),
    providers,
    requesters,
    struck: (kind) => {
      figures.struck(kind);
      if (figures.strikesInAll % 100 === 0) options.tell(figures.summary());
    },
    violated,
    ownerAsks: async (index) => {
      take(await askOnce(mesh.node(index), 'openai streamed', question(owners, SHORTEST, OWNERS_LONGEST)));
    },
  });
  const take = (asked: Asked) => {
    const judged = judge(asked);
    figures.words += asked.text.split(/\s+/).length;
    figures.handOvers += Math.max(0, (asked.job?.attempts.length ?? 1) - 1);
    for (const { provider, noticedAt, ms } of standstills(asked)) {
      figures.stoodStill(striker.kindOf(provider, noticedAt) ?? 'other', ms);
    }
    if ('kind' in judged) figures.answered(judged.kind);
    else violated(`${asked.way}, '${asked.content}', job ${asked.job?.id}: ${judged.violation}`);
  };

  let over = false;
  const client = async (index: number, random: Random, way: Asked['way']) => {
    while (!over) take(await askOnce(mesh.node(index), way, question(random, SHORTEST, LONGEST)));
  };
  const clients = requesters.flatMap((index) =>
    WAYS.flatMap((way) =>
      range(0, options.clientsPerWay).map((number) =>
        client(index, randomFrom(options.seed, `${index} ${way} ${number}`), way),
      ),
    ),
  );
  await striker.strike(options.strikes).catch((error: unknown) => violated(String(error)));
  over = true;
  await Promise.all(clients);
  await afterwards(mesh, providers, requesters, violated, take, owners);
  return figures;
}

/** The storm is over: nothing is left of it, and everybody is served. */
async function afterwards(
  mesh: Mesh,
  providers: readonly number[],
  requesters: readonly number[],
  violated: (what: string) => void,
  take: (asked: Asked) => void,
  random: Random,
): Promise<void> {
  await mesh.settled().catch((error: unknown) => violated(String(error)));
  for (const index of providers) {
    const what = `${mesh.node(index).name} to have no slot taken`;
    await until(() => isFree(mesh, index), { what, within: 5_000 }).catch((error: unknown) => violated(String(error)));
  }
  for (const index of requesters) {
    const asked = await askOnce(mesh.node(index), 'openai streamed', question(random, SHORTEST, LONGEST));
    if (asked.error !== undefined) violated(`after the storm, ${mesh.node(index).name}: ${asked.error}`);
    take(asked);
  }
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}
