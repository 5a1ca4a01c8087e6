import { describe, expect, test } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { JobBook } from './book.ts';
import type { JobRecord } from './record.ts';

function bookOf(): JobBook {
  const history = { put: () => {}, get: async () => undefined, list: async () => ({ jobs: [], total: 0 }) };
  return new JobBook({ clock: new VirtualClock(), history, emit: () => {} });
}

function open(book: JobBook, id: string, direction: 'out' | 'in' = 'in') {
  const requester = direction === 'in' ? 'peer' : 'self';
  return book.open({ id, kind: 'chat', direction, model: 'm', requester, lane: 'paid', privacy: null });
}

describe('who sees a prompt', () => {
  test('is on record before it is sent, and is taken back only where nothing was sent', () => {
    const puts: string[] = [];
    const history = {
      put: ({ seenBy }: JobRecord) => puts.push(seenBy.join()),
      get: async () => undefined,
      list: async () => ({ jobs: [], total: 0 }),
    };
    const book = new JobBook({ clock: new VirtualClock(), history, emit: () => {} });
    const job = open(book, 'job', 'out');
    job.seen('kitchen');
    expect(puts.at(-1)).toBe('kitchen');
    const takeBack = job.seen('attic');
    expect(puts.at(-1)).toBe('kitchen,attic');
    takeBack();
    expect(puts.at(-1)).toBe('kitchen');
    // It was sent it before: that it cannot be reached now changes nothing.
    job.seen('kitchen')();
    expect(job.record().seenBy).toEqual(['kitchen']);
  });
});

describe('the book', () => {
  test("remembers this node's last jobs however many peers have sent meanwhile", async () => {
    const book = bookOf();
    open(book, 'own', 'out').end('failed', 'engine_failed');
    for (let i = 0; i <= JOB.maxRecent; i++) open(book, `job ${i}`).end('cancelled', 'cancelled');
    expect(await book.get('own')).toMatchObject({ direction: 'out' });
    expect(await book.get('job 0')).toBeUndefined();
    expect(await book.get(`job ${JOB.maxRecent}`)).toMatchObject({ direction: 'in' });
  });

  test("shows this node's own job where a peer has sent one of the same id", async () => {
    const book = bookOf();
    open(book, 'same', 'out').end('failed', 'engine_failed');
    open(book, 'same');
    expect(await book.get('same')).toMatchObject({ direction: 'out' });
  });

  test('counts a job as cancelled when somebody cancelled it, not when it was given back', () => {
    const book = bookOf();
    for (const reason of ['cancelled', 'preempted', 'shutting_down']) open(book, reason).end('cancelled', reason);
    expect(book.totals()).toMatchObject({ completed: 0, failed: 0, cancelled: 1 });
  });
});
