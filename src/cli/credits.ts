/** `gogrid credits`: what this node's account has, why, and sending some of it. */

import type { Balance, CreditHistory, CreditSummary, LedgerHead } from '../contract/credits.ts';
import { CREDITS } from '../limits/api.ts';
import { usage } from './arguments.ts';
import { type Call, flagOf, printJson, sheetOf } from './command.ts';
import { creditsText, kindText, plainCredits, signedCredits, stateText } from './credits-text.ts';
import { transfer } from './credits-transfer.ts';
import { machineNames } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { wholeNumber } from './numbers.ts';
import { spelled } from './program.ts';
import { type Cell, type Column, renderFacts, renderTable } from './table.ts';
import { formatAgo } from './text.ts';

/** Which flags go with which action. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  balance: [],
  history: ['limit'],
  transfer: ['memo', 'yes', 'unknown-account'],
  grant: ['yes', 'unknown-account'],
};

export async function run(call: Call): Promise<number> {
  const [action = 'balance', ...words] = call.words;
  const flags = FLAGS[action];
  if (flags === undefined) throw usage(`credits cannot '${call.words.join(' ')}'`, 'credits');
  for (const name of ['limit', 'memo', 'yes', 'unknown-account']) {
    if (call.flags.has(name) && !flags.includes(name)) throw usage(`credits ${action} takes no --${name}`, 'credits');
  }
  if (action === 'transfer' || action === 'grant') {
    const [to, amount, ...more] = words;
    if (to === undefined || amount === undefined || more.length > 0) {
      throw usage(`credits ${action} wants a machine and an amount: credits ${action} kitchen 1.5`, 'credits');
    }
    return transfer(call, to, amount, action === 'grant' ? 'grant' : (flagOf(call, 'memo') ?? ''));
  }
  if (words.length > 0) throw usage(`credits ${action} takes no '${words.join(' ')}'`, 'credits');
  return action === 'history' ? history(call) : balance(call);
}

/* ---- balance ---- */

async function balance(call: Call): Promise<number> {
  const node = await connect(call.home);
  const answer = await node.ask<Balance>({ path: '/credits/balance' });
  if (call.json) {
    printJson(call, answer);
    return 0;
  }
  const [summary, head] = await Promise.all([
    node.ask<CreditSummary>({ path: '/credits/summary' }),
    node.ask<LedgerHead>({ path: '/ledger/head' }),
  ]);
  const { stdout } = call.world;
  stdout.write(renderFacts(balanceFacts(answer), sheetOf(call)));
  stdout.write(`\n${renderTable(SUMMARY_COLUMNS, summaryRows(summary), sheetOf(call))}`);
  const note = signingNote(head, spelled(`gogrid doctor${call.home.flags}`, call.world.program));
  if (note !== undefined) stdout.write(`\n${call.paint('yellow', note)}\n`);
  return 0;
}

export function balanceFacts(answer: Balance): (readonly [string, Cell])[] {
  const { availableMicrocredits: available, finalMicrocredits: final } = answer;
  const sure = available === final ? '' : ` (${plainCredits(final)} of it final)`;
  const facts: (readonly [string, Cell])[] = [
    ['account', answer.account],
    ['available', { text: `${creditsText(available)}${sure}`, style: 'green' }],
  ];
  const more = [
    ['reserved', answer.reservedMicrocredits, 'set aside for others, and not promised to them yet'],
    ['promised', answer.promisedMicrocredits, 'sent or promised to others, who have not booked it yet'],
    ['pending', answer.pendingMicrocredits, 'sent or promised by others, and not booked here yet'],
  ] as const;
  for (const [name, amount, meaning] of more) {
    if (amount !== '0') facts.push([name, `${creditsText(amount)}, ${meaning}`]);
  }
  return facts;
}

const SUMMARY_COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'EARNED', align: 'right' },
  { title: 'SPENT', align: 'right' },
  { title: 'RECEIVED', align: 'right' },
  { title: 'SENT', align: 'right' },
];

function summaryRows({ today, week, month }: CreditSummary): Cell[][] {
  const spans = [
    ['today', today],
    ['7 days', week],
    ['30 days', month],
  ] as const;
  return spans.map(([name, span]) => [
    name,
    plainCredits(span.earnedMicrocredits),
    plainCredits(span.spentMicrocredits),
    plainCredits(span.receivedMicrocredits),
    plainCredits(span.sentMicrocredits),
  ]);
}

/** Why this node sends and books nothing now; undefined when it does. */
function signingNote({ signing: { state, reason } }: LedgerHead, doctor: string): string | undefined {
  if (state === 'ready') return undefined;
  const why = reason === undefined ? '' : `: ${reason}`;
  if (state === 'starting') return `This node signs nothing yet${why}.`;
  return `This node signs nothing any more${why}. What to do: ${doctor}`;
}

/* ---- history ---- */

const HISTORY_COLUMNS: readonly Column[] = [
  { title: 'AGE', align: 'right' },
  { title: 'CREDITS', align: 'right' },
  { title: 'WHAT' },
  { title: 'WITH', shrinks: true },
  { title: 'MEMO', shrinks: true },
  { title: 'STATE', shrinks: true },
];

async function history(call: Call): Promise<number> {
  const limit = wholeNumber('--limit', flagOf(call, 'limit') ?? '50', 1, CREDITS.maxListed, 'credits');
  const node = await connect(call.home);
  const answer = await node.ask<CreditHistory>({ path: `/credits/history?limit=${limit}` });
  if (call.json) {
    printJson(call, answer);
    return 0;
  }
  const { stdout } = call.world;
  if (answer.entries.length === 0) {
    stdout.write('No credits have come or gone yet.\n');
    return 0;
  }
  // A hold has several lines, and what is on its way here stands on the first page whatever its size.
  const entries = answer.entries.slice(0, limit);
  stdout.write(renderTable(HISTORY_COLUMNS, await historyRows(call, node, entries), sheetOf(call)));
  if (answer.next !== null || entries.length < answer.entries.length)
    stdout.write(call.paint('dim', '… and older ones: --limit N shows more\n'));
  return 0;
}

async function historyRows(call: Call, node: NodeClient, entries: CreditHistory['entries']): Promise<Cell[][]> {
  const nameOf = await machineNames(node);
  const now = call.world.now();
  return entries.map((entry) => {
    const [text, style] = stateText(entry);
    const amount = signedCredits(entry.amountMicrocredits);
    return [
      formatAgo(entry.at, now),
      amount.startsWith('+') ? { text: amount, style: 'green' } : amount,
      kindText(entry),
      nameOf(entry.party),
      entry.memo,
      style === undefined ? text : { text, style },
    ];
  });
}
