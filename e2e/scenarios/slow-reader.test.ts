/** A client that does not read: the engine is held back instead of memory being filled, and nothing is lost. */

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { ask, rawPost } from '../harness/clients.ts';
import { answerTo, generations } from '../harness/expected.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { sharedStage } from '../harness/stage.ts';
import { until, untilStill } from '../harness/until.ts';

const MEGABYTE = 1_000_000;
/** An answer of 120 MB, within the context of the model: no stranger gets more of one. */
const LONG = 'words=8000 wide=15000';
/** Sockets hold much of it: the kernel lets one connection on the loopback grow to 30 MB and more. */
const HELD_BYTES = 80 * MEGABYTE;
/** What a node may need in memory for it: windows and buffers, and what the collector has not yet taken away. */
const GROWTH_BYTES = 80 * MEGABYTE;

const shared = sharedStage('slow-reader', async (stage) => ({
  mesh: await stage.mesh([{ engine: {} }, {}]),
}));

/** Bytes of memory that a process has; 0 where the system does not tell. */
async function memoryOf(node: NodeProcess): Promise<number> {
  const status = await readFile(`/proc/${node.pid}/status`, 'utf8').catch(() => '');
  return Number(status.match(/VmRSS:\s+(\d+) kB/)?.[1] ?? 0) * 1024;
}

describe.each([
  ['here', 0],
  ['across the mesh', 1],
] as const)('a slow reader, its job %s,', (_, index) => {
  test('holds the engine back, and gets all in the end', async () => {
    const { mesh, stage } = shared();
    const nodes = mesh.members.map(({ node }) => node);
    const before = await Promise.all(nodes.map(memoryOf));
    const content = `${stage.random.word(8)} ${LONG}`;
    const body = { model: 'words', messages: ask(content), stream: true };
    const { response } = await rawPost(`${mesh.node(index).api}/api/chat`, body);
    const call = async () => (await generations(mesh.engine(0))).at(-1);
    const { value: held } = await untilStill(async () => (await call())?.bytes ?? 0, 700, {
      what: 'the engine to be held back',
    });
    expect(held).toBeGreaterThan(0);
    expect(held).toBeLessThan(HELD_BYTES);
    expect((await call())?.endedAt).toBeNull();
    const grown = (await Promise.all(nodes.map(memoryOf))).map((bytes, at) => bytes - (before[at] ?? 0));
    process.stdout.write(
      `slow reader: engine held after ${megabytes(held)}; nodes grew by ${grown.map(megabytes).join(' and ')}\n`,
    );
    for (const bytes of grown) expect(bytes).toBeLessThan(GROWTH_BYTES);

    let text = '';
    let rest = '';
    for await (const piece of response.setEncoding('utf8')) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) text += JSON.parse(line).message.content;
    }
    expect(text === answerTo(content), 'the answer is whole, word for word').toBe(true);
    await until(async () => (await mesh.engine(0).report()).totals.open === 0, { what: 'the engine to be free' });
    expect(await call()).toMatchObject({ aborted: false, tokens: 8_000 });
    expect((await call())?.bytes).toBeGreaterThan(HELD_BYTES);
  });
});

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(1)} MB`;
}
