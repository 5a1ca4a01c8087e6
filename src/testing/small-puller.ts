/** A worker with a number of slots that pulls jobs, alone, on a clock that stands still. */

import { expect } from 'vitest';
import { Pull } from '../jobs/pull.ts';
import { PULL } from '../limits/jobs.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A worker with a number of slots, and coordinators with jobs that wait; a pulled job arrives at once and runs. */
export function smallPuller({ slots = 1, counters = {} as Record<string, number>, random = (): number => 0.5 } = {}) {
  const clock = new VirtualClock();
  const asked: { at: number; node: string; slots: number }[] = [];
  const walks: { at: number; found: readonly string[] }[] = [];
  const state = {
    running: 0,
    models: ['words:latest'],
    /** Another node's or this machine's job waits here. */
    queued: 0,
    waiting: new Map<string, number>(),
    /** Who stands in the DHT, jobs or none. */
    records: [] as string[],
    /** Coordinators whose promised jobs never come. */
    liars: new Set<string>(),
    /** Coordinators that cannot be reached. */
    away: new Set<string>(),
    /** A walk through the DHT rejects. */
    broken: false,
    /** Milliseconds that an answer takes; jobs come first. */
    answerMs: 0,
    mostAsking: 0,
  };
  let asking = 0;
  let level = 0;
  const freeSlots = () => (state.queued > 0 ? 0 : slots - state.running);
  const pull = new Pull({
    clock,
    random,
    log: silentLogger,
    models: () => state.models,
    freeSlots,
    counterOf: (node) => Math.max(level, counters[node] ?? 0),
    servedTo: (node) => counters[node] ?? 0,
    findWork: async (_model, _signal, skip) => {
      const found = state.records.filter((node) => !skip(node));
      walks.push({ at: clock.elapsed(), found });
      if (state.broken) throw new Error('a record that cannot be read');
      return found;
    },
    askWork: async (node, _models, free) => {
      asked.push({ at: clock.elapsed(), node, slots: free });
      expect(free).toBeGreaterThan(0);
      expect(free).toBeLessThanOrEqual(freeSlots());
      state.mostAsking = Math.max(state.mostAsking, ++asking);
      if (state.away.has(node)) {
        asking--;
        throw new Error('away');
      }
      const jobs = state.liars.has(node) ? free : Math.min(free, state.waiting.get(node) ?? 0);
      if (!state.liars.has(node)) {
        state.waiting.set(node, (state.waiting.get(node) ?? 0) - jobs);
        for (let i = 0; i < jobs; i++) {
          pull.jobArrived(node);
          state.running++;
          pull.loadChanged();
        }
      }
      if (state.answerMs > 0) await new Promise<void>((resolve) => void clock.after(state.answerMs, resolve));
      asking--;
      return jobs;
    },
  });
  const end = async () => {
    state.running--;
    pull.loadChanged();
    await clock.advance(PULL.gapMs);
  };
  /** The service that whoever comes now is lifted to. */
  const lift = (to: number) => {
    level = to;
  };
  return { clock, pull, asked, walks, state, end, lift, who: () => asked.map(({ node }) => node) };
}
