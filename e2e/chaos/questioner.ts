/** A client that asks one question after the other, by one way, and compares every answer word by word. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Asking, jobOf, startAsking, type Way } from '../harness/asking.ts';
import { answerTo } from '../harness/expected.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import type { Random } from '../harness/random.ts';
import { type Asked, HANGING } from './judge.ts';

/** Longer than a job may wait (`worker.max_wait_secs`), be handed on, and run. */
const HANGING_MS = 120_000;

/** Asks one question to its end, whatever that is; never throws. */
export async function askOnce(node: NodeProcess, way: Way, content: string): Promise<Asked> {
  const arrivals: number[] = [];
  const askedAt = Date.now();
  const asking = startAsking(node, way, { content, onPiece: () => arrivals.push(Date.now()) });
  const error = await endOf(asking);
  const { text, status, headers } = asking.heard;
  return {
    way,
    content,
    expected: answerTo(content),
    askedAt,
    text,
    arrivals,
    status,
    retryAfter: headers?.get('retry-after') ?? null,
    error,
    job: await recordOf(node, asking),
  };
}

/** Some words and a length; unlike any other question of the run. */
export function question(random: Random, shortest: number, longest: number): string {
  return `${random.word(10)} words=${random.int(shortest, longest)}`;
}

async function endOf(asking: Asking): Promise<string | undefined> {
  const patience = new AbortController();
  const late = sleep(HANGING_MS, HANGING, { signal: patience.signal }).catch(() => HANGING);
  const ended = asking.ended.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
  const error = await Promise.race([ended, late]);
  patience.abort();
  if (error === HANGING) asking.hangUp();
  return error;
}

async function recordOf(node: NodeProcess, { heard }: Asking): Promise<Asked['job']> {
  const id = jobOf(heard);
  // A node that does not answer shows as an answer without a record.
  return id === undefined ? undefined : node.job(id).catch(() => undefined);
}
