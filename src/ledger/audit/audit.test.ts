/** An export is checked without a node, and one bit of it that is not as it was is found and named. */

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDescriptor, type NetworkDescriptor } from '../../protocol/descriptor.ts';
import { account, attest, certify, FOUNDER, Writer } from '../../testing/ledger/authors.ts';
import { MemoryLedgerStore } from '../../testing/ledger/memory-store.ts';
import { Ledger } from '../books/ledger.ts';
import type { Attestation, Entry, LedgerMesh } from '../entries/entry.ts';
import { fromHex } from '../entries/fields.ts';
import { meshOf } from '../mesh.ts';
import { auditExport } from './audit-export.ts';
import { auditStore } from './audit-store.ts';
import { exportLines } from './export.ts';

const WITNESSES = ['W1', 'W2', 'W3', 'W4'];
const descriptor: NetworkDescriptor = createDescriptor(
  { name: 'home', genesisMicrocredits: 1_000_000n, createdAt: 1_763_707_725_000 },
  { witnesses: WITNESSES.map((name) => fromHex(account(name).id)) },
  account(FOUNDER).signer,
);
const mesh: LedgerMesh = meshOf(descriptor);
const pause = async () => {};

interface Whole {
  readonly entries: readonly Entry[];
  readonly attestations: readonly Attestation[];
}

/** Grants, payments through a hold, a fork that witnesses decided and one that they did not, a void transfer. */
function history(): Whole {
  const founder = new Writer(mesh, FOUNDER);
  const a = new Writer(mesh, 'A');
  const b = new Writer(mesh, 'B');
  const c = new Writer(mesh, 'C');
  const toA = founder.transfer('A', 500_000n, 'grant: ünïcode ✓');
  const toB = founder.transfer('B', 300_000n);
  const acceptedA = a.accept(toA);
  const acceptedB = b.accept(toB);
  const hold = a.hold(['B', 200_000n], ['C', 50_000n]);
  const claim = b.claim(hold, 120_000n, { last: true });
  const release = a.release(hold, claim);
  const toC = b.transfer('C', 10_000n);
  const acceptedC = c.accept(toC);
  const tooMuch = c.transfer('A', 900_000n, 'more than there is');
  const decided = b.transfer('A', 1_000n, 'this one');
  const dead = b.behind(toC).transfer('C', 1_000n, 'or this one');
  const open = a.transfer('B', 7n);
  const undecided = a.behind(release).transfer('C', 8n);
  const entries = [toA, toB, acceptedA, acceptedB, hold, claim, release, toC, acceptedC, tooMuch];
  const certified = [...entries, decided];
  return {
    entries: [...entries, decided, dead, open, undecided],
    attestations: [
      ...certified.flatMap((entry) => certify(mesh, entry)),
      attest(mesh, 'W4', toA),
      attest(mesh, 'W1', open),
      attest(mesh, 'W2', undecided),
    ],
  };
}

async function storeOf({ entries, attestations }: Whole): Promise<MemoryLedgerStore> {
  const store = new MemoryLedgerStore();
  await store.write({ entries, attestations }, true);
  return store;
}

async function exported(whole: Whole): Promise<string[]> {
  const store = await storeOf(whole);
  const lines: string[] = [];
  for await (const line of exportLines({ store, descriptor, now: 1_800_000_000_000, pause })) lines.push(line);
  return lines;
}

function audit(content: Uint8Array | readonly string[], chunk = 1 << 20) {
  const bytes = content instanceof Uint8Array ? content : Buffer.from(content.map((line) => `${line}\n`).join(''));
  return auditExport(async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  });
}

let lines: string[] = [];
let bytes = new Uint8Array();
beforeAll(async () => {
  lines = await exported(history());
  bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
});

/** Where each line begins, and the end of all. */
function lineOf(position: number): number {
  let end = 0;
  for (const [index, line] of lines.entries()) {
    end += Buffer.byteLength(line) + 1;
    if (position < end) return index + 1;
  }
  throw new Error('behind the end');
}

