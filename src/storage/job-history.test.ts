import { describe, expect, test } from 'vitest';
import type { JobRecord } from '../jobs/record.ts';
import { JOB } from '../limits/jobs.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { smallDatabase } from '../testing/small-database.ts';
import { openDatabase } from './database.ts';
import { LevelJobHistory } from './job-history.ts';

const small = smallDatabase();

function record(n: number, changes: Partial<JobRecord> = {}): JobRecord {
  return {
    id: `job-${n}`,
    kind: 'chat',
    direction: 'out',
    state: 'completed',
    lane: 'paid',
    privacy: 'mesh',
    model: 'tiny:latest',
    requester: 'me',
    provider: 'peer',
    attempts: [],
    seenBy: [],
    decision: null,
    reason: null,
    tokensIn: 1,
    tokensOut: 2,
    usageEstimated: false,
    costMicrocredits: '0',
    createdAt: 1_000 + n,
    firstTokenAt: null,
    endedAt: 2_000,
    tokensPerSecond: null,
    ...changes,
  };
}

function reopened(): Promise<LevelJobHistory> {
  return LevelJobHistory.open(small.database, silentLogger, 5_000);
}

describe('job history', () => {
  test('outlives a restart, newest first (G58, G59)', async () => {
    const history = await reopened();
    for (let n = 0; n < 5; n++) history.put(record(n));
    await history.flushed();
    const { jobs, total } = await (await reopened()).list(3);
    expect(total).toBe(5);
    expect(jobs.map((job) => job.id)).toEqual(['job-4', 'job-3', 'job-2']);
  });

  test('reads what an earlier version wrote', async () => {
    const { privacy: _p, seenBy: _s, decision: _d, ...older } = record(1);
    await small.database.put('job/00000000001001/job-1/', JSON.stringify(older));
    expect(await (await reopened()).get('job-1')).toEqual({ ...older, privacy: null, seenBy: [], decision: null });
  });

  test.each(['queued', 'placing', 'running', 'handing-over'] as const)(
    'ends what a crash interrupted: %s',
    async (alive) => {
      const history = await reopened();
      const attempt = {
        provider: 'node',
        startedAt: 1,
        endedAt: null,
        fromToken: 0,
        toToken: 0,
        reason: null,
        digest: null,
      };
      history.put(record(1, { state: alive, endedAt: null, attempts: [attempt] }));
      for (const state of ['placing', 'running'] as const) {
        history.put(record(2, { state, endedAt: null }));
        await history.flushed();
      }
      history.put(record(2));
      await history.flushed();
      const after = await reopened();
      expect(await after.get('job-1')).toMatchObject({
        state: 'failed',
        reason: 'interrupted',
        endedAt: 5_000,
        attempts: [{ ...attempt, endedAt: 5_000, reason: 'interrupted' }],
      });
      expect(await after.get('job-2')).toMatchObject({ state: 'completed' });
      expect((await after.list(10)).total).toBe(2);
    },
  );

  test("a peer's job with the id of ours does not hide it", async () => {
    const history = await reopened();
    history.put(record(1));
    history.put(record(1, { direction: 'in', requester: 'mallory', createdAt: 9_000, model: 'other:latest' }));
    expect(await history.get('job-1')).toMatchObject({ direction: 'out' });
    expect(await (await reopened()).get('job-1')).toMatchObject({ direction: 'out' });
  });

  test('keeps a bounded number', async () => {
    const history = await reopened();
    for (let n = 0; n < JOB.maxHistory + 10; n++) history.put(record(n));
    const { total } = await history.list(1);
    expect(total).toBe(JOB.maxHistory);
    expect(await history.get('job-3')).toBeUndefined();
  });

  test("keeps this node's own records however many jobs peers send", async () => {
    const history = await reopened();
    history.put(record(0));
    for (let n = 1; n <= JOB.maxHistory + 10; n++) history.put(record(n, { direction: 'in', requester: 'mallory' }));
    history.put(record(JOB.maxHistory + 20));
    expect(await history.get('job-0')).toMatchObject({ direction: 'out' });
    expect(await history.get('job-10')).toBeUndefined();
    const { jobs, total } = await history.list(3);
    expect(total).toBe(JOB.maxHistory + 2);
    expect(jobs.map(({ id }) => id)).toEqual([20, 10, 9].map((n) => `job-${JOB.maxHistory + n}`));
  });

  test('a second process is told who is in the way', async () => {
    await expect(openDatabase(small.folder)).rejects.toMatchObject({ code: 'home_in_use' });
  });
});
