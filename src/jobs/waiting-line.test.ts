import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import { parseModelRef } from '../protocol/model-name.ts';
import { errorOf } from '../testing/failure.ts';
import { settle, VirtualClock } from '../testing/virtual-clock.ts';
import type { Needs } from './routing/decision.ts';
import { demandOf } from './routing/demand.ts';
import { type Call, WaitingLines, type WaitingPlace, type Wanted } from './waiting-line.ts';

const never = new AbortController().signal;
const ref = parseModelRef('llama');
const needs: Needs = { ref, privacy: 'mesh', delivered: 0, demand: demandOf({ kind: 'load' }) };
const llama: Wanted = { model: ref.name, apart: ' mesh', open: true, needs };

function lines(changes: { maxWaiting?: number; maxWaitMs?: number } = {}) {
  const clock = new VirtualClock();
  const all = new WaitingLines(
    { maxWaiting: 64, maxWaitMs: 60_000, ...changes },
    { clock, suits: (_, node) => node !== 'unfit' },
  );
  /** What a job was called for, in order; it goes on waiting after `moved`, and asks after `turn`. */
  const follow = (place: WaitingPlace) => {
    const calls: Call[] = [];
    const listen = async () => {
      while (true) {
        const call = await place.next(never);
        calls.push(call);
        if (call === 'turn') return;
      }
    };
    void listen().catch(() => undefined);
    return { place, calls, listen };
  };
  const enter = (busyMs: number | 'has not asked' = 1_000, wanted = llama, askedAt = clock.elapsed()) =>
    follow(all.enter(wanted, askedAt, busyMs === 'has not asked' ? undefined : busyMs));
  return { clock, all, enter };
}

describe('the head of a line', () => {
  test.each([
    ['when the providers said', 1_000, 1_000],
    ['no sooner than the bound', 0, JOB.askAgainMinMs],
    ['no later than the bound', 60_000, JOB.askAgainMaxMs],
  ])('asks again %s', async (_, busyMs, expected) => {
    const { clock, enter } = lines();
    const head = enter(busyMs);
    await clock.advance(expected - 1);
    expect(head.calls).toEqual([]);
    await clock.advance(1);
    expect(head.calls).toEqual(['turn']);
  });

  test('alone asks, and the next one as soon as it is taken', async () => {
    const { clock, enter } = lines();
    const [first, second, third] = [enter(), enter('has not asked'), enter('has not asked')];
    await clock.advance(30_000);
    expect([first, second, third].map(({ calls }) => calls.length)).toEqual([1, 0, 0]);
    first.place.leave(true);
    await settle();
    expect([second.calls.at(-1), third.calls.at(-1)]).toEqual(['turn', 'moved']);
  });

  test('that was turned away keeps its place, and asks again', async () => {
    const { clock, enter } = lines();
    const [first, second] = [enter(300), enter('has not asked')];
    await clock.advance(300);
    first.place.allBusy(400);
    void first.listen();
    await clock.advance(399);
    expect(first.calls).toEqual(['turn']);
    await clock.advance(1);
    expect(first.calls).toEqual(['turn', 'turn']);
    expect(second.calls).toEqual([]);
  });

  test('is woken by news at once, but not by more of them than it can ask', async () => {
    const { clock, all, enter } = lines();
    const head = enter(5_000);
    await clock.advance(JOB.askAgainMinMs);
    all.wake(['other:latest']);
    await settle();
    expect(head.calls).toEqual([]);
    all.wake(['llama:latest']);
    await settle();
    expect(head.calls).toEqual(['turn']);
    // While it asks there are news, and it is turned away: they count, after the shortest pause.
    all.wake();
    head.place.allBusy(5_000);
    void head.listen();
    all.wake();
    await clock.advance(JOB.askAgainMinMs - 1);
    expect(head.calls).toHaveLength(1);
    await clock.advance(1);
    expect(head.calls).toHaveLength(2);
  });

  test('whose client leaves makes room for the next one, who asks when it would have asked', async () => {
    const { clock, enter } = lines();
    const [first, second] = [enter(1_000), enter('has not asked')];
    first.place.leave(false);
    await settle();
    expect(second.calls).toEqual(['moved']);
    await clock.advance(1_000);
    expect(second.calls).toEqual(['moved', 'turn']);
  });

  test('who leaves before it has heard that it was called leaves its turn to the next one', async () => {
    const { clock, all, enter } = lines();
    // Its client does not read: nobody waits at its place.
    const silent = all.enter(llama, 0, 1_000);
    const second = enter('has not asked');
    await clock.advance(1_000);
    expect(second.calls).toEqual([]);
    silent.leave(false);
    await settle();
    expect(second.calls.at(-1)).toBe('turn');
  });

  test('whose client does not read holds the others up no longer than it may wait', async () => {
    const { clock, all, enter } = lines({ maxWaitMs: 10_000 });
    const silent = all.enter(llama, 0, 1_000);
    await clock.advance(5_000);
    const second = enter('has not asked');
    await clock.advance(4_999);
    expect([all.depth, second.calls]).toEqual([2, []]);
    await clock.advance(1);
    expect([all.depth, second.calls.at(-1)]).toEqual([1, 'turn']);
    await expect(silent.next(never)).rejects.toMatchObject({ code: 'overloaded' });
  });

  test('that asks when its time is over stays until it has asked', async () => {
    const { clock, all, enter } = lines({ maxWaitMs: 1_500 });
    const head = enter(1_000);
    await clock.advance(1_500);
    expect([head.calls, all.depth]).toEqual([['turn'], 1]);
    head.place.allBusy(1_000);
    await expect(head.place.next(never)).rejects.toMatchObject({ code: 'overloaded' });
    head.place.leave(false);
    expect(all.depth).toBe(0);
  });
});

