import { afterEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import type { WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, attest, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { Ingest } from '../intake/ingest.ts';
import { WitnessAsker } from './asking.ts';

const mesh = meshOf({ witnesses: 4 });
const quiet = new GoGridError({ code: 'peer_unreachable', message: 'it is not there' });
const ends: (() => Promise<void>)[] = [];
afterEach(() => Promise.all(ends.splice(0).map((end) => end())));

/** The founder, and witnesses that answer as a test says. */
async function asking(answer: (witness: string, ask: WitnessAsk) => WitnessAnswer) {
  const clock = new VirtualClock();
  const store = new MemoryLedgerStore();
  const ingest = await Ingest.load({ mesh }, { store, clock, log: silentLogger, pause: async () => {} });
  const asked: { at: number; witness: string; names: number }[] = [];
  const nameOf = (node: string) =>
    ['W1', 'W2', 'W3', 'W4'].find((name) => nodeIdOf(account(name).signer.publicKey) === node) ?? '?';
  const asker = new WitnessAsker(
    { mesh, self: account(FOUNDER).id },
    {
      ingest,
      clock,
      witness: {
        ask: async (node, ask) => {
          const witness = nameOf(node);
          asked.push({ at: clock.elapsed(), witness, names: ask.type === 'attest' ? ask.names.length : 0 });
          return answer(witness, ask);
        },
      },
    },
  );
  asker.start();
  ends.push(async () => {
    await asker.stop();
    await ingest.stop();
  });
  return { clock, ingest, asked, writer: new Writer(mesh, FOUNDER) };
}

describe('an own tip that is not certified', () => {
  it('is asked for after five seconds, of every witness, and no more once it is', async () => {
    let tip = new Writer(mesh, FOUNDER).transfer('A', 1n);
    const { clock, ingest, asked, writer } = await asking((witness) => ({
      type: 'attestations',
      attestations: [Uint8Array.from(attest(mesh, witness, tip).sealed)],
    }));
    tip = writer.transfer('A', 1n);
    await ingest.own(tip);
    await clock.advance(LEDGER.askWitnessAfterMs - 1);
    expect(asked).toEqual([]);
    await clock.advance(1);
    expect(asked.map(({ witness }) => witness)).toEqual(['W1', 'W2', 'W3', 'W4']);
    expect(ingest.ledger.status(tip)).toBe('final');
    await clock.advance(600_000);
    expect(asked).toHaveLength(4);
  });

  it('is asked for less and less often while nobody answers, and soon again when there is a new one', async () => {
    const { clock, ingest, asked, writer } = await asking(() => {
      throw quiet;
    });
    await ingest.own(writer.transfer('A', 1n));
    await clock.advance(200_000);
    const times = () => [...new Set(asked.map(({ at }) => at))];
    expect(times()).toEqual([5_000, 15_000, 35_000, 75_000, 135_000, 195_000]);
    await ingest.own(writer.transfer('A', 2n));
    await clock.advance(LEDGER.askWitnessAfterMs);
    expect(times().at(-1)).toBe(205_000);
  });

  it('is asked for with the claims before it, which need a certificate each', async () => {
    const { clock, ingest, asked, writer } = await asking(() => {
      throw quiet;
    });
    const first = writer.transfer('B', 50n);
    const b = new Writer(mesh, 'B');
    const own = [first, writer.transfer('B', 1n)];
    await ingest.own(own[0]!);
    await ingest.take({ entries: [b.accept(first).sealed] }, 'a peer');
    const hold = b.hold([FOUNDER, 10n]);
    await ingest.take({ entries: [hold.sealed] }, 'a peer');
    await ingest.own(own[1]!);
    await ingest.own(writer.claim(hold, 5n));
    await ingest.own(writer.transfer('B', 1n));
    await clock.advance(LEDGER.askWitnessAfterMs);
    expect(asked[0]?.names).toBe(2);
  });
});
