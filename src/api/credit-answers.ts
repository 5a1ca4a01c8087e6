/** The ledger's values as the contract writes them: keys as PeerIds, amounts as decimal texts, machines with their names. */

import type {
  Balance,
  CreditEntry,
  EntryState,
  LedgerAudit,
  LedgerFork,
  LedgerVerification,
} from '../contract/credits.ts';
import type { AuditResult } from '../ledger/audit/audit.ts';
import type { ExportAudit } from '../ledger/audit/audit-export.ts';
import type { Balance as Amounts } from '../ledger/books/balance.ts';
import type { HistoryLine } from '../ledger/books/history.ts';
import type { Fork, Ledger } from '../ledger/books/ledger.ts';
import type { AccountId, Entry, LedgerMesh } from '../ledger/entries/entry.ts';
import { accountText, readableEntry, readableName } from '../ledger/entries/readable.ts';
import { meshOf } from '../ledger/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';

/** What a machine calls itself; empty when it is not known. */
export type NameOf = (node: NodeId) => string;

export function balanceAnswer(self: AccountId, amounts: Amounts): Balance {
  return {
    account: accountText(self),
    availableMicrocredits: String(amounts.available),
    finalMicrocredits: String(amounts.final),
    reservedMicrocredits: String(amounts.reserved),
    promisedMicrocredits: String(amounts.promised),
    pendingMicrocredits: String(amounts.pending),
  };
}

export function lineAnswer(line: HistoryLine, nameOf: NameOf): CreditEntry {
  const { name, at, kind, leg, memo, state, open } = line;
  const party = accountText(line.party);
  return {
    name: readableName(name),
    at,
    kind,
    leg: leg ?? null,
    party,
    partyName: nameOf(party),
    amountMicrocredits: String(line.amount),
    memo,
    state,
    open,
  };
}

export function forkAnswer({ author, sequence, ids, resolved }: Fork): LedgerFork {
  return { author: accountText(author), sequence, ids: [...ids], resolved: resolved ?? null };
}

export function entryAnswer(entry: Entry, state: EntryState) {
  return { ...readableEntry(entry), state };
}

function checkedAnswer(result: AuditResult) {
  const { valid, entries, attestations, authors, final, digest, problems, forks } = result;
  return {
    valid,
    entries,
    problems: [...problems],
    attestations,
    authors,
    final,
    digest,
    forks: forks.map(forkAnswer),
  };
}

export function verificationAnswer(result: AuditResult, tookMs: number): LedgerVerification {
  return { ...checkedAnswer(result), tookMs: Math.round(tookMs) };
}

export function auditAnswer(result: ExportAudit): LedgerAudit {
  const { head, ledger } = result;
  return {
    ...checkedAnswer(result),
    network: head?.descriptor.core.name ?? '',
    networkId: head === undefined ? '' : Buffer.from(head.descriptor.networkId).toString('hex'),
    madeAt: head?.madeAt ?? null,
    ...(ledger === undefined || head === undefined ? NOTHING_COUNTED : countedAnswer(ledger, meshOf(head.descriptor))),
  };
}

type Counted = Pick<LedgerAudit, 'genesisMicrocredits' | 'onTheWayMicrocredits' | 'reservedMicrocredits' | 'accounts'>;

const NOTHING_COUNTED: Counted = {
  genesisMicrocredits: '0',
  onTheWayMicrocredits: '0',
  reservedMicrocredits: '0',
  accounts: [],
};

/** Where all the credits of the mesh are. */
function countedAnswer(ledger: Ledger, { genesis, founder }: LedgerMesh): Counted {
  const books = ledger.books();
  let onTheWay = 0n;
  for (const { amount } of books.openTransfers()) onTheWay += amount;
  let reserved = 0n;
  for (const { max, paid, givenBack } of books.openLegs()) reserved += max - paid - givenBack;
  return {
    genesisMicrocredits: String(genesis),
    onTheWayMicrocredits: String(onTheWay),
    reservedMicrocredits: String(reserved),
    accounts: accountAnswers(ledger, founder),
  };
}

/** What everybody has who has written anything, and the founder. */
function accountAnswers(ledger: Ledger, founder: AccountId): LedgerAudit['accounts'] {
  return [...new Set([...ledger.books().authors(), founder])].map((author) => {
    const { available, final } = ledger.available(author);
    return { account: accountText(author), availableMicrocredits: String(available), finalMicrocredits: String(final) };
  });
}