describe('an export that nobody has touched', { timeout: 60_000 }, () => {
  it('has the digest, the balances and the finality of the node that made it (G61)', async () => {
    const { entries, attestations } = history();
    const ledger = new Ledger(mesh);
    for (const entry of entries) ledger.add(entry);
    for (const attestation of attestations) ledger.attest(attestation);

    for (const chunk of [1, 97, 1 << 20]) {
      const result = await audit(bytes, chunk);
      expect(result).toMatchObject({ valid: true, problems: [], digest: ledger.digest(), ...ledger.counts() });
      expect(result.forks).toEqual(ledger.forks().toSorted((one, other) => (one.author < other.author ? -1 : 1)));
      expect(result.ledger?.books().encode()).toEqual(ledger.books().encode());
      expect(result.ledger?.finalBooks().encode()).toEqual(ledger.finalBooks().encode());
      expect(result.attestations).toBe(attestations.length);
    }
  });

  it('says in its first line what is in it, and of which mesh', () => {
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      format: 'gogrid-ledger',
      version: 1,
      descriptor: { name: 'home', genesisMicrocredits: '1000000' },
      entries: history().entries.length,
      attestations: history().attestations.length,
      madeAt: 1_800_000_000_000,
    });
    expect(lines).toHaveLength(1 + history().entries.length + history().attestations.length);
  });

  it('is the same whatever order things came in', async () => {
    const { entries, attestations } = history();
    const other = await exported({ entries: entries.toReversed(), attestations: attestations.toReversed() });
    expect(other.toSorted()).toEqual(lines.toSorted());
  });
});

describe('an export that is not as it was', { timeout: 60_000 }, () => {
  it('is refused with any bit flipped, naming the line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        const flipped = Uint8Array.from(bytes);
        flipped[at]! ^= 1 << bit;
        const { valid, problems } = await audit(flipped);
        expect(valid, `byte ${at}, bit ${bit}`).toBe(false);
        expect(problems).toHaveLength(1);
        expect(problems[0]?.line, `byte ${at}, bit ${bit}: ${problems[0]?.what}`).toBe(lineOf(at));
      }),
      { numRuns: 150 },
    );
  });

  it.each(['entry', 'attestation'] as const)('names the %s by author, place and id', async (kind) => {
    const at = lines.findLastIndex((line) => line.includes(`"${kind}":`));
    const line = lines[at] ?? '';
    const { author, sequence, id } = JSON.parse(line) as { author: string; sequence: number; id: string };
    const hex = line.indexOf(`"${kind}":"`) + kind.length + 200;
    const changed = lines.with(at, line.slice(0, hex) + (line[hex] === '0' ? '1' : '0') + line.slice(hex + 1));
    expect((await audit(changed)).problems).toEqual([expect.objectContaining({ line: at + 1, author, sequence, id })]);
  });

  it('is refused with a line missing, twice, or in another place, naming it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(lines.length - 1), fc.nat(lines.length - 1), async (one, other) => {
        const line = lines[one] ?? '';
        const first = Math.min(one, other);
        const swapped = lines.with(one, lines[other] ?? '').with(other, line);
        const without = lines.toSpliced(one, 1);
        const twice = lines.toSpliced(other, 0, line);
        expect((await audit(without)).problems, `without ${one + 1}`).toMatchObject([{ line: one + 1 }]);
        expect((await audit(twice)).problems[0]?.line, `${one + 1} again at ${other + 1}`).toBeLessThanOrEqual(
          Math.max(other, one) + 2,
        );
        expect((await audit(twice)).valid).toBe(false);
        if (one !== other) expect((await audit(swapped)).problems).toMatchObject([{ line: first + 1 }]);
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ['empty', [], 'this file is empty'],
    ['rubbish', ['{"format":"something"}'], 'this is not a GoGrid ledger export'],
    ['no JSON', ['# Notes'], 'this is not a GoGrid ledger export'],
    ['JSON of another kind', ['[1,2]'], 'this is not a GoGrid ledger export'],
    ['one endless line', ['x'.repeat(300_000)], 'this is not a GoGrid ledger export'],
    ['of a later version', ['{"format":"gogrid-ledger","version":2}'], 'version is not 1'],
  ])('is refused when it is %s, saying so', async (_what, content, what) => {
    const problem = { line: 1, what: expect.stringContaining(what) };
    expect(await audit(content)).toMatchObject({ valid: false, problems: [problem] });
  });

  it('is refused with what programs of Windows do to text, saying so', async () => {
    const crlf = await audit(lines.map((line) => `${line}\r`));
    expect(crlf.problems).toMatchObject([{ line: 1, what: expect.stringContaining('ends with CR and LF') }]);
    const one = await audit(lines.with(2, `${lines[2]}\r`));
    expect(one.problems).toMatchObject([{ line: 3, what: expect.stringContaining('ends with CR and LF') }]);
    const mark = await audit(lines.with(0, `\uFEFF${lines[0]}`));
    expect(mark.problems).toMatchObject([{ line: 1, what: expect.stringContaining('byte order mark') }]);
  });

  it('says of a line that is missing which one came instead, counted as editors count', async () => {
    const { problems } = await audit(lines.toSpliced(3, 1));
    expect(problems).toMatchObject([{ line: 4, what: expect.stringContaining('its number 4 is that of line 5') }]);
  });

  it('is refused when it is cut off', async () => {
    for (const end of [bytes.length - 1, bytes.length - 100, 10]) {
      expect(await audit(bytes.subarray(0, end))).toMatchObject({ valid: false });
    }
  });

  it('of another mesh proves nothing: its lines are refused under another descriptor (E38)', async () => {
    const other = createDescriptor({ ...descriptor.core, name: 'other' }, descriptor.terms, account(FOUNDER).signer);
    const store = await storeOf({ entries: [], attestations: [] });
    const heads: string[] = [];
    for await (const line of exportLines({ store, descriptor: other, now: 1, pause })) heads.push(line);
    const head = JSON.parse(heads[0] ?? '') as object;
    const mine = JSON.parse(lines[0] ?? '') as { digest: string; entries: number; attestations: number };
    // Made with a check of its own, as somebody would who forges it.
    const { writeHead } = await import('./export-lines.ts');
    const forged = writeHead({ ...mine, madeAt: 1, descriptor: other });
    expect(head).toMatchObject({ entries: 0 });
    expect((await audit([forged, ...lines.slice(1)])).problems).toMatchObject([
      { line: 2, what: expect.stringContaining('another mesh') },
    ]);
  });

  it('is refused when it claims another digest, or more than there is, with a check that is right', async () => {
    const { readHead, writeHead } = await import('./export-lines.ts');
    const head = readHead(lines[0] ?? '');
    const claims = (more: object) => audit([writeHead({ ...head, ...more }), ...lines.slice(1)]);
    expect((await claims({ digest: 'ab'.repeat(32) })).problems).toMatchObject([
      { what: expect.stringContaining('digest') },
    ]);
    expect((await claims({ entries: head.entries + 1 })).problems).toMatchObject([{ line: lines.length + 1 }]);
    expect((await claims({ attestations: head.attestations - 1 })).valid).toBe(false);
  });
});

