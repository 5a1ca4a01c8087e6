/**
 * Wherever a process ends: no log is forked by its own author, no witness attests a place twice, nothing that was acknowledged is
 * lost, nothing is taken back below a signed voucher.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { account, FOUNDER, meshOf } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { type WholeNode, WholeNodes } from '../../testing/ledger/whole-nodes.ts';
import type { Attestation, EntryName } from '../entries/entry.ts';

const NAMES = [FOUNDER, 'B', 'W1'];
const WAIT_MS = 7_000;
const RECEIPT = new Uint8Array(32).fill(3);

const step = fc.oneof(
  fc.record({ type: fc.constant('transfer' as const), who: fc.nat(1), amount: fc.bigInt({ min: 1n, max: 90n }) }),
  fc.record({ type: fc.constant('hold' as const), who: fc.nat(1), amount: fc.bigInt({ min: 1n, max: 90n }) }),
  fc.record({ type: fc.constant('promise' as const), who: fc.nat(1), amount: fc.bigInt({ min: 1n, max: 90n }) }),
  fc.record({ type: fc.constant('claim' as const), who: fc.nat(1), amount: fc.bigInt({ min: 0n, max: 1n }) }),
  fc.record({ type: fc.constant('wait' as const), who: fc.nat(1), amount: fc.bigInt({ min: 1n, max: 3_000n }) }),
  // The machine dies in the middle of its nth next write; of those before it the first few had come to the disk.
  fc.record({
    type: fc.constant('crash' as const),
    who: fc.nat(2),
    amount: fc.bigInt({ min: 0n, max: 5n }),
    kept: fc.nat(3),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A disk that can be told to die in the middle of a write. */
class DyingStore {
  readonly store: MemoryLedgerStore;
  #left = Number.POSITIVE_INFINITY;
  #die = () => {};

  constructor(store: MemoryLedgerStore) {
    this.store = store;
    const write = store.write.bind(store);
    const put = store.notes.put.bind(store.notes);
    store.write = (batch, durable) => this.#dying(() => write(batch, durable));
    store.notes.put = (changes) => this.#dying(() => put(changes));
  }

  dieAt(writes: number, die: () => void): void {
    this.#left = writes;
    this.#die = die;
  }

  async #dying(write: () => Promise<void>): Promise<void> {
    if (--this.#left === -1) {
      this.#die();
      return new Promise(() => {});
    }
    return write();
  }
}

class Scene {
  readonly net = new WholeNodes(meshOf({ witnesses: 1, genesis: 1_000n }), { loneReleaseMs: WAIT_MS });
  readonly nodes: WholeNode[] = [];
  readonly disks: DyingStore[] = [];
  /** Own entries whose promise has resolved. */
  readonly acknowledged: EntryName[] = [];
  /** The highest that was signed of each leg, and received. */
  readonly signed = new Map<string, bigint>();
  readonly received = new Map<string, bigint>();
  readonly attested = new Map<string, Set<string>>();

  async start(index: number, fresh: boolean, left = new MemoryLedgerStore()): Promise<void> {
    const disk = new DyingStore(left);
    this.disks[index] = disk;
    const node = await this.net.start(NAMES[index]!, { fresh, store: disk.store });
    this.nodes[index] = node;
    node.ingest.onTaken(({ attestations }) => {
      for (const attestation of attestations) this.#saw(attestation);
    });
  }

