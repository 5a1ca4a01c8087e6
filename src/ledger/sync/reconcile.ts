/**
 * One sync with one peer, from top to bottom: are the ledgers equal -> in which groups do they differ -> which accounts -> their
 * chains, certificates and proofs -> what is still missing by name. Everything taken in stays, so a sync that is cut off goes on
 * where it was the next time.
 */

import { LEDGER } from '../../limits/ledger.ts';
import type { LedgerLine } from '../../protocol/ledger.ts';
import { bucketOf } from '../books/lines.ts';
import type { AccountId, EntryName, LedgerMesh } from '../entries/entry.ts';
import { fromHex, hexOf, wireNameOf } from '../entries/fields.ts';
import type { Ingest } from '../intake/ingest.ts';
import type { LedgerStore } from '../ports.ts';
import { askCoverOf, Pull } from './pull.ts';
import { EndOfTurn, type PeerSession } from './session.ts';
import { type Lack, lackOf, readLine } from './sync-plan.ts';

export interface ReconcileDeps {
  readonly ingest: Ingest;
  readonly store: Pick<LedgerStore, 'idsAt'>;
}

export class Reconcile {
  readonly #mesh: Pick<LedgerMesh, 'networkId'>;
  readonly #peer: PeerSession;
  readonly #deps: ReconcileDeps;
  #linesRead = 0;

  constructor(mesh: Pick<LedgerMesh, 'networkId'>, peer: PeerSession, deps: ReconcileDeps) {
    this.#mesh = mesh;
    this.#peer = peer;
    this.#deps = deps;
  }

  /** @returns whether the ledgers agreed from the beginning @throws GoGridError, EndOfTurn as `PeerSession` does */
  async run(): Promise<boolean> {
    const { root } = await this.#peer.ask({ type: 'root' });
    const isEqual = same(root, this.#deps.ingest.ledger.root());
    if (!isEqual) {
      const { hashes } = await this.#peer.ask({ type: 'buckets' });
      if (hashes.length !== LEDGER.buckets) this.#peer.fail('hashes of other groups than there are');
      const own = this.#deps.ingest.ledger.bucketHashes();
      const differing = hashes.flatMap((hash, bucket) => (same(hash, own[bucket]) ? [] : [bucket]));
      await this.#oneAfterTheOther([() => this.#lines(differing), () => this.#names()]);
    } else await this.#names();
    return isEqual;
  }

  /** One author's chain, as far as the peer says it goes. */
  async chain(author: AccountId, count: number): Promise<void> {
    const pull = new Pull(this.#peer, this.#deps.ingest);
    pull.add(author, (this.#deps.ingest.ledger.tip(author)?.sequence ?? -1) + 1, count);
    await pull.run();
    await this.#names();
  }

  /** The accounts of these groups, a page at a time: what one page shows is fetched before the next is asked for. */
  async #lines(differing: readonly number[]): Promise<void> {
    let buckets = differing;
    let after: Uint8Array | undefined;
    while (buckets.length > 0) {
      const { lines, more } = await this.#peer.ask({ type: 'lines', buckets: [...buckets], ...(after && { after }) });
      this.#expectOrder(lines, buckets, after);
      await this.#bring(await this.#lacks(lines));
      const last = lines.at(-1)?.[0];
      if (!more) return;
      if (last === undefined) return this.#peer.fail('an answer that says there is more, and has nothing');
      after = last;
      buckets = buckets.filter((bucket) => bucket >= bucketOf(hexOf(last)));
    }
  }

  /** A peer that makes up accounts without end is stopped by their number; one that repeats them by their order. */
  #expectOrder(lines: readonly LedgerLine[], buckets: readonly number[], after: Uint8Array | undefined): void {
    this.#linesRead += lines.length;
    if (this.#linesRead > LEDGER.maxLinesPerSync) this.#peer.fail('more accounts than there can be');
    let before = after;
    for (const [author] of lines) {
      const isBehind = before === undefined || Buffer.compare(author, before) > 0;
      if (!isBehind || !buckets.includes(bucketOf(hexOf(author)))) this.#peer.fail('lines that were not asked for');
      before = author;
    }
  }

  async #lacks(lines: readonly LedgerLine[]): Promise<Lack[]> {
    const { ledger } = this.#deps.ingest;
    const { networkId } = this.#mesh;
    const own = new Map<AccountId, LedgerLine>();
    for (const bucket of new Set(lines.map(([author]) => bucketOf(hexOf(author))))) {
      for (const line of ledger.lines(bucket)) own.set(hexOf(line[0]), line);
    }
    const lacks: Lack[] = [];
    for (const line of lines) {
      const ours = own.get(hexOf(line[0]));
      const lack = lackOf(readLine(line, networkId), ours && readLine(ours, networkId));
      if (lack !== undefined) lacks.push(lack);
    }
    return lacks;
  }

  async #bring(lacks: readonly Lack[]): Promise<void> {
    const certificates = lacks.flatMap(({ author, certificatesFrom: from }) =>
      from === undefined ? [] : [[author, from] as const],
    );
    await this.#oneAfterTheOther([
      async () => certificates.push(...(await this.#chains(lacks))),
      () => this.#certificates(certificates),
      async () =>
        this.#certificates(await this.#proofs(lacks.filter(({ proof }) => proof).map(({ author }) => author))),
    ]);
  }

  /**
   * One that ends because its answers brought nothing does not keep the next ones from what they may bring; in a turn that is over
   * none of them gets any further.
   */
  async #oneAfterTheOther(parts: readonly (() => Promise<unknown>)[]): Promise<void> {
    let ended: EndOfTurn | undefined;
    for (const part of parts) {
      try {
        await part();
      } catch (thrown) {
        if (!(thrown instanceof EndOfTurn)) throw thrown;
        ended = thrown;
      }
    }
    if (ended !== undefined) throw ended;
  }

