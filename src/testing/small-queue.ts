/** A fair queue alone, and jobs for it: for tests of its order. */

import { FairQueue, type FairQueueOptions, type Ticket } from '../jobs/queue/fair-queue.ts';
import { VirtualClock } from './virtual-clock.ts';

let keys = 0;

export function ticket(account: string, changes: Partial<Ticket> = {}): Ticket {
  return {
    key: `job ${keys++}`,
    lane: 'paid',
    account,
    work: 'chat words',
    prior: { ms: 0, outputTokens: 0 },
    inputTokens: 1,
    ...changes,
  };
}

export function queueOf(options: Partial<FairQueueOptions> = {}, clock = new VirtualClock()): FairQueue {
  return new FairQueue({ slots: 1, room: 32, freeJobsPerPeerPerMinute: 6, ...options }, clock);
}
