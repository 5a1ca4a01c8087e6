import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUEUE } from '../../limits/jobs.ts';
import { queueOf, ticket } from '../../testing/small-queue.ts';
import type { FairQueue, Place } from './fair-queue.ts';
import type { Lane } from './lanes.ts';
import { INPUT_WEIGHT, OUTPUT_WEIGHT } from './vtc.ts';

/** Some read less than every start counts, and some more. */
const MAX_INPUT = 3 * QUEUE.minInputTokens;
const MAX_OUTPUT = 60;

const size = fc.record({ input: fc.integer({ min: 1, max: MAX_INPUT }), output: fc.nat(MAX_OUTPUT) });

/** Accounts that always have two jobs waiting, and what each has had of the machine. */
class Flood {
  readonly queue: FairQueue;
  readonly service = new Map<string, number>();
  readonly starts = new Map<string, number>();
  readonly #sizes: Iterator<{ input: number; output: number }>;
  readonly #jobs: { place: Place; account: string; input: number; left: number; runs: boolean }[] = [];

  constructor(queue: FairQueue, sizes: readonly { input: number; output: number }[]) {
    this.queue = queue;
    this.#sizes = (function* () {
      for (let i = 0; ; i++) yield sizes[i % sizes.length] as { input: number; output: number };
    })();
  }

  enter(account: string, lane: Lane = 'paid'): Place {
    const { input, output } = this.#sizes.next().value;
    const place = this.queue.enter(ticket(account, { lane, inputTokens: input }))!;
    this.#jobs.push({ place, account, input, left: output, runs: false });
    this.#notice();
    return place;
  }

  /** Every job that runs writes a token; those that are complete leave, and their accounts send another. */
  decode(refill: (account: string) => boolean, enough = () => false): void {
    for (const job of this.#jobs.filter(({ runs }) => runs)) {
      if (enough()) return;
      if (job.left-- > 0) {
        job.place.wrote(1);
        this.#add(this.service, job.account, OUTPUT_WEIGHT);
        continue;
      }
      this.#jobs.splice(this.#jobs.indexOf(job), 1);
      if (refill(job.account)) this.enter(job.account);
      job.place.leave();
      this.#notice();
    }
  }

  /** What is charged when a job starts. */
  #notice(): void {
    for (const job of this.#jobs) {
      if (job.runs || !job.place.running) continue;
      job.runs = true;
      this.#add(this.service, job.account, INPUT_WEIGHT * Math.max(QUEUE.minInputTokens, job.input));
      this.#add(this.starts, job.account, 1);
    }
  }

  #add(map: Map<string, number>, account: string, by: number): void {
    map.set(account, (map.get(account) ?? 0) + by);
  }
}

describe('fairness', () => {
  test('two accounts that always have jobs waiting differ by no more than the bound of the paper', () => {
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 2, max: 4 }),
        (sizes, slots, accounts) => {
          const flood = new Flood(queueOf({ slots, room: 1_000 }), sizes);
          const names = Array.from({ length: accounts }, (_, i) => `account ${i}`);
          for (const name of names) for (let i = 0; i < slots + 2; i++) flood.enter(name);
          // 2 max(wp Linput, wq M), where M is what the running batch can hold.
          const bound = 2 * Math.max(INPUT_WEIGHT * MAX_INPUT, OUTPUT_WEIGHT * slots * (MAX_INPUT + MAX_OUTPUT));
          const lowest = new Map<string, number>();
          let widest = 0;
          for (let moment = 0; moment < 400; moment++) {
            flood.decode(() => true);
            for (const f of names) {
              for (const g of names) {
                const gap = (flood.service.get(f) ?? 0) - (flood.service.get(g) ?? 0);
                lowest.set(f + g, Math.min(lowest.get(f + g) ?? 0, gap));
                widest = Math.max(widest, gap - (lowest.get(f + g) ?? 0));
              }
            }
          }
          expect(widest).toBeLessThanOrEqual(bound);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('nobody who comes is overtaken more than once by any account that waits, however long it was away', () => {
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(300),
        (sizes, slots, accounts, before) => {
          const flood = new Flood(queueOf({ slots, room: 1_000 }), sizes);
          const names = Array.from({ length: accounts }, (_, i) => `account ${i}`);
          for (const name of names) for (let i = 0; i < slots + 2; i++) flood.enter(name);
          for (let moment = 0; moment < before; moment++) flood.decode(() => true);
          const startsBefore = new Map(flood.starts);
          const place = flood.enter('newcomer');
          let moments = 0;
          const hasStarted = () => place.running;
          while (!hasStarted() && moments++ < 10_000) flood.decode(() => true, hasStarted);
          expect(place.running).toBe(true);
          for (const name of names) {
            expect((flood.starts.get(name) ?? 0) - (startsBefore.get(name) ?? 0)).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
