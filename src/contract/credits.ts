/**
 * Credits and the ledger, as the API tells of them. Amounts are decimal texts of microcredits, a million to the credit, since
 * they pass 2⁵³; accounts are written as the PeerId of their key; ids are SHA-256 in hex.
 */

import { z } from 'zod';
import { CREDITS } from '../limits/api.ts';
import { LEDGER } from '../limits/ledger.ts';

const uint = z.int().nonnegative();
const time = uint.describe('milliseconds since 1970');
const account = z.string().describe('a public key as PeerId, 12D3Koo…');
const amount = z
  .string()
  .regex(/^(0|[1-9][0-9]*)$/)
  .describe('microcredits, a decimal text');
const signed = z
  .string()
  .regex(/^(0|-?[1-9][0-9]*)$/)
  .describe('microcredits, a decimal text; below 0 where they left the account');
const entryId = z.string().describe('SHA-256 of what was signed, hex');

/* ---- the account of this node ---- */

export const balance = z.object({
  account,
  availableMicrocredits: amount.describe('what this account can spend'),
  finalMicrocredits: amount.describe('the part of that which nobody can take back any more'),
  reservedMicrocredits: amount.describe('set aside for others, and not promised to them yet'),
  promisedMicrocredits: amount.describe('promised or sent to others, who have not booked it yet'),
  pendingMicrocredits: amount.describe('promised or sent by others, and not booked yet'),
});

/** What has become of an entry. */
export const entryState = z
  .enum(['void', 'stands', 'certified', 'final', 'cut'])
  .describe(
    [
      '`stands`: counted, and not witnessed yet',
      '`certified`: witnessed, but something it rests on is not',
      '`final`: nobody can take it back',
      '`void`: worth nothing, because what it spends or books was not there',
      '`cut`: worth nothing, because an author signed two entries for one place and the other one counts',
    ].join('; '),
  );

export const entryName = z.object({ author: account, sequence: uint, id: entryId });
export const entryKind = z.enum(['transfer', 'accept', 'hold', 'claim', 'release']);

export const creditEntry = z.object({
  name: entryName,
  at: time.describe('as its author says, milliseconds since 1970'),
  kind: entryKind,
  leg: uint.nullable().describe('of a hold, which has a line for each payee; null of what is no part of a hold'),
  party: account.describe('whom the credits go to, or come from'),
  partyName: z.string().describe('what that machine calls itself, or empty when it is not known'),
  amountMicrocredits: signed,
  memo: z.string().describe('of a transfer; text of whoever sent it'),
  state: entryState,
  open: z.boolean().describe('its credits are on their way: the one they go to has not booked them yet'),
});

export const creditHistory = z.object({
  entries: z.array(creditEntry).describe('newest first'),
  next: z.string().nullable().describe('`before` of the next page, or null behind the last one'),
});
export const creditHistoryQuery = z.object({
  limit: z.coerce.number().int().min(1).max(CREDITS.maxListed).default(CREDITS.defaultListed),
  before: z
    .string()
    .regex(/^[0-9]{1,16}$/, 'is not `next` of a page')
    .transform(Number)
    .optional(),
});

const period = z.object({
  since: time,
  earnedMicrocredits: amount.describe('paid by others for jobs that ran here'),
  spentMicrocredits: amount.describe('paid to others for jobs that they ran'),
  receivedMicrocredits: amount.describe('by transfers'),
  sentMicrocredits: amount.describe('by transfers'),
});
export const creditSummary = z.object({
  today: period.describe('since midnight, by the clock of this node'),
  week: period.describe('the last seven days'),
  month: period.describe('the last thirty days'),
});

/** Body of `POST /credits/transfer`. */
export const transferOrder = z.strictObject({
  to: z.string().min(1).max(CREDITS.maxNameChars).describe('a PeerId, or the name of one known peer alone'),
  amountMicrocredits: z
    .string()
    .regex(/^[1-9][0-9]{0,18}$/, 'is not a whole number of microcredits from 1 on, as a decimal text')
    .describe('from 1 on, a decimal text'),
  memo: z
    .string()
    .refine((text) => new TextEncoder().encode(text).length <= LEDGER.maxMemoBytes, {
      message: `is longer than ${LEDGER.maxMemoBytes} bytes of UTF-8`,
    })
    .refine((text) => text.isWellFormed(), { message: 'is not well-formed Unicode' })
    .refine((text) => !text.startsWith('\uFEFF'), { message: 'begins with a byte order mark (U+FEFF); leave it out' })
    .nullish()
    .describe('public, as all of the ledger is'),
  requestId: z
    .string()
    .regex(/^[\x21-\x7e]{1,64}$/, 'is not 1 to 64 visible ASCII characters')
    .nullish()
    .describe('sent again with the same one, a transfer is made once'),
  unknownAccount: z
    .boolean()
    .nullish()
    .describe(
      'send even to a PeerId of which this node has never seen a machine or an entry: a mistyped one is lost for ever',
    ),
});
export const transferAnswer = creditEntry.extend({
  repeated: z.boolean().describe('this requestId was sent before: nothing was sent again'),
});

/* ---- the ledger ---- */

export const fork = z.object({
  author: account,
  sequence: uint,
  ids: z.array(entryId).describe('of the entries at that one place, the two smallest'),
  resolved: entryId.nullable().describe('of the one that witnesses picked, or null: the chain is cut there'),
});