async function checked(deps: Parameters<typeof auditStore>[0]) {
  return (await auditStore(deps)).finish(undefined);
}

describe('the ledger on the disk', { timeout: 60_000 }, () => {
  it('is gone over from the first signature on, and agrees', async () => {
    const { entries, attestations } = history();
    const ledger = new Ledger(mesh);
    for (const entry of entries) ledger.add(entry);
    for (const attestation of attestations) ledger.attest(attestation);
    let turns = 0;
    const result = await checked({
      mesh,
      store: await storeOf({ entries, attestations }),
      pause: async () => void turns++,
    });
    expect(result).toMatchObject({ valid: true, problems: [], digest: ledger.digest(), ...ledger.counts() });
    expect(turns).toBeGreaterThan(0);
  });

  it('names an entry whose signature does not stand, one that is missing, and what hangs on it once', async () => {
    const { entries, attestations } = history();
    const [grant] = entries;
    if (grant === undefined) throw new Error('no entry');
    const sealed = Uint8Array.from(grant.sealed);
    sealed[sealed.length - 1]! ^= 1;
    const changed = await checked({
      mesh,
      store: await storeOf({ entries: [{ ...grant, sealed }, ...entries.slice(1)], attestations }),
      pause,
    });
    expect(changed.valid).toBe(false);
    expect(changed.problems[0]).toMatchObject({
      sequence: 0,
      id: grant.id,
      what: expect.stringContaining('signature'),
    });

    const gone = await checked({ mesh, store: await storeOf({ entries: entries.slice(1), attestations }), pause });
    expect(gone.valid).toBe(false);
    expect(gone.problems.filter(({ witness }) => witness === undefined).length).toBeLessThanOrEqual(3);
    expect(gone.problems.some(({ what }) => what.includes(grant.id))).toBe(true);
  });
});
