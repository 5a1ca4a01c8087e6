/** Routing: who could run a job, how long each is expected to take, and who is asked first. Read `decide` from top to bottom. */

import type { KnownNode } from '../../capabilities/directory.ts';
import type { Clock } from '../../clock.ts';
import { ROUTING } from '../../limits/jobs.ts';
import type { NodeId } from '../../protocol/ids.ts';
import { type ModelProfile, type ModelRates, UNKNOWN_RATES } from '../../protocol/profile.ts';
import { outputLimitOf } from '../bounds.ts';
import type { Engine, PeerLink } from '../ports.ts';
import { maySee } from '../privacy.ts';
import { Affinity, readerKey } from './affinity.ts';
import type { Decision, Demand, Excluded, Needs, Outcome, RouteQuery, Router, Visit, Weighed } from './decision.ts';
import { demandOf } from './demand.ts';
import {
  type Conditions,
  expectedMs,
  fastestRates,
  priorRates,
  queueWaitMs,
  usualJobMs,
  usualRates,
  type Work,
  withPriors,
} from './expected.ts';
import { exclusionOf, type Holder, isTooShort, type Standing } from './holder.ts';
import { Measured } from './measured.ts';
import { rank, scoreOf } from './ranking.ts';
import { checkedUsage } from './seen.ts';
import { Visits } from './visits.ts';

export interface RouterOptions {
  readonly self: NodeId;
}

export interface RouterDeps {
  readonly engine: Pick<Engine, 'models'>;
  /** Milliseconds that a job of this machine's user would wait in its own queue. */
  readonly ownWaitMs: () => number;
  /** What was measured here of a model of this machine, for anybody's jobs. */
  readonly ownRates: (model: string) => ModelRates;
  readonly directory: {
    providersOf(model: string): Iterable<{ readonly node: KnownNode; readonly model: ModelProfile }>;
  };
  readonly link: Pick<PeerLink, 'latencyMs' | 'findProviders'>;
  /** Whether a peer is past `hello` and the admission rule, or not known to be refused, and not out of reach. */
  readonly usable: (node: NodeId) => boolean;
  /** Whether a peer that is not usable was tried lately and not reached. */
  readonly outOfReach: (node: NodeId) => boolean;
  /** Whether a peer is on this user's list of friends. */
  readonly isFriend: (node: NodeId) => boolean;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** A keyed or salted hash, short text out: what it was made of cannot be told from it. */
  readonly hash: (text: string) => string;
}

const OWN_STANDING: Standing = { friend: false, usable: true, outOfReach: false };

export function createRouter(options: RouterOptions, deps: RouterDeps): Router {
  return new DirectoryRouter(options, deps);
}

class DirectoryRouter implements Router {
  readonly #self: NodeId;
  readonly #deps: RouterDeps;
  readonly #visits: Visits;
  readonly #measured: Measured;
  readonly #affinity: Affinity;

  constructor(options: RouterOptions, deps: RouterDeps) {
    this.#self = options.self;
    this.#deps = deps;
    this.#visits = new Visits(deps.clock);
    this.#measured = new Measured(deps.clock);
    this.#affinity = new Affinity(deps.clock, deps.hash);
  }

