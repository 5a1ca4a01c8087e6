/** `x-gogrid-deadline-secs`: after it nobody wants the answer, so nobody works for it. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { refusalOf, startAsking, WAYS } from '../harness/asking.ts';
import { generations } from '../harness/expected.ts';
import { AT_ONCE_MS, untilFree, untilQuiet } from '../harness/rest.ts';
import { sharedStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const DEADLINE_MS = 1_000;
const headers = { 'x-gogrid-deadline-secs': String(DEADLINE_MS / 1000) };
const ENDLESS = 'words=100000';

const shared = sharedStage('deadline', async (stage) => ({
  mesh: await stage.mesh([{}, { engine: { tokensPerSecond: 60 } }]),
}));

describe.each(WAYS)('%s', (way) => {
  /** Asks for an endless answer with a deadline; returns the refusal, when it came, and what history says of the job. */
  const askInVain = async () => {
    const { mesh, stage } = shared();
    const node = mesh.node(0);
    const before = new Set((await node.jobs()).map(({ id }) => id));
    const askedAt = Date.now();
    const refusal = await refusalOf(startAsking(node, way, { content: `${stage.random.word(8)} ${ENDLESS}`, headers }));
    const endedAt = Date.now();
    expect(endedAt - askedAt).toBeGreaterThan(DEADLINE_MS - 50);
    expect(endedAt - askedAt).toBeLessThan(DEADLINE_MS + 2 * AT_ONCE_MS);
    expect(refusal.message).toMatch(/within 1 s/);
    const record = (await node.jobs()).find(({ id }) => !before.has(id));
    expect(record).toMatchObject({ state: 'expired', reason: 'deadline_exceeded' });
    return { refusal, endedAt };
  };

  test('a job that waits expires, and the engine never sees it (G81)', async () => {
    const { mesh } = shared();
    const running = startAsking(mesh.node(0), 'openai streamed', { content: ENDLESS });
    onTestFinished(() => running.hangUp());
    await until(() => running.heard.pieces > 0, { what: 'a job to run' });
    const before = await generations(mesh.engine(1));
    const { refusal } = await askInVain();
    expect(refusal).toMatchObject({ status: 504, retryAfter: null });
    await until(async () => (await mesh.node(1).status()).queue.depth === 0, {
      what: 'its place in the queue to be free',
      within: AT_ONCE_MS,
    });
    running.hangUp();
    await untilFree(mesh, 1);
    await untilQuiet(mesh, 0);
    expect(await generations(mesh.engine(1))).toHaveLength(before.length);
  });

  test('a job that runs is stopped', async () => {
    const { mesh } = shared();
    const { refusal, endedAt } = await askInVain();
    // An answer that has begun has its status already: the error is in the stream.
    expect(refusal.status).toBe(way.endsWith('streamed') ? 200 : 504);
    await untilFree(mesh, 1);
    const call = (await generations(mesh.engine(1))).at(-1);
    expect(call).toMatchObject({ aborted: true });
    expect((call?.endedAt ?? 0) - endedAt).toBeLessThan(AT_ONCE_MS);
  });
});
