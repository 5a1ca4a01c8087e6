/** The ledger under a process that is killed, and under a disk that is full. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Promised, runWriter } from '../testing/ledger/killed-writer.ts';
import { randomOf } from '../testing/sim/random.ts';

// Processes take their time to start where others use the machine too.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 30_000 });

const KILLS = 20;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-killed-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it(`of ${KILLS} lives that are killed no promised entry is lost, and the log has no gap and no fork`, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = randomOf(seed, 'kills');
  const promised = new Promised();
  try {
    for (let n = 0; n < KILLS; n++) {
      // Some while they start, and repair what the one before left.
      const killed = random.chance(0.2)
        ? ({ from: 'start', killAfterMs: random.int(50, 500) } as const)
        : ({ from: 'first', killAfterMs: random.int(0, 60) } as const);
      const run = await runWriter(folder, killed);
      expect(run.errors).toBe('');
      promised.take(run);
    }
    expect(await promised.check(folder)).toBeGreaterThanOrEqual(promised.size);
  } catch (thrown) {
    throw new Error(`with seed ${seed}, in ${promised.size} entries`, { cause: thrown });
  }
  // Else it was no test.
  expect(promised.size).toBeGreaterThan(KILLS);
});

it.skipIf(process.platform === 'win32')(
  'a disk that is full for a moment takes nothing back, and the node goes on by itself',
  async () => {
    // No file may be longer than some 50 entries: the log of the database is full then, and a new one has room again.
    const run = await runWriter(folder, { stopAfter: 300, shell: 'ulimit -S -f 2000' });
    expect(run.errors).toBe('');
    const promised = new Promised();
    promised.take(run);
    const failed = run.lines.findIndex(({ said }) => said === 'failed');
    expect(run.lines[failed]).toEqual({ said: 'failed', code: 'disk_full' });
    const after = run.lines.slice(failed).filter(({ said }) => said === 'durable');
    expect(after.length).toBeGreaterThan(20);
    expect(await promised.check(folder)).toBeGreaterThanOrEqual(promised.size);
  },
);