describe('a line', () => {
  test('is one for all that wait for the same, and each asks for itself', async () => {
    const { clock, all, enter } = lines();
    const pinned = { ...llama, apart: 'abcd mesh' };
    expect([all.isWaitedFor(llama), all.isWaitedFor(pinned)]).toEqual([false, false]);
    const [one, other] = [enter(300), enter(400, pinned)];
    expect([all.isWaitedFor(llama), all.isWaitedFor(pinned)]).toEqual([true, true]);
    await clock.advance(400);
    expect([one.calls, other.calls]).toEqual([['turn'], ['turn']]);
    expect(all.models()).toEqual(['llama:latest']);
  });

  test('stands in the order in which jobs were asked for: who comes back is not behind those that came later', async () => {
    const { clock, enter } = lines();
    await clock.advance(100);
    const [later, latest] = [enter(1_000), enter('has not asked')];
    const back = enter(2_000, llama, 0);
    expect([back, later, latest].map(({ place }) => place.wait().ahead)).toEqual([0, 1, 2]);
    await clock.advance(2_000);
    expect(back.calls).toEqual(['turn']);
    expect(later.calls).toEqual(['moved']);
  });

  test('tells strangers of no job that may not leave for them', () => {
    const { all, enter } = lines();
    enter(1_000, { ...llama, model: 'secret:latest', apart: ' friends', open: false });
    expect(all.models()).toEqual([]);
    expect(all.offer('worker', ['secret:latest'], 8)).toBe(0);
    expect(all.depth).toBe(1);
  });

  test('says truly how long it takes', async () => {
    const { clock, enter } = lines();
    const places = Array.from({ length: 4 }, (_, i) => enter(i === 0 ? 3_000 : 'has not asked').place);
    expect(places.map((place) => place.wait())).toEqual([
      { where: 'mesh', ahead: 0, estimateMs: 3_000 },
      { where: 'mesh', ahead: 1, estimateMs: 6_000 },
      { where: 'mesh', ahead: 2, estimateMs: 9_000 },
      { where: 'mesh', ahead: 3, estimateMs: 12_000 },
    ]);
    await clock.advance(3_000);
    places[0]?.leave(true);
    await clock.advance(2_000);
    places[1]?.leave(true);
    places[2]?.allBusy(500);
    // Two were taken 2 s apart.
    expect(places[3]?.wait()).toEqual({ where: 'mesh', ahead: 1, estimateMs: 2_500 });
  });
});

