/**
 * Nobody works on a job that is over, and no two providers run one job, but for the time it takes the first of them to notice that its requester is gone:
 * - a stream reset, a connection or process that ends: the way of the news, and 100 ms for the engine to stop;
 * - a cut or a machine without power: the same, counted from when news can get through again, or the keep-alive gave up;
 * - a process that is stopped: the same, counted from when it goes on.
 */

import { JOB } from '../../limits/jobs.ts';
import type { LawParts } from './law-parts.ts';
import type { SimNode } from './node.ts';
import type { Process } from './process.ts';

interface Run {
  readonly node: SimNode;
  readonly process: Process;
  readonly job: number;
  over: boolean;
}

const LOOK_EVERY_MS = 100;
/** TCP sends again what was held up within this time after a cut has healed. */
const SENT_AGAIN_MS = 2_000;

export class ExclusiveRuns {
  readonly #parts: LawParts;
  readonly #runs = new Map<number, Set<Run>>();

  constructor(parts: LawParts) {
    this.#parts = parts;
  }

  begins(node: SimNode, process: Process, job: number): { ends(): void } {
    const run: Run = { node, process, job, over: false };
    const runs = this.#runs.get(job) ?? new Set();
    this.#runs.set(job, runs);
    for (const older of runs) if (older.process.isAlive) this.#watchPair(older, run);
    runs.add(run);
    return {
      ends: () => {
        run.over = true;
        runs.delete(run);
      },
    };
  }

  #watchPair(older: Run, newer: Run): void {
    const tooLong = (ms: number, allowedMs: number) => {
      const places = `n${older.node.index} and n${newer.node.index}`;
      const text = `runs at ${places} for ${ms} ms, allowed ${Math.round(allowedMs)}`;
      this.#parts.world.violate('one-provider', text, undefined, older.job);
    };
    this.#watch(older, tooLong, () => newer.over);
  }

  /** The client has the end of a job, whatever it is: nobody works on it any more. */
  ended(job: number): void {
    for (const run of this.#runs.get(job) ?? []) {
      this.#watch(run, (ms, allowedMs) => {
        const text = `n${run.node.index} works on for ${ms} ms after the job's end, allowed ${Math.round(allowedMs)}`;
        this.#parts.world.violate('stops-at-end', text, run.node.index, job);
      });
    }
  }

  /** An older run should end as soon as it can know. */
  #watch(run: Run, tooLong: (ms: number, allowedMs: number) => void, isOver: () => boolean = () => false): void {
    const { world, plan, network } = this.#parts;
    const requester = plan.jobs.find(({ index }) => index === run.job)?.node ?? 0;
    const faulty = plan.faults.length > 0;
    const lagMs = Math.max(0, ...plan.faults.map((fault) => (fault.kind === 'slow' ? 2 * fault.lagMs : 0)));
    const wayMs = plan.delayMs[1] * (1 + plan.jitter) + (plan.loss > 0 ? 400 : 0);
    const allowedMs =
      wayMs + JOB.cancelWithinMs + run.node.plan.stopMs + lagMs + (faulty ? SENT_AGAIN_MS : 0) + LOOK_EVERY_MS;
    let couldKnowMs = 0;
    const look = () => {
      if (run.over || !run.process.isAlive || isOver() || world.violation !== undefined) return;
      const hears = run.node.index === requester || network().reaches(requester, run.node.index);
      couldKnowMs = hears && run.process.state === 'running' ? couldKnowMs + LOOK_EVERY_MS : 0;
      if (couldKnowMs > allowedMs) tooLong(couldKnowMs, allowedMs);
      else world.clock.after(LOOK_EVERY_MS, look);
    };
    world.clock.after(LOOK_EVERY_MS, look);
  }
}
