/** What becomes of an entry or an attestation that is given to the ledger. */

import type { EntryName } from '../entries/entry.ts';

export type Taken =
  | { readonly result: 'taken' }
  | { readonly result: 'known' }
  /** Its place is at or below its author's newest final entry: it is that final one, or it is worth nothing for ever. */
  | { readonly result: 'old' }
  /** These must come first. One at a final place is on the disk, or worth asking for, and comes by way of `named`. */
  | { readonly result: 'waits'; readonly missing: readonly EntryName[] }
  /** It breaks a rule for ever. */
  | { readonly result: 'refused'; readonly why: string }
  /** Its author has too many that do not stand; it changes nothing. */
  | { readonly result: 'ignored' };

export type Attested =
  | { readonly result: 'taken' }
  | { readonly result: 'known' }
  | { readonly result: 'old' }
  | { readonly result: 'waits'; readonly missing: EntryName }
  | { readonly result: 'refused'; readonly why: string }
  /** This certificate and what is final here exclude each other: more than f witnesses lied. */
  | { readonly result: 'contradiction'; readonly name: EntryName; readonly why: string };

/** How far an entry has come: `stands` is counted, `fallen` is worth nothing, `unknown` is not here. */
export type Status = 'final' | 'certified' | 'stands' | 'fallen' | 'unknown';