describe('a worker that pulls', () => {
  test('calls as many as it has room for, the oldest first, and each knows whom to ask, once', async () => {
    const { all, enter } = lines();
    const jobs = [enter(), enter('has not asked'), enter('has not asked')];
    expect(all.offer('worker', ['other:latest', 'llama:latest'], 2)).toBe(2);
    await settle();
    expect(jobs.map(({ calls }) => calls)).toEqual([['turn'], ['turn'], []]);
    expect(jobs.map(({ place }) => place.takeWorker())).toEqual(['worker', 'worker', undefined]);
    expect(jobs[0]?.place.takeWorker()).toBeUndefined();
    // They ask already.
    expect(all.offer('other', ['llama:latest'], 9)).toBe(1);
  });

  test('that cannot run a job is promised none', async () => {
    const { all, enter } = lines();
    const job = enter();
    expect(all.offer('unfit', ['llama:latest'], 8)).toBe(0);
    await settle();
    expect(job.calls).toEqual([]);
  });

  test('and has no room after all changes nothing for the head', async () => {
    const { clock, all, enter } = lines();
    const [head, second] = [enter(1_000), enter('has not asked')];
    all.offer('worker', ['llama:latest'], 2);
    await settle();
    expect([head.place.takeWorker(), second.place.takeWorker()]).toEqual(['worker', 'worker']);
    for (const { listen } of [head, second]) void listen();
    expect(head.place.wait().estimateMs).toBe(1_000);
    await clock.advance(1_000);
    expect([head.calls, second.calls]).toEqual([['turn', 'turn'], ['turn']]);
    expect(head.place.takeWorker()).toBeUndefined();
  });

  test.each([
    ['before it has heard of the worker', true],
    ['while it asks the worker', false],
  ])('takes no turn from the head: one that comes %s comes behind that', async (_, unheard) => {
    const { clock, all } = lines();
    const place = all.enter(llama, 0, 1_000);
    expect(all.offer('worker', ['llama:latest'], 1)).toBe(1);
    if (unheard) await clock.advance(1_000);
    expect(await place.next(never)).toBe('turn');
    expect(place.takeWorker()).toBe('worker');
    if (!unheard) await clock.advance(1_000);
    // The worker does not take it.
    expect(await place.next(never)).toBe('turn');
    expect(place.takeWorker()).toBeUndefined();
    // Now all were asked, and the head waits as long as they said.
    place.allBusy(3_000);
    const called = vi.fn();
    void place.next(never).then(called);
    await clock.advance(2_999);
    expect(called).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(called).toHaveBeenCalledOnce();
  });

  test('calls a job once in a while, however often it offers itself: each call may send a prompt', async () => {
    const { clock, all, enter } = lines();
    const job = enter(60_000);
    let calls = 0;
    for (let at = 0; at < 1_000; at += 10) {
      calls += all.offer('worker', ['llama:latest'], 48);
      await settle();
      if (job.place.takeWorker() !== undefined) void job.listen();
      await clock.advance(10);
    }
    expect(calls).toBe(1_000 / JOB.askAgainMinMs);
  });
});

