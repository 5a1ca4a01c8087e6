/** What the node takes from a process: no more than it gave credit for. */

import { expect, it, vi } from 'vitest';
import { EMBEDDED } from '../../limits/engine.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { FromProcess } from './messages.ts';
import { ProcessRun } from './process-run.ts';

const chunk: FromProcess = { type: 'chunk', id: 1, tokens: 1, text: 'so' };
const vectors: FromProcess = { type: 'vectors', id: 1, dimensions: 1, data: new Uint8Array(4) };
const progress: FromProcess = { type: 'progress', id: 1, phase: 'decoding' };

function newRun() {
  const deps = { credit: vi.fn(), cancel: vi.fn(), kill: vi.fn(), rubbish: vi.fn(), clock: new VirtualClock() };
  return { run: new ProcessRun(deps), ...deps };
}

it.each([
  ['a piece', chunk, EMBEDDED.creditChunks + 1],
  ['vectors', vectors, EMBEDDED.creditChunks + 1],
  ['a sign of progress', progress, EMBEDDED.maxQueuedProgress],
])('takes no more of %s than was asked for', async (_what, message, most) => {
  const { run, rubbish } = newRun();
  for (let count = 0; count < most; count++) run.hear(message);
  expect(rubbish).not.toHaveBeenCalled();
  run.hear(message);
  expect(rubbish).toHaveBeenCalledTimes(1);
});

it('takes any number when each was taken from it before the next', async () => {
  const { run, rubbish, credit } = newRun();
  for (let count = 0; count < 100; count++) {
    run.hear(chunk);
    run.hear(progress);
    await run.next();
    await run.next();
  }
  expect(rubbish).not.toHaveBeenCalled();
  expect(credit).toHaveBeenCalledTimes(100);
});

it('keeps nothing of a call that was cancelled, and counts it all the same', () => {
  const { run, rubbish } = newRun();
  run.cancel();
  for (let count = 0; count <= EMBEDDED.creditChunks; count++) run.hear(chunk);
  expect(rubbish).not.toHaveBeenCalled();
  run.hear(chunk);
  expect(rubbish).toHaveBeenCalledTimes(1);
});
