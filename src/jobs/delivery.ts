/** The answer of a provider that has taken the job, message by message: until it is whole, or the provider has the job no more. */

import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { JobChunk, JobUsage } from '../protocol/job.ts';
import type { Ask } from './ask.ts';
import { failureOf } from './failure.ts';
import { streams } from './liveness.ts';
import { LEFT, noteHandOver, type OfferDeps, outcomeOf, type Placement } from './offer.ts';
import type { JobOutput } from './output.ts';
import { Patience } from './patience.ts';

/** Call `next` until it gives nothing more, and `leave` however that ends. */
export class Delivery {
  readonly placement: Placement;
  /** Why the provider has the job no more; undefined when the answer is complete. */
  failure: GoGridError | undefined;
  readonly #ask: Ask;
  readonly #deps: OfferDeps;
  readonly #tokensBefore: number;
  #isWriting = false;
  #patience: Patience | undefined;
  #outcome = LEFT;

  constructor(ask: Ask, placement: Placement, deps: OfferDeps) {
    this.placement = placement;
    this.#ask = ask;
    this.#deps = deps;
    this.#tokensBefore = ask.answer.tokens;
    ask.digest ??= placement.digest;
  }

  /** What the surface hears before anything of the answer. */
  placed(): JobOutput {
    const { candidate, digest } = this.placement;
    const route = candidate.local ? 'local' : this.#deps.link.route(candidate.node);
    return { type: 'placed', job: this.#ask.job.id, provider: candidate.node, route, digest };
  }

  /** Tokens that this provider wrote. */
  get tokens(): number {
    return Math.max(0, this.#ask.answer.tokens - this.#tokensBefore);
  }

  /**
   * The next of the answer; undefined at its end, see `failure`.
   * @throws GoGridError what ended the job here
   */
  async next(): Promise<JobOutput | undefined> {
    const { answer } = this.#ask;
    const { channel, liveness } = this.placement;
    try {
      while (!answer.stopped) {
        liveness.waits();
        const message = await channel.receive();
        if (message?.type === 'chunk') {
          const output = this.#take(message);
          if (output !== undefined) return output;
          continue;
        }
        if (message?.type === 'progress') liveness.isThere();
        else liveness.other();
        switch (message?.type) {
          case 'vectors':
            answer.keepVectors(message);
            break;
          case 'progress': {
            const { phase } = message;
            await this.#throwIfOverdue();
            // It writes, and only says that it is there.
            if (this.#isWriting) break;
            return this.#ask.waits(() => ({ where: 'engine', phase }));
          }
          case 'usage':
            answer.usage = message;
            break;
          case 'end':
            answer.reason = message.reason;
            return this.#completes(answer.usage);
          case 'handOver':
            noteHandOver(this.placement.visit, message);
            throw failureOf(message);
          default:
            throw failureOf(message);
        }
      }
      return this.#completes(undefined);
    } catch (thrown) {
      this.failure = await this.#ask.judge(thrown);
      this.#outcome = outcomeOf(this.failure);
      return undefined;
    }
  }

  /** The stream ends, and routing learns how it went. */
  leave(): void {
    const { channel, liveness, visit } = this.placement;
    liveness.cancel();
    channel.close();
    visit.ends(this.#outcome);
  }

  #take(chunk: JobChunk): JobOutput | undefined {
    const { answer, job } = this.#ask;
    const { liveness } = this.placement;
    // One that shows nothing is no sign that the answer goes on.
    if (chunk.text || chunk.thinking || chunk.toolCalls?.length) liveness.token();
    else liveness.other();
    const output = answer.take(chunk);
    job.tokensOut = answer.tokens;
    job.firstToken();
    job.waiting = undefined;
    this.#isWriting = true;
    return output;
  }

  #completes(usage: JobUsage | undefined): undefined {
    this.#outcome = { kind: 'completed', usage, seen: this.placement.liveness.seen(this.tokens) };
  }

  /** @throws GoGridError when it takes much longer than expected to begin its answer, and another one is idle */
  async #throwIfOverdue(): Promise<void> {
    const { candidate, liveness } = this.placement;
    if (liveness.hasBegun || !streams(this.#ask.spec.input)) return;
    const { load, prefill } = candidate.expectedMs;
    const limits = { toldMs: load + prefill, leastMs: JOB.overdueOnEngineMs };
    this.#patience ??= new Patience({ ask: this.#ask, node: candidate.node, ...limits }, this.#deps);
    if (!(await this.#patience.isOver())) return;
    throw new GoGridError({ code: 'engine_failed', message: 'its engine does not begin the answer' });
  }
}
