import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JobQueue, type Place } from './queue.ts';

async function hasTurn(place: Place): Promise<boolean> {
  const no = Symbol('no');
  return (await Promise.race([place.turn, Promise.resolve(no)])) !== no;
}

describe('the queue', () => {
  test('runs as many as it has slots, in order, and refuses past its room (G76)', async () => {
    const queue = new JobQueue({ slots: 1, room: 2 });
    const [a, b, c] = [queue.enter(), queue.enter(), queue.enter()];
    expect(queue.enter()).toBeUndefined();
    expect([a, b, c].map((place) => place?.position())).toEqual([0, 1, 2]);
    b?.leave();
    expect(c?.position()).toBe(1);
    a?.leave();
    a?.leave();
    expect(await hasTurn(c!)).toBe(true);
    expect(queue.running).toBe(1);
  });

  test('never runs more than its slots, never holds more than its room, and forgets nobody', () => {
    const step = fc.oneof(fc.constant('enter' as const), fc.nat(20));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.nat(4), fc.array(step), (slots, room, steps) => {
        const queue = new JobQueue({ slots, room });
        const places: Place[] = [];
        for (const what of steps) {
          if (what === 'enter') {
            const place = queue.enter();
            if (place !== undefined) places.push(place);
          } else {
            places.splice(what % Math.max(1, places.length), 1)[0]?.leave();
          }
          expect(queue.running).toBe(Math.min(slots, places.length));
          expect(queue.depth).toBe(places.length - queue.running);
          expect(queue.depth).toBeLessThanOrEqual(room);
        }
        for (const place of places) place.leave();
        expect([queue.running, queue.depth]).toEqual([0, 0]);
      }),
    );
  });

  test('estimates from what it measured', () => {
    const queue = new JobQueue({ slots: 2, room: 8 });
    expect(queue.estimateMs(4)).toBe(0);
    queue.measured(1_000);
    expect(queue.estimateMs(4)).toBe(2_000);
  });
});
