/** What a provider has to do, for whoever looks: its beat, its status page, routing. */

import type { FairQueue } from './queue/fair-queue.ts';
import type { Lane } from './queue/lanes.ts';

/** As it is at every look. */
export interface ProviderLoad {
  /** Jobs that wait. */
  readonly depth: number;
  readonly running: number;
  readonly slots: number;
  readonly room: number;
  /** Of those that wait. */
  readonly lanes: Readonly<Record<Lane, number>>;
  /** Milliseconds that a peer's job would wait if it came now. */
  readonly estimateMs: number;
}

/** One object for all who look, and they look at every job. */
export function loadOf(queue: FairQueue): ProviderLoad {
  const { slots, room } = queue.options;
  return {
    slots,
    room,
    get depth() {
      return queue.depth;
    },
    get running() {
      return queue.running;
    },
    get lanes() {
      return { owner: queue.waitingIn('owner'), paid: queue.waitingIn('paid'), free: queue.waitingIn('free') };
    },
    get estimateMs() {
      return queue.estimateFor({ lane: 'paid', account: '' });
    },
  };
}
