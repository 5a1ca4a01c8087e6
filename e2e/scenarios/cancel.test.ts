/**
 * A job that is cancelled in whatever state: the engine is free within `JOB.cancelWithinMs`, and no slot and no place stays
 * taken. Two ways out: the client hangs up, or somebody cancels the job by its id.
 */

import { describe, expect } from 'vitest';
import type { ListedJob } from '../../src/contract/control.ts';
import { type Asking, startAsking } from '../harness/asking.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { Mesh } from '../harness/mesh.ts';
import { AT_ONCE_MS, untilFree, untilQuiet } from '../harness/rest.ts';
import { type Stage, scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const BUDGET = { within: 60_000 };
const ENDLESS = 'words=100000';
const engine = { tokensPerSecond: 60 };
/** A machine that is busy with other things delays any one cancel; the quickest of these tells what the program does. */
const ROUNDS = 3;
const CANCEL_WITHIN_MS = 100;
/** The node that asks. */
const ASKER = 0;

/** Ends the job, whose client is `asking`; returns when that was begun, milliseconds since 1970. */
type WayOut = (mesh: Mesh, asking: Asking, job: ListedJob) => Promise<number>;

const WAYS_OUT: readonly (readonly [string, WayOut])[] = [
  [
    'its client hangs up',
    async (_, asking) => {
      const at = Date.now();
      asking.hangUp();
      return at;
    },
  ],
  [
    'it is cancelled by its id',
    async (mesh, asking, job) => {
      const at = Date.now();
      await mesh.node(ASKER).post(`/jobs/${job.id}/cancel`, {});
      await expect(asking.ended).rejects.toThrow(/cancelled/);
      return at;
    },
  ],
];

function begin(mesh: Mesh, stage: Stage, from = ASKER): Asking {
  return startAsking(mesh.node(from), 'openai streamed', { content: `${stage.random.word(8)} ${ENDLESS}` });
}

/** The newest job of the node that asks, once it is in a state. */
function newest(mesh: Mesh, what: string, is: (job: ListedJob) => boolean): Promise<ListedJob> {
  return until(
    async () => {
      const [job] = await mesh.node(ASKER).jobs();
      return job?.endedAt === null && is(job) ? job : undefined;
    },
    { what: `the job to be ${what}` },
  );
}

async function expectCancelled(mesh: Mesh, { id }: ListedJob): Promise<void> {
  await untilQuiet(mesh, ASKER);
  expect(await mesh.node(ASKER).job(id)).toMatchObject({ state: 'cancelled', reason: 'cancelled' });
}

/** Milliseconds from `at` until the engine saw that nobody wants its newest answer. */
async function freedAfter(mesh: Mesh, index: number, at: number): Promise<number> {
  const call = await until(async () => (await generations(mesh.engine(index))).findLast(({ endedAt }) => endedAt), {
    what: 'the engine to end its call',
    within: AT_ONCE_MS,
  });
  expect(call.aborted, 'the engine was cut off').toBe(true);
  return (call.endedAt ?? 0) - at;
}

function expectAtOnce(what: string, times: readonly number[]): void {
  process.stdout.write(`${what}: the engine was free after ${times.join(', ')} ms\n`);
  expect(Math.min(...times)).toBeLessThanOrEqual(CANCEL_WITHIN_MS);
  expect(Math.max(...times)).toBeLessThan(AT_ONCE_MS);
}

/** The next question is answered, so nothing is left of those before. */
async function expectService(mesh: Mesh, stage: Stage): Promise<void> {
  const content = `${stage.random.word(8)} words=5`;
  expect((await startAsking(mesh.node(ASKER), 'openai whole', { content }).ended).text).toBe(answerTo(content));
}

describe.each(WAYS_OUT)('%s', (way, leave) => {
  scenario(`${way} while it is placed`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }]);
    // A provider whose time stands still answers nothing: not that it takes the job, and not that it does not.
    mesh.node(1).freeze();
    const asking = begin(mesh, stage);
    const job = await newest(mesh, 'placed', ({ state }) => state === 'placing');
    const at = await leave(mesh, asking, job);
    await expectCancelled(mesh, job);
    expect(Date.now() - at).toBeLessThan(AT_ONCE_MS);
    mesh.node(1).thaw();
    await mesh.settled();
    await expectService(mesh, stage);
    await untilFree(mesh, 1);
    const [cancelled] = await generations(mesh.engine(1));
    expect(cancelled === undefined || cancelled.aborted || cancelled.tokens === 5, 'it ran for nobody').toBe(true);
  });

  scenario(`${way} while it waits at its provider`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }]);
    const running = begin(mesh, stage);
    await newest(mesh, 'running', ({ state }) => state === 'running');
    for (let round = 0; round < ROUNDS; round++) {
      const asking = begin(mesh, stage);
      const job = await newest(mesh, 'queued', ({ waiting }) => waiting?.where === 'queue');
      await leave(mesh, asking, job);
      await until(async () => (await mesh.node(1).status()).queue.depth === 0, {
        what: 'its place in the queue to be free',
        within: AT_ONCE_MS,
      });
      expect(await generations(mesh.engine(1)), 'it never reached the engine').toHaveLength(1);
    }
    expect(running.heard.pieces).toBeGreaterThan(0);
    running.hangUp();
    await untilFree(mesh, 1);
    await untilQuiet(mesh, ASKER);
    await expectService(mesh, stage);
  });

  scenario(`${way} while it waits in the mesh`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }], { env: { GOGRID_WORKER_MAX_QUEUED_JOBS: '0' } });
    const running = begin(mesh, stage);
    await newest(mesh, 'running', ({ state }) => state === 'running');
    for (let round = 0; round < ROUNDS; round++) {
      const asking = begin(mesh, stage);
      const job = await newest(mesh, 'waiting in the mesh', ({ waiting }) => waiting?.where === 'mesh');
      const at = await leave(mesh, asking, job);
      const ended = async () => (await mesh.node(ASKER).job(job.id)).state === 'cancelled';
      await until(ended, { what: 'the job to be cancelled', within: AT_ONCE_MS });
      expect(Date.now() - at).toBeLessThan(AT_ONCE_MS);
    }
    running.hangUp();
    await untilFree(mesh, 1);
    await untilQuiet(mesh, ASKER);
    expect(await generations(mesh.engine(1)), 'those that waited never reached the engine').toHaveLength(1);
    await expectService(mesh, stage);
  });

  scenario(`${way} while its model loads`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine: { ...engine, loadMs: 60_000 } }]);
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await mesh.engine(1).control({ unload: true });
      const asking = begin(mesh, stage);
      const job = await newest(mesh, 'loading', ({ waiting }) => waiting?.where === 'engine');
      await until(async () => (await mesh.engine(1).report()).totals.open === 1, { what: 'the engine to load' });
      const at = await leave(mesh, asking, job);
      await expectCancelled(mesh, job);
      times.push(await freedAfter(mesh, 1, at));
      await untilFree(mesh, 1);
    }
    expectAtOnce(`${way} while its model loads`, times);
    await mesh.engine(1).control({ loadMs: 0 });
    await expectService(mesh, stage);
  });

  scenario(`${way} while it runs`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }]);
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const asking = begin(mesh, stage);
      await until(() => asking.heard.pieces > 3, { what: 'its first words' });
      const job = await newest(mesh, 'running', ({ state }) => state === 'running');
      const at = await leave(mesh, asking, job);
      await expectCancelled(mesh, job);
      times.push(await freedAfter(mesh, 1, at));
      await untilFree(mesh, 1);
    }
    expectAtOnce(`${way} while it runs`, times);
    await expectService(mesh, stage);
  });

  scenario(`${way} while it is handed over`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }, { engine }]);
    const asking = begin(mesh, stage);
    await until(() => asking.heard.pieces > 3, { what: 'its first words' });
    const provider = mesh.indexOf(asking.heard.headers?.get('x-gogrid-provider'));
    const other = provider === 1 ? 2 : 1;
    mesh.node(other).freeze();
    await mesh.node(provider).kill();
    // It is on its way to the other one, which does not answer.
    const job = await newest(mesh, 'between two providers', ({ state }) => state === 'placing');
    expect(job.tokensOut).toBeGreaterThan(0);
    await leave(mesh, asking, job);
    await expectCancelled(mesh, job);
    mesh.node(other).thaw();
    await mesh.settled();
    await expectService(mesh, stage);
    await untilFree(mesh, other);
    const late = (await generations(mesh.engine(other))).filter(({ fromToken }) => fromToken > 0);
    expect(
      late.every(({ aborted }) => aborted),
      'the other one did not go on for nobody',
    ).toBe(true);
  });

  scenario(`${way} while the owner has taken its place`, BUDGET, async (stage) => {
    const mesh = await stage.mesh([{}, { engine }]);
    const asking = begin(mesh, stage);
    await until(() => asking.heard.pieces > 3, { what: 'its first words' });
    const owners = begin(mesh, stage, 1);
    const job = await newest(mesh, 'waiting for the owner', ({ waiting }) => waiting?.where === 'queue');
    await leave(mesh, asking, job);
    await expectCancelled(mesh, job);
    const had = owners.heard.pieces;
    await until(() => owners.heard.pieces > had + 3, { what: "the owner's answer to go on" });
    owners.hangUp();
    await untilFree(mesh, 1);
    expect(await generations(mesh.engine(1)), "the stranger's and the owner's").toHaveLength(2);
    await expectService(mesh, stage);
  });
});
