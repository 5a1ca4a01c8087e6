import { describe, expect, it, vi } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { nodeIdOf } from '../../protocol/ids.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { account, attest, certify, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { Attestation, Entry, EntryName } from '../entries/entry.ts';
import { Ingest } from '../intake/ingest.ts';
import { nameOnWire } from '../own/asking.ts';
import { Witness } from './witness.ts';

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;

/** W1 of four witnesses, alone with what a test gives it. */
async function aWitness({
  store = new MemoryLedgerStore(),
  fresh = true,
  clock = new VirtualClock(),
  peers = [] as string[],
  votes = (_peer: string): readonly Attestation[] => [],
} = {}) {
  const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
  const { id: self, signer } = account('W1');
  const ingest = await Ingest.load({ mesh }, { store, clock, log: silentLogger, pause: async () => {} });
  const made: Attestation[] = [];
  ingest.onTaken(({ attestations, from }) => {
    if (from === undefined) made.push(...attestations);
  });
  const synced: string[] = [];
  const witness = new Witness(
    { mesh, self, isFresh: async () => fresh, loneReleaseMs: WEEK_MS },
    {
      signer,
      ingest,
      store,
      link: { peers: () => peers },
      sync: {
        with: async (peer) => {
          synced.push(peer);
          return { failed: undefined, isCut: false };
        },
        votes: async (peer, _witness, each) => {
          await each(votes(peer));
          return { failed: undefined, isCut: false };
        },
      },
      clock,
      log: silentLogger,
    },
  );
  await witness.start();
  // What the one before had on its way to others is written first.
  if (fresh) await clock.advance(LEDGER.attestGatherMs);
  const hear = async (...parts: (Entry | Attestation)[]) => {
    const entries = parts.filter((part) => !('witness' in part)).map(({ sealed }) => sealed);
    const attestations = parts.filter((part) => 'witness' in part).map(({ sealed }) => sealed);
    await ingest.take({ entries, attestations }, 'a peer');
  };
  /** Hears it, and lets the gathering pass. */
  const meet = async (...parts: (Entry | Attestation)[]) => {
    await hear(...parts);
    await clock.advance(2 * LEDGER.attestGatherMs);
  };
  const attested = () => made.map(({ sequence, id }) => [sequence, id] as const);
  const stop = async () => {
    await witness.stop();
    await ingest.stop();
  };
  return { mesh, witness, ingest, store, clock, hear, meet, made, attested, synced, stop };
}

const placesOf = (...entries: Entry[]) => entries.map(({ sequence, id }) => [sequence, id] as const);