  /** @returns where the certificates begin of those that stand on another branch at the peer */
  async #chains(lacks: readonly Lack[]): Promise<From[]> {
    const { ledger } = this.#deps.ingest;
    const pull = new Pull(this.#peer, this.#deps.ingest);
    const others: EntryName[] = [];
    const certificates: From[] = [];
    for (const { author, chain, other, otherFrom } of lacks) {
      if (chain !== undefined) pull.add(author, chain.from, chain.count);
      if (other === undefined) continue;
      const { isHere, mayStandApart } = await this.#look(other);
      if (!isHere) others.push(other);
      if (mayStandApart && otherFrom !== undefined) certificates.push([author, otherFrom]);
    }
    // As a rule it is the newest entry alone that differs, however long the way to it is.
    for (let at = 0; at < others.length; at += LEDGER.maxAsked)
      await this.#entries(others.slice(at, at + LEDGER.maxAsked));
    for (const { author, sequence, id } of others) {
      const final = ledger.finalTip(author)?.sequence ?? -1;
      // At a final place there is nothing to learn but that the author signed another entry for it.
      if (sequence > final && ledger.find(id) === undefined) pull.add(author, final + 1, sequence + 1);
    }
    await pull.run();
    return certificates;
  }

  /** Whether an entry is here, and whether it may be of a branch that does not stand here. */
  async #look(other: EntryName): Promise<{ readonly isHere: boolean; readonly mayStandApart: boolean }> {
    const { ingest, store } = this.#deps;
    const status = ingest.ledger.status(other);
    if (ingest.ledger.find(other.id) !== undefined) return { isHere: true, mayStandApart: status === 'fallen' };
    const ids = await store.idsAt(other.author, other.sequence);
    const isHere = ids.includes(other.id);
    return { isHere, mayStandApart: !isHere || ids.length > 1 || status === 'fallen' };
  }

  async #certificates(wanted: readonly From[]): Promise<void> {
    let from = [...wanted];
    while (from.length > 0) {
      const asked = from.slice(0, LEDGER.maxAsked);
      const question = asked.map(([author, sequence]): [Uint8Array, number] => [fromHex(author), sequence]);
      const { attestations, more } = await this.#peer.ask({ type: 'certificates', from: question });
      if (attestations.length > 0) await this.#peer.take({ attestations });
      const last = this.#deps.ingest.readAttestation(attestations.at(-1));
      const at = asked.findIndex(([author]) => author === last?.author);
      if (!more) from = from.slice(asked.length);
      // An account that leads nowhere is left out, and keeps none of those behind it waiting.
      else if (last === undefined || at < 0) from = from.slice(1);
      else if (last.sequence < (asked[at]?.[1] ?? 0)) from = from.slice(at + 1);
      else from = [[last.author, last.sequence + 1], ...from.slice(at + 1)];
    }
  }

  /** @returns the places that are forked: the certificates behind them say what stands, or that witnesses have lied */
  async #proofs(authors: readonly AccountId[]): Promise<From[]> {
    const { ingest } = this.#deps;
    const forked = new Map<AccountId, number>();
    for (let at = 0; at < authors.length; at += PROOFS_AT_ONCE) {
      const asked = authors.slice(at, at + PROOFS_AT_ONCE);
      const { entries } = await this.#peer.ask({ type: 'proofs', authors: asked.map(fromHex) });
      if (entries.length > 0) await this.#peer.take({ entries });
      for (const { value } of entries.map((sealed) => ingest.read(sealed))) {
        if (value !== undefined)
          forked.set(value.author, Math.min(value.sequence, forked.get(value.author) ?? value.sequence));
      }
    }
    return [...forked];
  }

  /** What is certified or waited for, and is not here: also entries that stand nowhere. */
  async #names(): Promise<void> {
    const { ingest } = this.#deps;
    const asked = new Set<string>();
    while (true) {
      const missing = [...ingest.ledger.wantedNames(), ...ingest.waiting.missing(LEDGER.maxAsked), ...ingest.damaged];
      const names = missing.filter(({ id }) => !asked.has(id)).slice(0, LEDGER.maxAsked);
      if (names.length === 0) return;
      for (const { id } of names) asked.add(id);
      if ((await this.#entries(names)) > 0) continue;
      if ((await askCoverOf(names, this.#peer)) === 0) return;
    }
  }

  /** @returns how many came */
  async #entries(names: readonly EntryName[]): Promise<number> {
    if (names.length === 0) return 0;
    const { entries } = await this.#peer.ask({ type: 'entries', names: names.map((name) => [...wireNameOf(name)]) });
    if (entries.length > names.length) this.#peer.fail('more entries than were asked for');
    if (entries.length > 0) await this.#peer.take({ entries });
    return entries.length;
  }
}

/** An account, and the first sequence that is asked for of it. */
type From = readonly [author: AccountId, sequence: number];

/** Two entries each, and at most so many fit an answer. */
const PROOFS_AT_ONCE = 80;

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}
