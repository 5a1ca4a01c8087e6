/** The numbers of this node's profiles and beats, of which the database keeps one that none said so far exceeds. */

import { Numbers } from '../capabilities/numbers.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Database } from './database.ts';

const KEY = 'announced/number';

/** Resolves when the first of them may be said; also when the disk is full, since a node that is heard has to say so. */
export async function openNumbers(
  database: Pick<Database, 'get' | 'put'>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<Numbers> {
  const text = await database.get(KEY);
  const kept = text === undefined || !/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)) ? 0 : Number(text);
  const keep = async (number: number) => {
    try {
      // A machine that loses its power is the one that may wake up with a wrong clock.
      await database.put(KEY, String(number), { sync: true });
    } catch (error) {
      log.warn({ error }, 'the number of the next beats could not be written down');
      throw error;
    }
  };
  const numbers = new Numbers(kept, { clock, keep });
  await numbers.keepAhead();
  return numbers;
}