describe('a witness', () => {
  it('attests every place in order, gathered, and never twice', async () => {
    const { meet, mesh, made, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const entries = [founder.transfer('A', 1n), founder.transfer('A', 2n), founder.transfer('B', 3n)];
    await meet(...entries);
    expect(attested()).toEqual(placesOf(...entries));
    expect(made.every(({ late }) => !late)).toBe(true);
    await meet(...entries);
    expect(made).toHaveLength(3);
  });

  it('attests nothing at a fork where it has attested nothing', async () => {
    const { meet, mesh, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const first = founder.transfer('A', 1n);
    const [one, other] = [founder.transfer('A', 2n), founder.behind(first).transfer('B', 2n)];
    await meet(first, one, other, founder.transfer('A', 3n));
    expect(attested()).toEqual(placesOf(first));
  });

  it('goes on along the branch that it attested', async () => {
    const { meet, mesh, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const first = founder.transfer('A', 1n);
    await meet(first);
    await meet(new Writer(mesh, FOUNDER).transfer('B', 2n));
    const second = founder.transfer('A', 3n);
    await meet(second);
    expect(attested()).toEqual(placesOf(first, second));
  });

  it('goes on along the branch that a certificate picked, and attests no second id at its place', async () => {
    const { meet, mesh, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const first = founder.transfer('A', 1n);
    await meet(first);
    const liar = new Writer(mesh, FOUNDER);
    const [other, next] = [liar.transfer('B', 2n), liar.transfer('B', 3n)];
    await meet(other, next, ...['W2', 'W3', 'W4'].map((name) => attest(mesh, name, other)));
    expect(attested()).toEqual(placesOf(first, next));
  });

  it('leaves the branch that it attested for the one that a certificate picked, also before that is final', async () => {
    const { meet, mesh, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const [one, two] = [founder.transfer('A', 1n), founder.transfer('A', 2n)];
    const [own, picked] = [new Writer(mesh, 'A').accept(one), new Writer(mesh, 'A').accept(two)];
    await meet(one, two, own);
    const other = new Writer(mesh, 'A', { behind: picked }).transfer('B', 1n);
    const mine = new Writer(mesh, 'A', { behind: own }).transfer('B', 1n);
    await meet(picked, ...['W2', 'W3', 'W4'].map((name) => attest(mesh, name, picked)), mine, other);
    expect(attested()).toEqual(placesOf(one, two, own, other));
  });

  it('at a fork that a certificate decided attests the branch it picked', async () => {
    const { meet, mesh, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const [one, other] = [founder.transfer('A', 1n), new Writer(mesh, FOUNDER).transfer('B', 1n)];
    await meet(one, other);
    expect(attested()).toEqual([]);
    await meet(...['W2', 'W3', 'W4'].map((name) => attest(mesh, name, other)));
    // What is final needs no more of it; what follows does.
    await meet(new Writer(mesh, FOUNDER, { behind: other }).transfer('A', 2n));
    expect(attested().at(-1)?.[0]).toBe(1);
    expect(attested().some(([, id]) => id === one.id)).toBe(false);
  });
});

describe('a release alone', () => {
  /** The founder holds 100 for B; this witness has attested it. */
  async function withHold() {
    const alone = await aWitness();
    const founder = new Writer(alone.mesh, FOUNDER);
    const hold = founder.hold(['B', 100n]);
    await alone.meet(hold);
    return { ...alone, founder, hold, b: new Writer(alone.mesh, 'B') };
  }

  it('is attested seven days after the hold, and holds up what follows until then', async () => {
    const { meet, clock, founder, hold, attested } = await withHold();
    const release = founder.releaseAlone(hold, 10n);
    const after = founder.transfer('A', 1n);
    await meet(release, after);
    await clock.advance(WEEK_MS - 1_000);
    expect(attested()).toEqual(placesOf(hold));
    await clock.advance(2_000);
    expect(attested()).toEqual(placesOf(hold, release, after));
  });

  it('is never attested below a claim that was', async () => {
    const { meet, clock, founder, hold, b, attested } = await withHold();
    const claim = b.claim(hold, 30n);
    await meet(claim);
    await meet(founder.releaseAlone(hold, 29n));
    await clock.advance(2 * WEEK_MS);
    expect(attested()).toEqual(placesOf(hold, claim));
  });

  it('makes the claims above it late, and only those', async () => {
    const { meet, clock, founder, hold, b, made } = await withHold();
    await clock.advance(WEEK_MS);
    const release = founder.releaseAlone(hold, 10n);
    await meet(release);
    const [low, high] = [b.claim(hold, 10n), b.claim(hold, 11n)];
    await meet(low, high);
    expect(made.map(({ id, late }) => [id, late])).toEqual([
      [hold.id, false],
      [release.id, false],
      [low.id, false],
      [high.id, true],
    ]);
  });

  it('needs a witness that has run for a seventh of the time since it started', async () => {
    const { clock, stop, store, founder, hold, witness } = await withHold();
    await clock.advance(WEEK_MS);
    expect(await mayRelease(witness, hold, 0n)).toBe(0);
    await stop();
    const again = await aWitness({ store, clock });
    await clock.advance(LEDGER.attestGatherMs);
    expect(await mayRelease(again.witness, hold, 0n)).toBeCloseTo(DAY_MS / 1_000, -1);
    const release = founder.releaseAlone(hold, 0n);
    await again.meet(release);
    await clock.advance(DAY_MS - 10_000);
    expect(again.attested()).toEqual([]);
    await clock.advance(10_000);
    expect(again.attested()).toEqual(placesOf(release));
  });

  it('can be asked for before it is written', async () => {
    const { meet, hold, b, witness, clock, mesh } = await withHold();
    expect(await mayRelease(witness, hold, 10n)).toBe(WEEK_MS / 1_000);
    await clock.advance(WEEK_MS);
    expect(await mayRelease(witness, hold, 10n)).toBe(0);
    await meet(b.claim(hold, 20n));
    expect(await mayRelease(witness, hold, 10n)).toBeUndefined();
    expect(await mayRelease(witness, hold, 20n)).toBe(0);
    expect(await mayRelease(witness, new Writer(mesh, 'C').hold(['B', 1n]), 0n)).toBeUndefined();
  });
});

async function mayRelease(witness: Witness, hold: EntryName, cumulative: bigint) {
  const name = nameOnWire(hold.author, hold.sequence, hold.id);
  const answer = await witness.answer({ type: 'may-release', hold: name, leg: 0, cumulative });
  return answer.type === 'may-release' ? answer.inSecs : Number.NaN;
}

describe('what it is asked to attest', () => {
  it('it attests at once, and says what it has attested before', async () => {
    const { hear, mesh, witness } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const entries = [founder.transfer('A', 1n), founder.transfer('A', 2n)];
    await hear(...entries);
    const names = [...entries, founder.transfer('A', 3n)].map(({ author, sequence, id }) =>
      nameOnWire(author, sequence, id),
    );
    const answer = await witness.answer({ type: 'attest', names });
    const again = await witness.answer({ type: 'attest', names });
    expect(answer).toEqual(again);
    expect(
      answer.type === 'attestations' && answer.attestations.map((bytes) => Buffer.from(bytes).toString('hex')),
    ).toEqual(entries.map((entry) => Buffer.from(attest(mesh, 'W1', entry).sealed).toString('hex')));
  });
});

describe('a witness that starts again', () => {
  it('knows what it attested as soon as it was on disk', async () => {
    const { meet, mesh, store } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    await meet(founder.transfer('A', 1n));
    const again = await aWitness({ store: store.crash() });
    await again.meet(new Writer(mesh, FOUNDER).transfer('B', 2n));
    expect(again.attested().filter(([sequence]) => sequence === 0)).toEqual([]);
  });

  it('says nothing of a branch beside what it attested, also when that is not here any more', async () => {
    const { meet, mesh, store, stop } = await aWitness();
    await meet(new Writer(mesh, FOUNDER).transfer('A', 1n));
    await stop();
    const onlyNotes = new MemoryLedgerStore();
    for await (const [key, value] of store.notes.list('')) await onlyNotes.notes.put([[key, value]]);
    const again = await aWitness({ store: onlyNotes });
    const liar = new Writer(mesh, FOUNDER);
    await again.meet(liar.transfer('B', 1n), liar.transfer('B', 2n));
    expect(again.attested()).toEqual([]);
  });

  it('waits for a peer, and takes over from it what its key has attested', async () => {
    const peers: string[] = [];
    const { witness, hear, mesh, attested, clock, synced } = await aWitness({ fresh: false, peers });
    const founder = new Writer(mesh, FOUNDER);
    const [first, fork] = [founder.transfer('A', 1n), new Writer(mesh, FOUNDER).transfer('B', 1n)];
    await clock.advance(0);
    expect(witness.state()).toMatchObject({ state: 'starting', reason: 'no peer is connected' });
    await hear(first, attest(mesh, 'W1', first));
    peers.push('a peer');
    witness.peersChanged();
    await clock.advance(0);
    // The other witnesses are not there: they have their time to come.
    expect(witness.state()).toMatchObject({ state: 'starting', reason: expect.stringContaining('not all have said') });
    await clock.advance(LEDGER.askHeadMs);
    expect(witness.state().state).toBe('running');
    expect(synced).toEqual(['a peer']);
    await hear(fork, founder.transfer('A', 2n));
    await clock.advance(LEDGER.attestGatherMs);
    expect(attested().map(([sequence]) => sequence)).toEqual([1]);
  });

  it('takes over from the other witnesses what it attested and no certificate came of', async () => {
    const mesh = meshOf({ witnesses: 4, genesis: 1_000n });
    const founder = new Writer(mesh, FOUNDER);
    const [first, second] = [founder.transfer('A', 1n), founder.transfer('B', 1n)];
    const [other, liar] = [new Writer(mesh, FOUNDER), new Writer(mesh, 'A')];
    const fork = [other.transfer('C', 1n), other.transfer('D', 1n)];
    const own = attest(mesh, 'W1', second);
    const far = liar.accept(first);
    const forged = attest(mesh, 'W1', far, false, false);
    const peers = ['W2', 'W3', 'W4'].map((name) => nodeIdOf(account(name).signer.publicKey));
    const votes = (peer: string) => (peer === peers[0] ? [own, forged] : []);
    const { witness, meet, attested } = await aWitness({ fresh: false, peers, votes });
    await vi.waitFor(() => expect(witness.state().state).toBe('running'));
    await meet(...fork);
    expect(attested()).toEqual([]);
    await meet(first, second, far);
    expect(witness.state().state).toBe('running');
    expect(attested()).toEqual(placesOf(far));
  });

  it('signs again what was on disk and had not left', async () => {
    const { meet, mesh, store, made } = await aWitness();
    const write = store.write.bind(store);
    store.write = (batch, durable) => (batch.attestations?.length ? new Promise(() => {}) : write(batch, durable));
    const first = new Writer(mesh, FOUNDER).transfer('A', 1n);
    await meet(first);
    expect(made).toEqual([]);
    const again = await aWitness({ store: store.crash() });
    await again.clock.advance(0);
    expect(again.attested()).toEqual(placesOf(first));
    const disk = [];
    for await (const { sealed } of again.store.attestations(first.author, 0)) disk.push(Buffer.from(sealed));
    expect(disk).toEqual([Buffer.from(attest(mesh, 'W1', first).sealed)]);
  });
});

describe('a disk that refuses', () => {
  it('until the node stops lets nothing out that is not on record', async () => {
    const { hear, clock, mesh, store, made, stop } = await aWitness();
    store.notes.put = () => Promise.reject(new GoGridError({ code: 'disk_full', message: 'full' }));
    await hear(new Writer(mesh, FOUNDER).transfer('A', 1n));
    await clock.advance(2 * LEDGER.attestGatherMs);
    await stop();
    expect(made).toEqual([]);
  });
});

describe('two processes with one key', () => {
  it('stop attesting when one meets what the other attested', async () => {
    const { meet, mesh, witness, attested } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const first = founder.transfer('A', 1n);
    await meet(first);
    const other = founder.transfer('A', 2n);
    await meet(other, attest(mesh, 'W1', other));
    expect(witness.state()).toMatchObject({ state: 'stopped' });
    await meet(founder.transfer('A', 3n));
    expect(attested()).toEqual(placesOf(first));
  });

  it('do not take the echo of an own attestation for another’s', async () => {
    const { meet, mesh, witness } = await aWitness();
    const founder = new Writer(mesh, FOUNDER);
    const entries = [founder.transfer('A', 1n), founder.transfer('A', 2n)];
    await meet(...entries);
    await meet(...entries.map((entry) => attest(mesh, 'W1', entry)), ...certify(mesh, entries[1]!));
    await meet(...entries.map((entry) => attest(mesh, 'W1', entry)));
    expect(witness.state().state).toBe('running');
  });
});
