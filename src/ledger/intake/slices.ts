/** Many things one after the other, without holding up what else this node does. */

import type { Clock } from '../../clock.ts';
import { LEDGER } from '../../limits/ledger.ts';

export interface Slicing<T> {
  readonly clock: Pick<Clock, 'elapsed'>;
  /** Gives the event loop its turn. */
  readonly pause: () => Promise<void>;
  /** Begins on other threads what `each` will need. */
  readonly ahead: (item: T) => Promise<void> | undefined;
  /** False ends it. */
  readonly mayGoOn: () => boolean | Promise<boolean>;
  readonly each: (item: T) => void;
  /** Before each pause, and at the end. */
  readonly between: () => void;
}

export async function inSlices<T>(items: readonly T[], slicing: Slicing<T>): Promise<void> {
  const { clock, pause, ahead, mayGoOn, each, between } = slicing;
  let until = clock.elapsed() + LEDGER.sliceMs;
  for (const [index, item] of items.entries()) {
    if (index % LEDGER.aheadGroup === 0) {
      between();
      await Promise.all(items.slice(index, index + LEDGER.aheadGroup).map(ahead));
      until = clock.elapsed() + LEDGER.sliceMs;
    } else if (clock.elapsed() >= until) {
      between();
      await pause();
      until = clock.elapsed() + LEDGER.sliceMs;
    }
    const goesOn = mayGoOn();
    // Waiting for each item would take longer than the item.
    if (!(typeof goesOn === 'boolean' ? goesOn : await goesOn)) break;
    each(item);
  }
  between();
}
