/**
 * What holds at every provider:
 * - slots, the queue, and an account's quarter of it are within their bounds;
 * - a slot is not free while a job waits;
 * - the owner's job waits for no job of a peer that can be given back;
 * - two accounts that both have jobs waiting all the while are served alike: their service differs by at most
 *   2 · max(wp · input, wq · M), M the most tokens that can be in the running batch (arXiv 2401.00588, Theorem 4.4).
 */

import { demandOf } from '../../jobs/routing/demand.ts';
import { JOB, QUEUE } from '../../limits/jobs.ts';
import { type Floor, type Floors, OUTPUT_WEIGHT } from './floors.ts';
import type { LawParts } from './law-parts.ts';
import { inputOf } from './prompts.ts';

/** From an engine that has stopped to the next job's start: both happen in one turn. */
const SLACK_MS = 50;

export class ProviderLaws {
  readonly #parts: LawParts;
  readonly #floors: Floors;
  readonly #mostTokens: number;
  readonly #mostInput: number;
  readonly #tools: ReadonlySet<number>;

  constructor(parts: LawParts, floors: Floors) {
    this.#parts = parts;
    this.#floors = floors;
    const { jobs } = parts.plan;
    this.#mostTokens = Math.max(0, ...jobs.map(({ words }) => words));
    // The longest prompt that is charged, on an estimate at first: one to be continued comes with its answer so far.
    const inputs = jobs.map((job) => demandOf(inputOf(job)).promptTokens + job.words);
    this.#mostInput = Math.max(QUEUE.minInputTokens, ...inputs);
    this.#tools = new Set(parts.plan.jobs.filter(({ tools }) => tools).map(({ index }) => index));
  }

  /** After every event at the node. */
  check(index: number): void {
    const floor = this.#floors.at(index);
    if (floor === undefined || floor.process.state !== 'running') return;
    this.#checkBounds(floor);
    // A machine that is short of time is late with everything, and by how much is no law.
    if (this.#isLate(floor)) return;
    this.#checkIdleSlot(floor);
    this.#checkOwnerFirst(floor);
  }

  /** After every token of a peer's job. */
  served({ node, served, backlogged }: Floor, account: number, tokens: number): void {
    served.set(account, (served.get(account) ?? 0) + OUTPUT_WEIGHT * tokens);
    if (backlogged.size < 2) return;
    const most = node.plan.slots * (this.#mostInput + this.#mostTokens);
    const bound = 2 * OUTPUT_WEIGHT * most + this.#mostInput;
    for (const [a, ofA] of backlogged) {
      for (const [b, ofB] of backlogged) {
        if (a >= b) continue;
        const before = ofA.order > ofB.order ? ofA.served : ofB.served;
        const grown = (of: number) => (served.get(of) ?? 0) - (before.get(of) ?? 0);
        const gap = Math.abs(grown(a) - grown(b));
        if (gap <= bound) continue;
        const text = `while both waited n${a} was served ${grown(a)}, n${b} ${grown(b)}: more than ${bound} apart`;
        this.#parts.world.violate('fair-share', text, node.index);
      }
    }
  }

  #isLate({ node, process }: Floor): boolean {
    if (process.lagMs > 0 || node.slowness > 1) return true;
    return this.#parts.plan.faults.some(
      ({ kind, ...fault }) => (kind === 'slow' || kind === 'stop') && 'node' in fault && fault.node === node.index,
    );
  }

  #checkBounds({ node, asked, onEngine, process }: Floor): void {
    const { world } = this.#parts;
    const { room, slots } = node.plan;
    if (onEngine > slots && process.lagMs === 0 && !this.#parts.plan.faults.some(({ kind }) => kind === 'slow')) {
      world.violate('bounds', `${onEngine} runs of the engine in ${slots} slots`, node.index);
    }
    let waiting = 0;
    const perAccount = new Map<number, number>();
    for (const { own, state, returns, account } of asked) {
      if (own || returns || state !== 'waits') continue;
      waiting++;
      perAccount.set(account, (perAccount.get(account) ?? 0) + 1);
    }
    if (waiting > room) world.violate('bounds', `${waiting} jobs of peers wait where ${room} may`, node.index);
    const quarter = Math.max(1, Math.floor(room / 4));
    for (const [account, count] of perAccount) {
      if (count <= quarter) continue;
      world.violate('bounds', `${count} jobs of n${account} wait where ${quarter} of one account may`, node.index);
    }
  }

  #checkIdleSlot(floor: Floor): void {
    const { world } = this.#parts;
    const { node, asked, onEngine } = floor;
    let waits = false;
    let runs = 0;
    for (const { state } of asked) {
      if (state === 'waits') waits = true;
      if (state === 'runs') runs++;
    }
    if (!waits || Math.max(runs, onEngine) >= node.plan.slots) floor.idleSince = undefined;
    else floor.idleSince ??= world.now;
    const ms = world.now - (floor.idleSince ?? world.now);
    if (ms > JOB.cancelWithinMs + SLACK_MS) {
      world.violate('no-idle-slot', `a job waits and a slot is free, for ${Math.round(ms)} ms`, node.index);
    }
  }

  #checkOwnerFirst({ node, asked }: Floor): void {
    const { world } = this.#parts;
    const allowed = JOB.cancelWithinMs + node.plan.stopMs + SLACK_MS;
    const waiting = [...asked].find(({ own, state, since }) => own && state === 'waits' && world.now - since > allowed);
    if (waiting === undefined) return;
    const runs = [...asked].find(
      ({ own, state, since, job, onEngine }) =>
        !own && state === 'runs' && onEngine && world.now - since > allowed && !this.#tools.has(job),
    );
    if (runs === undefined) return;
    const ms = Math.round(world.now - waiting.since);
    world.violate(
      'owner-first',
      `j${waiting.job} of its own user waits for ${ms} ms while j${runs.job} runs`,
      node.index,
    );
  }
}
