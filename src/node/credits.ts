/** What the API tells of this node's account and of the ledger, gathered from the parts that know. */

import {
  balanceAnswer,
  entryAnswer,
  forkAnswer,
  lineAnswer,
  type NameOf,
  verificationAnswer,
} from '../api/credit-answers.ts';
import type { Credits, KnownAccounts, LedgerAccess } from '../api/ports.ts';
import type { Clock } from '../clock.ts';
import type { LedgerEntries, LedgerHead, LedgerVerification } from '../contract/credits.ts';
import type { NodeEvent } from '../contract/events.ts';
import type { LedgerFacts } from '../doctor/facts.ts';
import { GoGridError } from '../errors.ts';
import { auditStore } from '../ledger/audit/audit-store.ts';
import { exportLines } from '../ledger/audit/export.ts';
import { balanceOf, viewOf } from '../ledger/books/balance.ts';
import { History, type LineState } from '../ledger/books/history.ts';
import { summarise } from '../ledger/books/summary.ts';
import { type AccountId, type EntryName, type LedgerMesh, quorumOf } from '../ledger/entries/entry.ts';
import { accountIn, accountText } from '../ledger/entries/readable.ts';
import type { Ingest } from '../ledger/intake/ingest.ts';
import type { Author } from '../ledger/own/author.ts';
import type { MovedNotes } from '../ledger/own/moved-notes.ts';
import { TransferRequests } from '../ledger/own/requests.ts';
import type { Vouchers } from '../ledger/own/vouchers.ts';
import { type LedgerEvent, LedgerWatch } from '../ledger/own/watch.ts';
import type { LedgerStore } from '../ledger/ports.ts';
import type { Witness } from '../ledger/witness/witness.ts';
import { LEDGER } from '../limits/ledger.ts';
import type { NetworkDescriptor } from '../protocol/descriptor.ts';
import { type NodeId, nodeIdOf } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';

/** The ledger of a running node. */
export interface LedgerParts {
  readonly self: AccountId;
  readonly mesh: LedgerMesh;
  readonly ingest: Pick<Ingest, 'ledger' | 'onTaken' | 'flushed'>;
  readonly store: LedgerStore;
  readonly author: Pick<Author, 'state' | 'onState' | 'transfer' | 'settled'>;
  /** Undefined where this node is no witness. */
  readonly witness: Pick<Witness, 'state'> | undefined;
  readonly vouchers: Pick<Vouchers, 'given' | 'received'>;
  readonly moved: Pick<MovedNotes, 'of'>;
  readonly log: Logger;
}

export interface CreditsDeps {
  readonly clock: Clock;
  readonly descriptor: () => NetworkDescriptor;
  readonly nameOf: NameOf;
  readonly isConnected: (node: NodeId) => boolean;
  /** Whether it is there, over whatever way. */
  readonly isInSight: (node: NodeId) => boolean;
  readonly publish: (event: NodeEvent) => void;
  /** Gives the event loop its turn. */
  readonly pause: () => Promise<void>;
}

export interface NodeCredits {
  readonly credits: Credits;
  readonly ledger: LedgerAccess;
  /** For the doctor; undefined in a mesh without credits. */
  facts(): LedgerFacts | undefined;
  /** Events are published from here on. */
  start(): void;
  stop(): Promise<void>;
}

/** @param parts undefined in a mesh without credits */
export function buildCredits(parts: LedgerParts | undefined, deps: CreditsDeps): NodeCredits {
  if (parts === undefined) return NOTHING_THERE;
  const history = new History({ ...parts, ledger: () => parts.ingest.ledger });
  const watch = new LedgerWatch({
    self: parts.self,
    ledger: () => parts.ingest.ledger,
    balance: () => amountsOf(parts),
    history,
    onTaken: (listener) => parts.ingest.onTaken(listener),
    clock: deps.clock,
    tell: (event) => deps.publish(nodeEvent(parts, deps, event)),
    log: parts.log,
  });
  let unlisten = () => {};
  return {
    credits: creditsOf(parts, history, deps),
    ledger: accessTo(parts, deps),
    facts: () => factsOf(parts, deps),
    start() {
      watch.start();
      unlisten = parts.author.onState(() => {
        const { state, reason } = parts.author.state();
        deps.publish({ type: 'signing', at: deps.clock.now(), state, ...(reason !== undefined && { reason }) });
      });
    },
    async stop() {
      unlisten();
      await watch.stop();
    },
  };
}

function amountsOf({ self, ingest, vouchers }: LedgerParts) {
  return balanceOf(viewOf(self, ingest.ledger, vouchers));
}