  async decide(query: RouteQuery, signal: AbortSignal): Promise<Decision> {
    const demand = demandOf(query.input);
    let { holders, excluded } = this.#holders(query, demand);
    if (holders.length === 0 && mayLeave(query)) {
      await this.#deps.link.findProviders(query.ref.name, signal);
      ({ holders, excluded } = this.#holders(query, demand));
    }
    const outputTokens = this.#outputTokens(query, demand);
    // Whoever goes on with an answer reads what there is of it, too.
    const work = { promptTokens: demand.promptTokens + query.delivered, outputTokens };
    const weighed = this.#weigh(holders, query, work);
    const { candidates, choice } = rank(weighed, this.#deps.random);
    return {
      at: this.#deps.clock.now(),
      candidates: candidates.slice(0, ROUTING.maxCandidates).map(inRoundNumbers),
      excluded: excluded.length > ROUTING.maxExcluded ? withEveryReason(excluded) : excluded,
      choice,
      promptTokens: demand.promptTokens,
      outputTokens,
    };
  }

  suits({ demand, ...query }: Needs, node: NodeId): boolean {
    for (const found of this.#deps.directory.providersOf(query.ref.name)) {
      if (found.node.node !== node) continue;
      const holder = peerHolder(found.node, found.model);
      return exclusionOf(holder, query, demand, this.#standing(holder)) === undefined;
    }
    return false;
  }

  mayAsk({ privacy }: RouteQuery, { node, local }: Weighed): boolean {
    return local || (this.#deps.usable(node) && maySee(privacy, { local, friend: this.#deps.isFriend(node) }));
  }

  visit(query: RouteQuery, candidate: Weighed): Visit {
    const visit = this.#visits.open(candidate.node);
    return {
      waits: (estimateMs) => visit.waits(estimateMs),
      givenBack: (estimateMs) => visit.givenBack(estimateMs),
      ends: (outcome) => {
        visit.close();
        this.#learn(query, candidate, outcome);
      },
    };
  }

  inFlightAt(node: NodeId): number {
    return this.#visits.at(node).open;
  }

  /* ---- the steps, in their order ---- */

  /** Whoever has the model: those that may and can run the job, and the others each with its reason. */
  #holders(query: RouteQuery, demand: Demand): { holders: readonly Holder[]; excluded: Excluded[] } {
    const holders: Holder[] = [];
    const excluded: Excluded[] = [];
    const consider = (holder: Holder) => {
      const why = exclusionOf(holder, query, demand, this.#standing(holder));
      if (why === undefined) holders.push(holder);
      else excluded.push({ node: holder.node, why });
    };
    const own = this.#ownHolder(query.ref.name);
    if (own === undefined) excluded.push({ node: this.#self, why: 'no-such-model' });
    else consider(own);
    for (const { node, model } of this.#deps.directory.providersOf(query.ref.name)) consider(peerHolder(node, model));
    return { holders, excluded };
  }

  #ownHolder(name: string): Holder | undefined {
    const model = this.#deps.engine.models().find((own) => own.name === name);
    if (model === undefined) return undefined;
    const rates = this.#deps.ownRates(name);
    return { node: this.#self, local: true, model: { ...model, ...rates }, beat: undefined };
  }

  #standing({ node, local }: Holder): Standing {
    if (local) return OWN_STANDING;
    const usable = this.#deps.usable(node);
    const outOfReach = !usable && this.#deps.outOfReach(node);
    return { friend: this.#deps.isFriend(node), usable, outOfReach };
  }

  /** Tokens still to be written, as answers of this model usually go. */
  #outputTokens({ ref, delivered }: RouteQuery, { kind, maxOutputTokens }: Demand): number {
    if (kind === 'embed' || kind === 'load') return 0;
    const whole = Math.min(this.#measured.usualAnswer(ref.name), maxOutputTokens ?? Number.POSITIVE_INFINITY);
    return Math.max(1, Math.round(whole) - delivered);
  }

  #weigh(holders: readonly Holder[], query: RouteQuery, work: Work): Weighed[] {
    // Where there is no choice nothing is compared.
    const warm = holders.length > 1 ? this.#affinity.warmTokens(query.input) : undefined;
    const known = holders.map(({ node, model }) => this.#measured.ratesOf(node, model.digest, model));
    const [fastest, usual] = holders.length > 1 ? [fastestRates(known), usualRates(known)] : [];
    return holders.map((holder, i) => {
      const { node, local, model } = holder;
      const likeOthers = (local ? fastest : usual) ?? UNKNOWN_RATES;
      const rates = withPriors(withPriors(known[i] ?? UNKNOWN_RATES, likeOthers), priorRates(model.sizeBytes));
      const warmTokens = Math.min(work.promptTokens, warm?.get(readerKey(node, model.digest)) ?? 0);
      const unread = { ...work, promptTokens: work.promptTokens - warmTokens };
      const part = {
        expectedMs: expectedMs(unread, this.#conditions(holder, rates)),
        reliability: this.#measured.reliabilityOf(node),
        avoidance: this.#avoidanceOf(holder),
      };
      return {
        node,
        local,
        digest: model.digest,
        ...part,
        score: scoreOf(part),
        warmTokens,
        failed: query.failed.has(node),
        otherDigest: query.digest !== undefined && query.digest !== model.digest,
        tooShort: isTooShort(model, work.promptTokens),
      };
    });
  }

  #avoidanceOf({ node, beat }: Holder): number {
    const avoidance = this.#measured.avoidanceOf(node);
    const overdue = beat !== undefined && this.#deps.clock.elapsed() - beat.at > ROUTING.beatOverdueMs;
    return overdue ? avoidance * ROUTING.overdueAvoidance : avoidance;
  }

  #conditions(holder: Holder, rates: ModelRates): Conditions {
    const { node, model, beat } = holder;
    // A job of this node's own is younger news than the profile until the next beat.
    const warm = model.warm || this.#measured.ranSince(node, model.digest, beat?.at ?? this.#deps.clock.elapsed());
    if (beat === undefined) return { rates, warm, waitMs: this.#deps.ownWaitMs(), roundTripMs: 0 };
    const usualMs = this.#measured.usualMs(node, model.digest);
    const jobMs = usualMs || usualJobMs(rates, this.#measured.usualAnswer(model.name));
    const backlog = {
      queueDepth: beat.queueDepth,
      running: beat.running,
      heardAt: beat.at,
      own: this.#visits.at(node),
    };
    return {
      rates,
      warm,
      waitMs: queueWaitMs(backlog, jobMs, this.#deps.clock.elapsed()),
      roundTripMs: this.#deps.link.latencyMs(node) ?? ROUTING.priorRoundTripMs,
    };
  }

  #learn({ ref, input, delivered }: RouteQuery, { node, digest, expectedMs }: Weighed, outcome: Outcome): void {
    if (outcome.kind === 'failed') this.#measured.failed(node);
    if (outcome.kind !== 'completed') return;
    const { usage, seen } = outcome;
    const promptTokens = demandOf(input).promptTokens + delivered;
    const checked = checkedUsage(usage, seen, { promptTokens, warm: expectedMs.load === 0 });
    this.#measured.completed(node, digest, seen.firstMs + seen.writeMs, { input, usage: checked });
    this.#measured.answered(ref.name, delivered + seen.tokens, outputLimitOf(input));
    this.#affinity.read(input, node, digest);
  }
}

/** A decision is kept with its job, shown to people, and no expectation is better than a millisecond. */
function inRoundNumbers(weighed: Weighed): Weighed {
  const { wait, load, prefill, decode, roundTrip } = weighed.expectedMs;
  return {
    ...weighed,
    expectedMs: {
      wait: Math.round(wait),
      load: Math.round(load),
      prefill: Math.round(prefill),
      decode: Math.round(decode),
      roundTrip: Math.round(roundTrip),
    },
    reliability: Math.round(weighed.reliability * 1000) / 1000,
    avoidance: Math.round(weighed.avoidance * 100) / 100,
    score: Math.round(weighed.score),
  };
}

/** As many as a decision keeps, among them one of every reason: what a client is told rests on the reasons. */
function withEveryReason(excluded: readonly Excluded[]): Excluded[] {
  const firsts = new Map(excluded.toReversed().map((each) => [each.why, each]));
  const others = excluded.filter((each) => firsts.get(each.why) !== each);
  return [...firsts.values(), ...others].slice(0, ROUTING.maxExcluded);
}

function mayLeave({ privacy }: RouteQuery): boolean {
  return privacy === 'mesh' || privacy === 'friends';
}

function peerHolder({ node, beat, beatAt }: KnownNode, model: ModelProfile): Holder {
  const { status, queueDepth, running } = beat;
  return { node, local: false, model, beat: { status, queueDepth, running, at: beatAt } };
}
