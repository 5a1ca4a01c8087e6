import { expect, it } from 'vitest';
import { ENGINE } from '../../limits/engine.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { ContinueProbe } from './probe.ts';

function setUp() {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const aborted: string[] = [];
  const state = { holds: false };
  const probe = new ContinueProbe({
    clock,
    wanted: () => true,
    ask: async (model, _like, signal) => {
      asked.push(model);
      if (!state.holds) return;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted.push(model);
    },
  });
  const job = (model: string) => {
    probe.jobStarts();
    probe.consider(model, {});
    probe.jobEnds();
  };
  return { clock, asked, aborted, state, probe, job };
}

it('asks once, a moment after the first job', async () => {
  const { clock, asked, job } = setUp();
  job('a');
  expect(asked).toEqual([]);
  await clock.advance(ENGINE.probeAfterMs);
  expect(asked).toEqual(['a']);
  await clock.advance(60_000);
  expect(asked).toEqual(['a']);
  expect(clock.pending).toBe(0);
});

it('asks at once beside a job that writes, of its model alone, and not twice', async () => {
  const { clock, asked, probe, job } = setUp();
  job('a');
  probe.jobStarts();
  probe.jobWrites('b', {});
  await clock.advance(0);
  expect(asked).toEqual(['b']);
  probe.jobEnds();
  await clock.advance(60_000);
  expect(asked).toEqual(['b', 'a']);
});

it('waits while a job runs, but not for ever', async () => {
  const { clock, asked, probe, job } = setUp();
  job('a');
  probe.jobStarts();
  await clock.advance(ENGINE.probePatienceMs / 2);
  expect(asked).toEqual([]);
  for (let jobs = 0; jobs < 20; jobs++) {
    probe.jobStarts();
    probe.jobEnds();
    await clock.advance(ENGINE.probePatienceMs / 10);
  }
  expect(asked).toEqual(['a']);
});

it('makes room for a job, and asks again behind it', async () => {
  const { clock, asked, aborted, state, probe, job } = setUp();
  state.holds = true;
  job('a');
  await clock.advance(ENGINE.probeAfterMs);
  probe.jobStarts();
  await clock.advance(0);
  expect(aborted).toEqual(['a']);
  state.holds = false;
  probe.jobEnds();
  await clock.advance(ENGINE.probeAfterMs);
  expect(asked).toEqual(['a', 'a']);
});

it('gives up on an engine that does not answer', async () => {
  const { clock, asked, aborted, state, job } = setUp();
  state.holds = true;
  job('a');
  await clock.advance(ENGINE.probeAfterMs + ENGINE.probeTimeoutMs);
  expect(aborted).toEqual(['a']);
  await clock.advance(60_000);
  expect(asked).toEqual(['a']);
  expect(clock.pending).toBe(0);
});

it('asks for several models one after the other', async () => {
  const { clock, asked, job } = setUp();
  job('a');
  job('b');
  await clock.advance(2 * ENGINE.probeAfterMs);
  expect(asked).toEqual(['a', 'b']);
});

it('asks nothing once stopped', async () => {
  const { clock, asked, probe, job } = setUp();
  job('a');
  probe.stop();
  await clock.advance(60_000);
  expect(asked).toEqual([]);
});