function nodeEvent({ self }: LedgerParts, { clock, nameOf }: CreditsDeps, event: LedgerEvent): NodeEvent {
  const at = clock.now();
  switch (event.type) {
    case 'credits':
      return { type: 'credits', at, balance: balanceAnswer(self, event.balance) };
    case 'fork':
      return { type: 'fork', at, fork: forkAnswer(event.fork) };
    case 'entry-final':
    case 'entry-lost':
      return { type: event.type, at, entry: lineAnswer(event.line, nameOf) };
  }
}

/* ---- the account ---- */

const DAY_MS = 86_400_000;

function creditsOf(parts: LedgerParts, history: History, { clock, nameOf }: CreditsDeps): Credits {
  const { self, ingest, store, author } = parts;
  let requests: Promise<TransferRequests> | undefined;
  const loaded = () => {
    requests ??= TransferRequests.load({
      notes: store.notes,
      clock,
      transfer: (order, beforeWrite) => author.transfer(order, beforeWrite),
      settled: () => author.settled(),
      isThere: async (name) => ingest.ledger.find(name.id) !== undefined || (await store.entry(name)) !== undefined,
    });
    // What could not be read now may be later.
    requests.catch(() => {
      requests = undefined;
    });
    return requests;
  };
  return {
    balance: () => balanceAnswer(self, amountsOf(parts)),
    async history(before, limit) {
      await ingest.flushed();
      const { lines, next } = await history.page(before, limit);
      return { entries: lines.map((line) => lineAnswer(line, nameOf)), next: next === undefined ? null : String(next) };
    },
    async summary() {
      await ingest.flushed();
      const now = clock.now();
      const since = [midnightBefore(now), now - 7 * DAY_MS, now - 30 * DAY_MS];
      const [today, week, month] = await summarise(history, ingest.ledger, since);
      const period = (index: number, totals = NOTHING) => ({
        since: since[index] ?? 0,
        earnedMicrocredits: String(totals.earned),
        spentMicrocredits: String(totals.spent),
        receivedMicrocredits: String(totals.received),
        sentMicrocredits: String(totals.sent),
      });
      return { today: period(0, today), week: period(1, week), month: period(2, month) };
    },
    accounts: () => accountsOf(parts),
    async transfer({ to, amount, memo, requestId }) {
      const made = await (await loaded()).make({ to: accountIn(to), amount, memo }, requestId);
      const line = await history.line(made.name);
      if (line === undefined) throw new GoGridError({ code: 'damaged', message: 'an own entry is not on the disk' });
      return { ...lineAnswer(line, nameOf), repeated: made.repeated };
    },
  };
}

function accountsOf({ mesh, ingest: { ledger } }: LedgerParts): KnownAccounts {
  const named = [mesh.founder, ...mesh.witnesses];
  return {
    has(node) {
      const account = accountIn(node);
      if (named.includes(account) || ledger.tip(account) !== undefined) return true;
      return ledger.openTransfersTo(account).length > 0 || ledger.openLegsTo(account).length > 0;
    },
    *all() {
      yield* named.map(accountText);
      for (let bucket = 0; bucket < LEDGER.buckets; bucket++) {
        for (const [key] of ledger.lines(bucket)) yield nodeIdOf(key);
      }
    },
  };
}

const NOTHING = { earned: 0n, spent: 0n, received: 0n, sent: 0n };

/** By the clock and the time zone of this machine. */
function midnightBefore(now: number): number {
  return new Date(now).setHours(0, 0, 0, 0);
}

/* ---- the ledger ---- */

function accessTo(parts: LedgerParts, deps: CreditsDeps): LedgerAccess {
  const { ingest, store } = parts;
  let checking: Promise<LedgerVerification> | undefined;
  return {
    head: async () => headOf(parts, deps),
    verify() {
      checking ??= verifyAll(parts, deps).finally(() => {
        checking = undefined;
      });
      return checking;
    },
    async entries(author, from, limit) {
      await ingest.flushed();
      return entriesOf(parts, author === undefined ? parts.self : accountIn(author), from, limit);
    },
    async *exportLines() {
      await ingest.flushed();
      const view = await store.view();
      try {
        yield* exportLines({ store: view, descriptor: deps.descriptor(), now: deps.clock.now(), pause: deps.pause });
      } finally {
        await view.close();
      }
    },
  };
}