describe('the bounds', () => {
  test('of depth: the one too many is told when there may be room', () => {
    const { all, enter } = lines({ maxWaiting: 2 });
    enter(2_000);
    enter('has not asked');
    expect(() => enter('has not asked')).toThrow(
      "every provider of 'llama:latest' is busy, and 2 jobs wait here already",
    );
    try {
      enter('has not asked');
    } catch (error) {
      expect(error).toMatchObject({ code: 'overloaded', retryAfterSecs: 6 });
    }
    expect(all.depth).toBe(2);
  });

  test('of time: at the end of it the job is told so, to the millisecond', async () => {
    const { clock, all, enter } = lines({ maxWaitMs: 10_000 });
    const place = all.enter(llama, 0, 60_000);
    enter('has not asked');
    const late = errorOf(
      (async () => {
        while (true) {
          await place.next(never);
          place.allBusy(60_000);
        }
      })(),
    );
    await clock.advance(9_999);
    expect(all.depth).toBe(2);
    await clock.advance(1);
    expect(await late).toMatchObject({ code: 'overloaded', message: expect.stringContaining('waited 10 s here') });
  });

  test('of nothing: where no job may wait none does', () => {
    const { all } = lines({ maxWaitMs: 0 });
    expect(() => all.enter(llama, 0, 1_500)).toThrow("every provider of 'llama:latest' is busy");
  });

  test('a job that nobody wants any more stops waiting at once', async () => {
    const { all, clock } = lines();
    const place = all.enter(llama, 0, 1_000);
    const client = new AbortController();
    const waits = errorOf(place.next(client.signal));
    client.abort(new GoGridError({ code: 'cancelled', message: 'gone' }));
    expect((await waits).code).toBe('cancelled');
    place.leave(false);
    place.leave(false);
    expect([all.depth, clock.pending]).toEqual([0, 0]);
  });
});

test('whatever happens, one job at most asks unbidden in a line, everybody is served, and nothing is left behind', async () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('enter' as const) }),
    fc.record({ what: fc.constant('enter-and-read-nothing' as const) }),
    fc.record({ what: fc.constant('wake' as const) }),
    fc.record({ what: fc.constant('offer' as const), slots: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ what: fc.constant('pass' as const), ms: fc.nat(3_000) }),
    fc.record({ what: fc.constant('hang-up' as const), which: fc.nat(9) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.array(fc.boolean(), { maxLength: 40 }),
      async (steps, luck) => {
        const clock = new VirtualClock();
        const all = new WaitingLines({ maxWaiting: 8, maxWaitMs: 60_000 }, { clock, suits: () => true });
        const isLucky = luck.values();
        let asking = 0;
        let mostAsking = 0;
        let open = 0;
        const clients: AbortController[] = [];
        const silent: AbortController[] = [];
        const wait = async (place: WaitingPlace, signal: AbortSignal) => {
          try {
            while (true) {
              if ((await place.next(signal)) === 'moved') continue;
              const bidden = place.takeWorker() !== undefined;
              if (!bidden) mostAsking = Math.max(mostAsking, ++asking);
              await settle();
              if (!bidden) asking--;
              if (isLucky.next().value ?? true) return place.leave(true);
              if (!bidden) place.allBusy(100);
            }
          } catch {
            place.leave(false);
          } finally {
            open--;
          }
        };
        const begin = (reads: boolean) => {
          if (all.depth >= 8) return;
          const client = new AbortController();
          clients.push(client);
          const place = all.enter(llama, clock.elapsed(), all.depth === 0 ? 100 : undefined);
          client.signal.addEventListener('abort', () => place.leave(false));
          if (!reads) {
            silent.push(client);
            return;
          }
          open++;
          void wait(place, client.signal);
        };
        for (const one of steps) {
          if (one.what === 'enter' || one.what === 'enter-and-read-nothing') begin(one.what === 'enter');
          else if (one.what === 'wake') all.wake();
          else if (one.what === 'offer') all.offer('worker', [llama.model], one.slots);
          else if (one.what === 'pass') await clock.advance(one.ms);
          else clients[one.which]?.abort(new Error('gone'));
          expect(all.depth).toBeLessThanOrEqual(8);
        }
        // Those that read nothing hang up; the others are turned away as often as it is bad luck, and no turn is lost.
        for (const client of silent) client.abort(new Error('gone'));
        for (let i = 0; i < 50; i++) await clock.advance(JOB.askAgainMinMs);
        expect([open, all.depth, clock.pending]).toEqual([0, 0, 0]);
        expect(mostAsking).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 100 },
  );
});
