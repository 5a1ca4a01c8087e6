/** The ledger on a disk that gives back other bytes than were written. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import type { DamageLine } from '../testing/ledger/damaging-process.ts';

vi.setConfig({ testTimeout: 60_000 });

const SEEDS = 16;
const SCRIPT = fileURLToPath(new URL('../testing/ledger/damaging-process.ts', import.meta.url));

/** Ends early when the process dies. */
async function linesOf(folder: string, first: number, seeds: number): Promise<DamageLine[]> {
  const child = spawn(process.execPath, [SCRIPT, JSON.stringify({ folder, first, seeds })], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines: DamageLine[] = [];
  for await (const text of createInterface({ input: child.stdout })) lines.push(JSON.parse(text) as DamageLine);
  return lines;
}

it('nothing that was not written passes for an entry, and what is damaged or missing can be fetched again', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gogrid-damage-'));
  const begin = Math.floor(Math.random() * 2 ** 31);
  const ends = { whole: 0, mended: 0, refused: 0, wrong: 0, died: 0 };
  try {
    for (let seed = begin; seed < begin + SEEDS; ) {
      const lines = await linesOf(folder, seed, begin + SEEDS - seed);
      for (const { end, seed: of, why } of lines) {
        expect(end, `seed ${of}: ${why}`).not.toBe('wrong');
        ends[end]++;
      }
      seed += lines.length;
      if (seed < begin + SEEDS) {
        // LevelDB has an assertion here and there about its own files: rare, and nothing was read.
        ends.died++;
        seed++;
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  expect(ends.mended, JSON.stringify(ends)).toBeGreaterThan(SEEDS / 8);
  expect(ends.refused + ends.died, JSON.stringify(ends)).toBeLessThan(SEEDS / 3);
});
