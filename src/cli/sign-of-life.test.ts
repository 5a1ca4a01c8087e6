import { describe, expect, it } from 'vitest';
import type { Job } from '../contract/control.ts';
import { jobRecord } from '../testing/small-api.ts';
import { smallWorld } from '../testing/small-world.ts';
import type { NodeClient } from './node-client.ts';
import { ownJob, signOfLife, waitsFor } from './sign-of-life.ts';
import { displayWidth } from './text.ts';

const job = (more: Partial<Job> = {}): Job =>
  ({ ...jobRecord(), state: 'running', endedAt: null, createdAt: 100, requester: 'me', ...more }) as Job;

describe('the job of a question', () => {
  it('is the first of that model that was asked here since then and lives', () => {
    const right = job({ id: 'right', model: 'tiny:latest' });
    const jobs = [
      job({ id: 'later', createdAt: 200 }),
      right,
      job({ id: 'older', createdAt: 50 }),
      job({ id: 'over', endedAt: 150 }),
      job({ id: 'theirs', direction: 'in' }),
      job({ id: 'other', model: 'tinyllama:latest' }),
    ];
    expect(ownJob(jobs, 'tiny', 90)?.id).toBe('right');
    expect(ownJob(jobs, 'Tiny', 90)?.id).toBe('right');
    expect(ownJob(jobs, 'tiny:latest', 90)?.id).toBe('right');
    expect(ownJob(jobs, 'tiny', 300)).toBeUndefined();
  });
});

describe('what it waits for', () => {
  it.each<[Partial<Job>, string | undefined, string]>([
    [{ state: 'placing' }, undefined, 'asking the mesh'],
    [{ state: 'queued', waiting: { where: 'queue', ahead: 2 } }, ' on kitchen', 'waiting on kitchen, 2 ahead'],
    [{ state: 'queued' }, ' on kitchen', 'waiting on kitchen'],
    [
      { state: 'queued', waiting: { where: 'queue', ahead: 1, estimateMs: 14_400 } },
      '',
      'waiting, 1 ahead, about 14 s',
    ],
    [
      { state: 'queued', waiting: { where: 'mesh', ahead: 2, estimateMs: 14_000 } },
      undefined,
      'waiting: no machine takes another job of yours now, 2 before it, about 14 s',
    ],
    [
      { state: 'queued', waiting: { where: 'mesh' } },
      ' on kitchen',
      'waiting: no machine takes another job of yours now, it is next',
    ],
    [
      { state: 'running', waiting: { where: 'engine', phase: 'loading' } },
      ' on kitchen',
      'loading tiny:latest on kitchen',
    ],
    [{ state: 'running', waiting: { where: 'engine', phase: 'prefill' } }, '', 'reading the question'],
    [{ state: 'handing-over' }, ' on kitchen', 'moving to another machine'],
  ])('%j', (more, place, text) => {
    expect(waitsFor(job(more), place)).toBe(text);
  });
});

describe('on a terminal', () => {
  const node: NodeClient = {
    api: '',
    ask: async <T>({ path }: { path: string }) =>
      (path.startsWith('/jobs')
        ? {
            jobs: [
              job({ createdAt: 1_700_000_000_000, provider: 'p', waiting: { where: 'engine', phase: 'loading' } }),
            ],
            total: 1,
          }
        : { peerId: 'me', peers: [{ peerId: 'p', name: 'kit\u001bchen' }], away: [] }) as T,
    stream: async () => Promise.reject(new Error('not asked for')),
  };

  it('comes after a moment, is safe, and goes away without a trace', async () => {
    const small = smallWorld([], { columns: 40, env: { NO_COLOR: '1' } });
    const life = signOfLife(small.world, node, 'tiny');
    expect(small.stderr()).toBe('');
    await expect.poll(() => small.stderr()).toBe('\r\u001b[2K…loading tiny:latest on kit�chen');
    life.end();
    const ended = small.stderr();
    expect(ended).toMatch(/\r.\[2K$/);
    life.end();
    expect(small.stderr()).toBe(ended);
  });

  it('fits the terminal by its columns, not by its characters', async () => {
    const small = smallWorld([], { columns: 32, env: { NO_COLOR: '1' } });
    const peer = {
      ...node,
      ask: async <T>({ path }: { path: string }) =>
        (path.startsWith('/jobs')
          ? node.ask({ path })
          : { peerId: 'me', peers: [{ peerId: 'p', name: '台所台所台所' }], away: [] }) as T,
    };
    const life = signOfLife(small.world, peer, 'tiny');
    await expect.poll(() => small.stderr()).not.toBe('');
    life.end();
    const [, shown = ''] = small.stderr().split('\u001b[2K');
    expect(displayWidth(shown.replace('\r', ''))).toBeLessThan(32);
    expect(shown).toContain('台…');
  });

  it('tells a peer that calls itself this machine apart from it', async () => {
    const small = smallWorld([], { columns: 80, env: { NO_COLOR: '1' } });
    const liar = {
      ...node,
      ask: async <T>({ path }: { path: string }) =>
        (path.startsWith('/jobs')
          ? node.ask({ path })
          : { peerId: 'me', peers: [{ peerId: 'p', name: 'This machine' }], away: [] }) as T,
    };
    const life = signOfLife(small.world, liar, 'tiny');
    await expect.poll(() => small.stderr()).toContain('on This machine (p)');
    life.end();
  });

  it('is not for pipes', async () => {
    const small = smallWorld([], {});
    signOfLife(small.world, { ...node, ask: () => Promise.reject(new Error('asked')) }, 'tiny').end();
    expect(small.stderr()).toBe('');
  });
});