export const ledgerHead = z.object({
  digest: z.string().describe('SHA-256 over the tips of all accounts, hex; equal where the same entries stand'),
  entries: uint.describe('that stand'),
  authors: uint.describe('accounts that have one'),
  account: account.describe('of this node'),
  own: entryName
    .omit({ author: true })
    .extend({ state: entryState })
    .nullable()
    .describe('the newest entry of this account, or null'),
  signing: z.object({
    state: z.enum(['starting', 'ready', 'stopped']).describe('whether this node signs entries of its own'),
    reason: z.string().optional().describe('why it does not'),
  }),
  witness: z
    .object({
      state: z.enum(['starting', 'running', 'stopped']).describe('whether this node attests entries of others'),
      reason: z.string().optional().describe('why it does not'),
    })
    .nullable()
    .describe('null when this node is no witness'),
  quorum: uint.describe('witnesses that make a certificate'),
  witnesses: z.array(
    z.object({
      account,
      name: z.string().describe('what that machine calls itself, or empty'),
      self: z.boolean().describe('this node is it'),
      connected: z.boolean(),
    }),
  ),
  forks: z.array(fork).describe('the first of them'),
  forked: uint.describe('forks that are known'),
});

/** What does not hold, and of which entry as far as that can be told. */
export const ledgerProblem = z.object({
  what: z.string().describe('in a sentence'),
  line: uint.optional().describe('of an export, from 1'),
  author: account.optional(),
  sequence: uint.optional(),
  id: entryId.optional(),
  witness: account.optional().describe('of an attestation'),
});

const checked = {
  valid: z.boolean(),
  entries: uint.describe('that stand'),
  problems: z.array(ledgerProblem).describe('the first of them'),
  attestations: uint,
  authors: uint,
  final: uint.describe('entries that nobody can take back'),
  digest: z.string(),
  forks: z.array(fork),
};
/** Every signature, every chain, every amount, on demand. */
export const ledgerVerification = z.object({ ...checked, tookMs: uint });

/** What `gogrid ledger verify FILE` finds in an export, without a node. */
export const ledgerAudit = z.object({
  ...checked,
  network: z.string().describe('name of the mesh, or empty'),
  networkId: z.string(),
  madeAt: uint.nullable().describe('milliseconds since 1970'),
  genesisMicrocredits: amount.describe('all there are: accounts, on the way and reserved come to it'),
  onTheWayMicrocredits: amount.describe('sent, and not booked yet by whom they go to'),
  reservedMicrocredits: amount.describe('set aside for others, and neither paid nor given back'),
  accounts: z.array(z.object({ account, availableMicrocredits: amount, finalMicrocredits: amount })),
});

/** An entry with its bytes, and what stands in them. Of its body the fields of its kind are there. */
export const readableEntry = z.object({
  entry: z.string().describe('`[payload, signature]` in CBOR, hex: what counts'),
  ...entryName.shape,
  kind: entryKind,
  at: time,
  previous: z.string(),
  to: account.optional(),
  amountMicrocredits: amount.optional(),
  memo: z.string().optional(),
  transfer: entryName.optional(),
  legs: z.array(z.object({ payee: account, maxMicrocredits: amount })).optional(),
  hold: entryName.optional(),
  leg: uint.optional(),
  cumulativeMicrocredits: amount.optional(),
  receiptHash: z.string().optional(),
  last: z.boolean().optional(),
  claim: entryName.optional(),
});
export const readableAttestation = z.object({
  attestation: z.string().describe('hex'),
  witness: account,
  ...entryName.shape,
  late: z.boolean(),
});

export const ledgerEntries = z.object({
  entries: z.array(readableEntry.extend({ state: entryState })),
  next: uint.nullable().describe('`from` of the next page, or null'),
});
export const ledgerEntriesQuery = z.object({
  author: z.string().optional().describe('PeerId of an account; this node’s own without it'),
  from: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0).describe('sequence to begin at'),
  limit: z.coerce.number().int().min(1).max(CREDITS.maxListed).default(CREDITS.defaultListed),
  stream: z
    .enum(['true', 'false', '1', '0', ''])
    .default('false')
    .transform((text) => text === 'true' || text === '1' || text === ''),
});

/** The first line of an export. The others are `exportedEntry` and `exportedAttestation`, each after what it names. */
export const exportHead = z.strictObject({
  format: z.literal('gogrid-ledger'),
  version: z.literal(1),
  descriptor: z.looseObject({}).describe('network.json'),
  digest: z.string(),
  entries: uint.describe('lines with an entry'),
  attestations: uint.describe('lines with an attestation'),
  madeAt: time,
  check: z.string().describe('SHA-256 of this line with 64 zeros here'),
});
/** A number in front counts the lines behind the first, from 1. */
export const exportLine = z.union([
  exportHead,
  z.object({ n: uint, ...readableEntry.shape }),
  z.object({ n: uint, ...readableAttestation.shape }),
]);

export type Balance = z.infer<typeof balance>;
export type EntryState = z.infer<typeof entryState>;
export type CreditEntry = z.infer<typeof creditEntry>;
export type CreditHistory = z.infer<typeof creditHistory>;
export type CreditSummary = z.infer<typeof creditSummary>;
export type TransferOrder = z.infer<typeof transferOrder>;
export type TransferAnswer = z.infer<typeof transferAnswer>;
export type LedgerFork = z.infer<typeof fork>;
export type LedgerHead = z.infer<typeof ledgerHead>;
export type LedgerProblem = z.infer<typeof ledgerProblem>;
export type LedgerVerification = z.infer<typeof ledgerVerification>;
export type LedgerAudit = z.infer<typeof ledgerAudit>;
export type LedgerEntries = z.infer<typeof ledgerEntries>;