  #saw({ witness, author, sequence, id, late }: Attestation): void {
    const place = `${witness} ${author} ${sequence}`;
    this.attested.set(place, (this.attested.get(place) ?? new Set()).add(`${id} ${late}`));
  }

  async do(action: Step): Promise<void> {
    const { type, who, amount } = action;
    const node = this.nodes[who]!;
    const other = account(NAMES[1 - who] ?? 'B').id;
    const { ledger } = node.ingest;
    if (type === 'transfer') this.#ask(node.author.transfer({ to: other, amount, memo: '' }));
    if (type === 'hold') this.#ask(node.author.hold([{ payee: other, max: amount }]));
    if (type === 'promise') {
      const leg = ledger.openLegsOf(node.self)[0];
      if (leg !== undefined) void this.#promise(node, this.nodes[1 - who]!, leg.hold, amount).catch(() => undefined);
    }
    if (type === 'claim') {
      const voucher = node.vouchers.received()[0];
      if (voucher !== undefined) {
        const { since: _, signature: voucherSignature, ...given } = voucher;
        this.#ask(node.author.claim({ ...given, voucherSignature, last: amount === 1n }));
      }
    }
    if (type === 'wait') await this.net.clock.advance(Number(amount));
    if (type === 'crash') {
      let left: MemoryLedgerStore | undefined;
      const die = () => {
        left ??= this.net.crash(node, action.kept);
        return left;
      };
      this.disks[who]!.dieAt(Number(amount), die);
      for (let waited = 0; left === undefined && waited < 40; waited++) await this.net.clock.advance(100);
      await this.start(who, false, die());
    }
    await this.net.clock.advance(1);
  }

  #ask(entry: Promise<EntryName>): void {
    entry.then(
      (name) => this.acknowledged.push(name),
      () => undefined,
    );
  }

  async #promise(payer: WholeNode, payee: WholeNode, hold: EntryName, cumulative: bigint): Promise<void> {
    await payer.vouchers.mayPromise(hold, 0, cumulative);
    const voucher = { hold, leg: 0, cumulative, receiptHash: RECEIPT };
    const signature = payer.vouchers.sign(voucher);
    raise(this.signed, hold.id, cumulative);
    await payee.vouchers.receive({ ...voucher, signature });
    raise(this.received, hold.id, cumulative);
  }

  /** Everybody lives, hears everybody, and books what is there. */
  async settle(): Promise<void> {
    const digests = () => new Set(this.nodes.map(({ ingest }) => ingest.ledger.digest()));
    const ready = () => this.nodes.every(({ author }) => author.state().state === 'ready');
    await this.net.until(ready);
    await this.net.clock.advance(4 * WAIT_MS);
    await this.net.until(() => digests().size === 1, 120_000);
  }

  check(): void {
    for (const { ingest, author, witness } of this.nodes) {
      const { ledger } = ingest;
      expect(ledger.forks()).toEqual([]);
      expect(author.state().state).toBe('ready');
      expect(witness?.state().state ?? 'running').toBe('running');
      for (const name of this.acknowledged) {
        expect(name.sequence).toBeLessThanOrEqual(ledger.tip(name.author)?.sequence ?? -1);
        expect(['final', 'certified', 'stands', 'unknown']).toContain(ledger.status(name));
      }
      // What was promised and could be booked is booked, or still there to be booked: nothing was taken back below it.
      for (const { hold, leg, max, givenBack } of ledger.openLegsOf(account(FOUNDER).id)) {
        expect(max - givenBack).toBeGreaterThanOrEqual(this.signed.get(hold.id) ?? 0n);
        expect(leg).toBe(0);
      }
    }
    for (const ids of this.attested.values()) expect([...ids]).toHaveLength(1);
  }

  async checkDisks(): Promise<void> {
    for (const { store } of this.nodes) {
      const places = new Map<string, string>();
      for await (const author of store.authors()) {
        for await (const { sequence, id } of store.chain(author, 0)) {
          expect(places.get(`${author} ${sequence}`) ?? id).toBe(id);
          places.set(`${author} ${sequence}`, id);
        }
      }
      for (const name of this.acknowledged) expect(places.get(`${name.author} ${name.sequence}`)).toBe(name.id);
    }
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await this.net.stop(node);
  }
}

function raise(amounts: Map<string, bigint>, key: string, amount: bigint): void {
  if (amount > (amounts.get(key) ?? 0n)) amounts.set(key, amount);
}

describe('a process that ends at any time', { timeout: 60_000 }, () => {
  it('leaves a log, a witness and a journal with which the next one goes on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const scene = new Scene();
        for (const index of NAMES.keys()) await scene.start(index, true);
        for (const action of steps) await scene.do(action);
        await scene.settle();
        scene.check();
        await scene.checkDisks();
        await scene.stop();
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});
