/**
 * Form and signatures of what comes in. Signed bytes that come by several ways are checked once; those of a whole page are
 * checked on other threads, while this one goes on with the page before.
 */

import { LEDGER } from '../../limits/ledger.ts';
import { sha256Hex } from '../../protocol/hash.ts';
import { isAttestationSigned, isAttestationSignedAside, readAttestation } from '../entries/attestation.ts';
import type { Attestation, Entry, LedgerMesh } from '../entries/entry.ts';
import { isEntrySigned, isEntrySignedAside, readEntry } from '../entries/entry-codec.ts';

/** Reads and checks what was signed; a simulation of many nodes in one process remembers the answers. */
export interface Codec {
  readEntry(bytes: Uint8Array, mesh: LedgerMesh): Entry;
  isEntrySigned(entry: Entry, mesh: LedgerMesh): boolean;
  readAttestation(bytes: Uint8Array, mesh: LedgerMesh): Attestation;
  isAttestationSigned(attestation: Attestation): boolean;
  /** The same on another thread; a codec without them checks everything in its turn. */
  isEntrySignedAside?(entry: Entry, mesh: LedgerMesh): Promise<boolean>;
  isAttestationSignedAside?(attestation: Attestation): Promise<boolean>;
}

export const CODEC: Codec = {
  readEntry,
  isEntrySigned,
  readAttestation,
  isAttestationSigned,
  isEntrySignedAside,
  isAttestationSignedAside,
};

/** What was read, and not checked: `value` is undefined when its form does not stand. */
export interface Unchecked<T> {
  readonly sealed: Uint8Array;
  readonly value: T | undefined;
}

export class Checked {
  readonly #mesh: LedgerMesh;
  readonly #codec: Codec;
  /** Hashes of bytes that stand. Two sets, filled in turn: the first key of one set, of which many were removed, takes long to find. */
  #newer = new Set<string>();
  #older = new Set<string>();

  constructor(mesh: LedgerMesh, codec: Codec) {
    this.#mesh = mesh;
    this.#codec = codec;
  }

  entry(sealed: Uint8Array): Unchecked<Entry> {
    return { sealed, value: readOr(() => this.#codec.readEntry(sealed, this.#mesh)) };
  }

  attestation(sealed: Uint8Array): Unchecked<Attestation> {
    return { sealed, value: readOr(() => this.#codec.readAttestation(sealed, this.#mesh)) };
  }

  /** Whether these bytes were checked before, and stand. */
  has(sealed: Uint8Array): boolean {
    const hash = sha256Hex(sealed);
    return this.#newer.has(hash) || this.#older.has(hash);
  }

  isEntrySigned(entry: Entry): boolean {
    return this.has(entry.sealed) || this.#note(entry.sealed, this.#codec.isEntrySigned(entry, this.#mesh));
  }

  isAttestationSigned(attestation: Attestation): boolean {
    const { sealed } = attestation;
    return this.has(sealed) || this.#note(sealed, this.#codec.isAttestationSigned(attestation));
  }

  /** Checks on another thread, so that the answer is there when it is asked for. Never rejects. */
  async entryAhead(entry: Entry): Promise<void> {
    if (this.#codec.isEntrySignedAside === undefined || this.has(entry.sealed)) return;
    this.#note(entry.sealed, await this.#codec.isEntrySignedAside(entry, this.#mesh));
  }

  async attestationAhead(attestation: Attestation): Promise<void> {
    if (this.#codec.isAttestationSignedAside === undefined || this.has(attestation.sealed)) return;
    this.#note(attestation.sealed, await this.#codec.isAttestationSignedAside(attestation));
  }

  #note(sealed: Uint8Array, stands: boolean): boolean {
    if (!stands) return false;
    if (this.#newer.size >= LEDGER.maxChecked / 2) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(sha256Hex(sealed));
    return true;
  }
}

function readOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
