import { expect, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { DATABASE } from '../limits/program.ts';
import { errorOf } from '../testing/failure.ts';
import { GroupCommit } from './group-commit.ts';

/** Writes that end when they are told to. */
function slowDisk() {
  const writes: { changes: readonly number[]; durable: boolean; end: PromiseWithResolvers<void> }[] = [];
  const commits = new GroupCommit<number>((changes, durable) => {
    const end = Promise.withResolvers<void>();
    writes.push({ changes, durable, end });
    return end.promise;
  });
  return { writes, commits };
}

it('what waits goes together up to a bound, in its order, and what was committed together stays together', async () => {
  const { writes, commits } = slowDisk();
  const half = DATABASE.maxGroupChanges / 2;
  const all = [[0], [1, 2], Array(half).fill(3), Array(half).fill(4), Array(3 * half).fill(5), [6]];
  const done = all.map((changes, n) => commits.commit(changes, n === 1));
  for (let n = 0; n < 5; n++) {
    await expect.poll(() => writes.length).toBe(n + 1);
    writes[n]?.end.resolve();
  }
  await Promise.all(done);
  const groups = writes.map(({ changes, durable }) => [[...new Set(changes)], changes.length, durable]);
  expect(groups).toEqual([
    [[0], 1, false],
    [[1, 2, 3], 2 + half, true],
    [[4], half, false],
    [[5], 3 * half, false],
    [[6], 1, false],
  ]);
});

it('a failed write is told to those whose changes it held, and the next goes on', async () => {
  const { writes, commits } = slowDisk();
  const [first, second, third] = [1, 2, 3].map((n) => commits.commit([n], true)) as [
    Promise<void>,
    Promise<void>,
    Promise<void>,
  ];
  const error = new GoGridError({ code: 'disk_full', message: 'full' });
  writes[0]?.end.resolve();
  await first;
  writes[1]?.end.reject(error);
  expect(await errorOf(second)).toBe(error);
  expect(await errorOf(third)).toBe(error);
  const fourth = commits.commit([4], false);
  await expect.poll(() => writes.length).toBe(3);
  writes[2]?.end.resolve();
  await fourth;
  await commits.idle();
});
