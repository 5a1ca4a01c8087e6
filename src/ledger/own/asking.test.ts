import { afterEach, describe, expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import type { WitnessAnswer, WitnessAsk } from '../../protocol/ledger.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { IN_TURN } from '../../testing/ledger/small-ledger-mesh.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { hexOf } from '../entries/fields.ts';
import { Ingest } from '../intake/ingest.ts';
import { WitnessAsker } from './asking.ts';

const mesh = meshOf({ witnesses: 4 });
const quiet = new GoGridError({ code: 'peer_unreachable', message: 'it is not there' });
const ends: (() => Promise<void>)[] = [];
afterEach(() => Promise.all(ends.splice(0).map((end) => end())));

/** The founder, and witnesses that answer as a test says. */
async function asking(answer: (witness: string, ask: WitnessAsk) => WitnessAnswer, self = FOUNDER) {
  const clock = new VirtualClock();
  const store = new MemoryLedgerStore();
  const ingest = await Ingest.load(
    { mesh },
    { store, clock, log: silentLogger, codec: IN_TURN, pause: async () => {} },
  );
  const asked: { at: number; witness: string; ids: string[] }[] = [];
  const nameOf = (node: string) =>
    ['W1', 'W2', 'W3', 'W4'].find((name) => nodeIdOf(account(name).signer.publicKey) === node) ?? '?';
  const asker = new WitnessAsker(
    { mesh, self: account(self).id },
    {
      ingest,
      clock,
      witness: {
        ask: async (node, ask) => {
          const witness = nameOf(node);
          asked.push({
            at: clock.elapsed(),
            witness,
            ids: ask.type === 'attest' ? ask.names.map(([, , id]) => hexOf(id)) : [],
          });
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

const names = (ask: { readonly ids: readonly string[] } | undefined) => ask?.ids.toSorted();

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

  it('is asked for with what it rests on, and the claims before it, which need a certificate each', async () => {
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
    own.push(writer.claim(hold, 5n), writer.transfer('B', 1n));
    await ingest.own(own[2]!);
    await ingest.own(own[3]!);
    await clock.advance(LEDGER.askWitnessAfterMs);
    expect(names(asked[0])).toEqual([own.at(-1), own.at(-2), hold].map((entry) => entry?.id).toSorted());
  });

  it('is asked for the claim before it as long as only the tip is certified', async () => {
    const { clock, ingest, asked, writer } = await asking(() => {
      throw quiet;
    });
    const grant = writer.transfer('B', 50n);
    const b = new Writer(mesh, 'B');
    const [accepted, hold] = [b.accept(grant), b.hold([FOUNDER, 10n])];
    const [claim, tip] = [writer.claim(hold, 5n), writer.transfer('B', 1n)];
    await ingest.own(grant);
    await ingest.take({ entries: [accepted.sealed, hold.sealed] }, 'a peer');
    await ingest.own(claim);
    await ingest.own(tip);
    const certificates = [grant, accepted, hold, tip].flatMap((entry) => certify(mesh, entry));
    await ingest.take({ attestations: certificates.map(({ sealed }) => sealed) }, 'a peer');
    expect(ingest.ledger.status(tip)).toBe('certified');
    await clock.advance(LEDGER.askWitnessAfterMs);
    expect(names(asked[0])).toEqual([claim.id]);
    await ingest.take({ attestations: certify(mesh, claim).map(({ sealed }) => sealed) }, 'a peer');
    expect(ingest.ledger.status(tip)).toBe('final');
    const before = asked.length;
    await clock.advance(600_000);
    expect(asked).toHaveLength(before);
  });
});

describe('what others wrote', () => {
  it('is asked for when the own money rests on it, also on what it names, and else not', async () => {
    const founder = new Writer(mesh, FOUNDER);
    const grant = founder.transfer('B', 500n);
    const b = new Writer(mesh, 'B');
    const accepted = b.accept(grant);
    const toA = b.transfer('A', 100n);
    const { clock, ingest, asked } = await asking(
      (witness) => ({
        type: 'attestations',
        attestations: [grant, toA].map((entry) => Uint8Array.from(attest(mesh, witness, entry).sealed)),
      }),
      'A',
    );
    const others = [new Writer(mesh, 'C'), founder.transfer('C', 1n)] as const;
    const unrelated = others[0].accept(others[1]);
    await ingest.take({ entries: [grant, accepted, toA, others[1], unrelated].map(({ sealed }) => sealed) }, 'a peer');
    await clock.advance(LEDGER.askWitnessAfterMs);
    expect(names(asked[0])).toEqual([grant.id, toA.id].toSorted());
    expect(ingest.ledger.status(toA)).toBe('final');
    const before = asked.length;
    await clock.advance(600_000);
    expect(asked).toHaveLength(before);
  });

  it('is asked for when it is a fork that nobody has decided: a quorum may have, and its votes were lost', async () => {
    const one = new Writer(mesh, FOUNDER).transfer('A', 1n);
    const other = new Writer(mesh, FOUNDER).transfer('B', 1n);
    const signed = (witness: string) => (witness === 'W4' ? other : one);
    const { clock, ingest, asked } = await asking(
      (witness) => ({
        type: 'attestations',
        attestations: [Uint8Array.from(attest(mesh, witness, signed(witness)).sealed)],
      }),
      'D',
    );
    await ingest.take({ entries: [one.sealed, other.sealed] }, 'a peer');
    await ingest.take({ attestations: [attest(mesh, 'W1', one).sealed] }, 'a peer');
    expect(ingest.ledger.status(one)).toBe('fallen');
    await clock.advance(LEDGER.askWitnessAfterMs - 1);
    expect(asked).toEqual([]);
    await clock.advance(1 + LEDGER.askForkSpreadMs);
    expect(names(asked[0])).toEqual([one.id, other.id].toSorted());
    expect(ingest.ledger.status(one)).toBe('final');
  });

  it('is asked for in bounded questions, one after the other', async () => {
    const { clock, ingest, asked } = await asking(() => {
      throw quiet;
    }, 'D');
    const founder = new Writer(mesh, FOUNDER);
    const names = Array.from({ length: 300 }, (_, index) => `fork ${index}`);
    const grants = names.map((name) => founder.transfer(name, 1n));
    await ingest.take({ entries: grants.map(({ sealed }) => sealed) }, 'a peer');
    const sides = names.flatMap((name, index) => {
      const accept = new Writer(mesh, name).accept(grants[index]!);
      const second = new Writer(mesh, name, { behind: accept });
      return [accept, second.transfer('A', 1n), second.behind(accept).transfer('B', 1n)];
    });
    await ingest.take({ entries: sides.map(({ sealed }) => sealed) }, 'a peer');
    expect(ingest.ledger.forks()).toHaveLength(300);
    await clock.advance(LEDGER.askWitnessAfterMs + LEDGER.askForkSpreadMs + 10_000);
    const first = asked.filter(({ witness }) => witness === 'W1').slice(0, 2);
    expect(first.map((ask) => ask.ids.length)).toEqual([500, 100]);
    expect(first[1]!.at - first[0]!.at).toBe(LEDGER.askWitnessEveryMs);
    expect(new Set(first.flatMap((ask) => ask.ids)).size).toBe(600);
  });
});
