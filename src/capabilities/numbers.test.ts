import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../clock.ts';
import { MESH } from '../limits/mesh.ts';
import { type NumberDisk, numbersOn } from '../testing/kept-number.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import { Numbers } from './numbers.ts';

const DAY_MS = 86_400_000;

/** A clock that somebody sets. */
function clockWrongBy(skew: { ms: number }, clock: Clock): Clock {
  return { ...clock, now: () => clock.now() + skew.ms, elapsed: () => clock.elapsed(), after: clock.after.bind(clock) };
}

describe('the numbers of profiles and beats', () => {
  test('are the wall clock, while that goes on', async () => {
    const clock = new VirtualClock();
    const numbers = numbersOn({ number: 0 }, clock);
    for (let count = 0; count < 100; count++) {
      expect(numbers.next()).toBe(clock.now());
      await clock.advance(MESH.beatEveryMs);
    }
  });

  test('grow over restarts and whatever the clock is set to', async () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant('say' as const), times: fc.integer({ min: 1, max: 2_000 }) }),
      fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: DAY_MS }) }),
      fc.record({ what: fc.constant('set' as const), ms: fc.integer({ min: -400 * DAY_MS, max: 400 * DAY_MS }) }),
      fc.record({ what: fc.constant('restart' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const real = new VirtualClock();
        const skew = { ms: 0 };
        const clock = clockWrongBy(skew, real);
        const disk: NumberDisk = { number: 0 };
        let numbers = numbersOn(disk, clock);
        let last = -1;
        for (const taken of [...steps, { what: 'restart' } as const, { what: 'say', times: 1 } as const]) {
          if (taken.what === 'wait') await real.advance(taken.ms);
          if (taken.what === 'set') skew.ms = taken.ms;
          if (taken.what === 'restart') numbers = numbersOn(disk, clock);
          await settle();
          for (let time = 0; taken.what === 'say' && time < taken.times; time++) {
            const number = numbers.next();
            expect(number).toBeGreaterThan(last);
            expect(disk.number).toBeGreaterThanOrEqual(number);
            last = number;
            if (time % 100 === 0) await settle();
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('are the wall clock again after an end in order, and greater than all before if that was set back', async () => {
    const clock = new VirtualClock();
    const disk: NumberDisk = { number: 0 };
    const numbers = numbersOn(disk, clock);
    await numbers.keepAhead();
    const last = numbers.next();
    await numbers.end();
    expect(disk.number).toBe(last);
    expect(numbersOn({ ...disk }, clockWrongBy({ ms: -DAY_MS }, clock)).next()).toBe(last + 1);
    await clock.advance(1_000);
    expect(numbersOn(disk, clock).next()).toBe(clock.now());
  });

  test('cost a write in ten beats at rest, and restarts in a row do not carry them away from the clock', async () => {
    const clock = new VirtualClock();
    const disk: NumberDisk = { number: 0 };
    let writes = 0;
    const start = () => {
      const keep = async (number: number) => {
        writes++;
        disk.number = number;
      };
      return new Numbers(disk.number, { clock, keep });
    };
    let numbers = start();
    for (let beats = 0; beats < 2_880; beats++) {
      numbers.next();
      await clock.advance(MESH.beatEveryMs);
    }
    expect(writes).toBeLessThanOrEqual(DAY_MS / (MESH.numbersKeptMs / 2) + 1);
    for (let restarts = 0; restarts < 100; restarts++) {
      numbers = start();
      await numbers.keepAhead();
      numbers.next();
    }
    expect(numbers.next() - clock.now()).toBeLessThanOrEqual(MESH.numbersKeptMs + 100 * MESH.numbersKept);
    await clock.advance(MESH.numbersKeptMs + 100 * MESH.numbersKept);
    expect(numbers.next()).toBe(clock.now());
  });

  test('are as good as the wall clock while the disk takes nothing, and are kept as soon as it does', async () => {
    const clock = new VirtualClock();
    let isFull = true;
    const kept: number[] = [];
    const keep = async (number: number) => {
      if (isFull) throw new Error('no space left');
      kept.push(number);
    };
    const numbers = new Numbers(0, { clock, keep });
    await numbers.keepAhead();
    expect(numbers.next()).toBe(clock.now());
    await clock.advance(MESH.beatEveryMs);
    expect(kept).toEqual([]);
    isFull = false;
    const number = numbers.next();
    expect(number).toBe(clock.now());
    await settle();
    expect(kept).toEqual([number + MESH.numbersKeptMs]);
  });
});