/** Goes over the disk, and compares what comes out with what this node counts with. */
async function verifyAll({ mesh, ingest, store }: LedgerParts, { clock, pause }: CreditsDeps) {
  const began = clock.elapsed();
  const { ledger } = ingest;
  const { generation } = ledger;
  // Behind the reading of both: what comes in while the disk is waited for makes them differ, too.
  await ingest.flushed();
  // What is written meanwhile is neither seen nor half seen.
  const view = await store.view();
  const audit = await auditStore({ mesh, store: view, pause }).finally(() => view.close());
  // What came in meanwhile may be in one and not in the other.
  const isSettled = ingest.ledger === ledger && ledger.generation === generation;
  if (isSettled && Buffer.compare(audit.ledger.books().encode(), ledger.books().encode()) !== 0) {
    audit.problem({ what: 'what is on the disk comes to other balances than this node counts with: start it again' });
  }
  return verificationAnswer(audit.finish(undefined), clock.elapsed() - began);
}

function headOf(
  { self, mesh, ingest, author, witness }: LedgerParts,
  { nameOf, isConnected }: CreditsDeps,
): LedgerHead {
  const { ledger } = ingest;
  const { entries, authors } = ledger.counts();
  const tip = ledger.tip(self);
  const forks = ledger.forks();
  const { state, reason } = author.state();
  return {
    digest: ledger.digest(),
    entries,
    authors,
    account: accountText(self),
    own: tip === undefined ? null : { sequence: tip.sequence, id: tip.id, state: stateOf(ledger, tip) },
    signing: { state, ...(reason !== undefined && { reason }) },
    witness: witness === undefined ? null : attesting(witness),
    quorum: quorumOf(mesh),
    witnesses: mesh.witnesses.map((id) => {
      const node = accountText(id);
      return { account: node, name: nameOf(node), self: id === self, connected: isConnected(node) };
    }),
    forks: forks.slice(0, LEDGER.maxForksListed).map(forkAnswer),
    forked: forks.length,
  };
}

/** Whether this node attests what others write, without since when. */
function attesting(witness: Pick<Witness, 'state'>) {
  const { state, reason } = witness.state();
  return { state, ...(reason !== undefined && { reason }) };
}

function factsOf(
  { self, mesh, ingest, author, witness }: LedgerParts,
  { nameOf, isInSight }: CreditsDeps,
): LedgerFacts {
  const { state, reason } = author.state();
  const fork = ingest.ledger.forks().find((each) => each.author === self);
  const missing = mesh.witnesses
    .filter((witness) => witness !== self)
    .map(accountText)
    .filter((node) => !isInSight(node));
  return {
    signing: state,
    reason,
    attesting: witness && attesting(witness),
    ownFork: fork && { sequence: fork.sequence, isCut: fork.resolved === undefined },
    witnesses: {
      total: mesh.witnesses.length,
      quorum: quorumOf(mesh),
      missing: missing.map((node) => nameOf(node) || node),
    },
  };
}

/** Of an entry that may stand; whether it is worth anything is not asked here. */
function stateOf(ledger: LedgerParts['ingest']['ledger'], name: EntryName): LineState {
  const status = ledger.status(name);
  if (status === 'fallen') return 'cut';
  return status === 'unknown' ? 'stands' : status;
}

async function entriesOf(parts: LedgerParts, author: AccountId, from: number, limit: number): Promise<LedgerEntries> {
  const history = new History({ ...parts, self: author, ledger: () => parts.ingest.ledger, moved: NONE_KEPT });
  const entries: LedgerEntries['entries'] = [];
  const found = await history.withStates(from, limit);
  for (const { entry, state } of found.entries) entries.push(entryAnswer(entry, state));
  return { entries, next: found.next ?? null };
}

/** What others moved is not noted here. */
const NONE_KEPT = { of: async () => undefined };

/* ---- a mesh without ---- */

function noCredits(): GoGridError {
  return new GoGridError({
    code: 'no_credits',
    message: 'this mesh has no credits',
    hint: 'its founder decides that once: gogrid network create --genesis MICROCREDITS makes a mesh that has',
  });
}

const refuse = (): never => {
  throw noCredits();
};
const reject = async (): Promise<never> => refuse();

const NO_CREDITS: Credits = {
  balance: refuse,
  history: reject,
  summary: reject,
  accounts: refuse,
  transfer: reject,
};

const NO_LEDGER: LedgerAccess = {
  head: reject,
  verify: reject,
  entries: reject,
  exportLines: () => ({ [Symbol.asyncIterator]: () => ({ next: reject }) }),
};

const NOTHING_THERE: NodeCredits = {
  credits: NO_CREDITS,
  ledger: NO_LEDGER,
  facts: () => undefined,
  start: () => {},
  stop: async () => {},
};
