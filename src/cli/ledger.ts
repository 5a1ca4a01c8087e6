/** `gogrid ledger`: what this node holds of the mesh's ledger, a check of it, and all of it as a file. */

import type { LedgerAudit, LedgerHead, LedgerProblem, LedgerVerification } from '../contract/credits.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { creditsText, plainCredits } from './credits-text.ts';
import { exportLedger } from './ledger-export.ts';
import { machineNames, type NameOf } from './machine-names.ts';
import { connect } from './node-client.ts';
import { spelled } from './program.ts';
import { type Cell, renderFacts } from './table.ts';
import { listed, printable, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action, file, ...more] = call.words;
  if (call.flags.has('force') && action !== 'export') {
    throw usage(`ledger${action === undefined ? '' : ` ${action}`} takes no --force`, 'ledger');
  }
  if (action === undefined) return show(call);
  if (more.length === 0) {
    if (action === 'verify') return file === undefined ? verify(call) : verifyFile(call, file);
    if (action === 'export') return exportLedger(call, file);
  }
  throw usage(`ledger cannot '${call.words.join(' ')}'`, 'ledger');
}

/* ---- show ---- */

async function show(call: Call): Promise<number> {
  const node = await connect(call.home);
  const head = await node.ask<LedgerHead>({ path: '/ledger/head' });
  if (call.json) printJson(call, head);
  else call.world.stdout.write(renderFacts(headFacts(head, await machineNames(node), call), sheetOf(call)));
  return 0;
}

const OWN_STATES = {
  final: 'final',
  certified: 'witnessed, not final yet',
  stands: 'not witnessed yet',
  void: 'void',
  cut: 'lost: this account signed another one in its place',
} as const;

const SIGNING = {
  ready: { text: 'ready to sign', style: 'green' },
  starting: { text: 'signs nothing yet', style: 'yellow' },
  stopped: { text: 'signs nothing any more', style: 'red' },
} as const;

function headFacts(head: LedgerHead, nameOf: NameOf, { world, home }: Call): (readonly [string, Cell])[] {
  const { own, signing, witness: attesting, witnesses, quorum, forks } = head;
  const { text, style } = SIGNING[signing.state];
  const reason = signing.reason === undefined ? '' : `: ${signing.reason}`;
  const doctor = spelled(`gogrid doctor${home.flags}`, world.program);
  return [
    ['entries', head.entries === 0 ? 'none yet' : `${head.entries}, of ${count(head.authors, 'account', 'accounts')}`],
    ['digest', head.digest],
    ['', { text: 'the same wherever the same entries stand', style: 'dim' }],
    ['account', head.account],
    ['own log', own === null ? 'empty' : `up to entry ${own.sequence}, ${OWN_STATES[own.state]}`],
    ['signing', { text: `${text}${reason}`, style }],
    ...(signing.state === 'stopped' ? ([['', { text: `${doctor} says what to do`, style: 'dim' }]] as const) : []),
    ...witnesses.map((witness, at): readonly [string, Cell] => [
      at === 0 ? 'witnesses' : '',
      witnessCell(witness, nameOf(witness.account), attesting),
    ]),
    ['', { text: `an entry needs ${quorum} of ${witnesses.length} to become final`, style: 'dim' }],
    ...forkFacts(forks, head.forked, nameOf),
  ];
}

const ATTESTING = {
  running: { text: '', style: 'green' },
  starting: { text: ', signs nothing as a witness yet', style: 'yellow' },
  stopped: { text: ', signs nothing as a witness any more', style: 'red' },
} as const;

function witnessCell(
  { account, self, connected }: LedgerHead['witnesses'][number],
  name: string,
  attesting: LedgerHead['witness'],
): Cell {
  if (self && attesting !== null) {
    const { text, style } = ATTESTING[attesting.state];
    const reason = attesting.reason === undefined ? '' : `: ${attesting.reason}`;
    return { text: `${name}${text}${reason}`, style };
  }
  const who = name === shortId(account) ? name : `${name} (${shortId(account)})`;
  return connected ? { text: `${who}, connected`, style: 'green' } : `${who}, not connected`;
}

function forkFacts(forks: LedgerHead['forks'], total: number, nameOf: NameOf): (readonly [string, Cell])[] {
  if (total === 0) return [['forks', 'none: nobody signed two entries for one place']];
  const lines = forks.map(({ author, sequence, resolved }, at): readonly [string, Cell] => {
    const outcome = resolved === null ? 'its log is cut there' : 'witnesses picked one';
    return [
      at === 0 ? 'forks' : '',
      { text: `${nameOf(author)} signed entry ${sequence} twice: ${outcome}`, style: 'yellow' },
    ];
  });
  return total > forks.length ? [...lines, ['', `… and ${total - forks.length} more`]] : lines;
}

/* ---- verify ---- */

async function verify(call: Call): Promise<number> {
  const node = await connect(call.home);
  // A large ledger takes its time: a signature a tenth of a millisecond, and the node goes on with its work meanwhile.
  const aborter = new AbortController();
  const stopListening = call.world.onSignal(() => aborter.abort());
  try {
    const answer = await node.ask<LedgerVerification>({ path: '/ledger/verify', signal: aborter.signal });
    if (call.json) printJson(call, answer);
    else call.world.stdout.write(verdict(call, answer, answer.attestations, 'The ledger of this node holds'));
    return answer.valid ? 0 : 1;
  } finally {
    stopListening();
  }
}

/** Needs neither a node nor a home. */
async function verifyFile(call: Call, file: string): Promise<number> {
  const answer = await call.world.auditLedger(file);
  if (call.json) {
    printJson(call, answer);
    return answer.valid ? 0 : 1;
  }
  const { stdout } = call.world;
  const what = answer.networkId === '' ? 'This file holds' : 'This export holds';
  stdout.write(verdict(call, answer, answer.attestations, what));
  if (answer.valid) stdout.write(`\n${renderFacts(auditFacts(answer), sheetOf(call))}`);
  return answer.valid ? 0 : 1;
}

const SHOWN_ACCOUNTS = 10;

function auditFacts(answer: LedgerAudit): (readonly [string, Cell])[] {
  const largest = answer.accounts.toSorted((a, b) => {
    const [one, other] = [BigInt(a.availableMicrocredits), BigInt(b.availableMicrocredits)];
    return one > other ? -1 : one < other ? 1 : 0;
  });
  const rest = largest.length - SHOWN_ACCOUNTS;
  const { onTheWayMicrocredits, reservedMicrocredits } = answer;
  const inAll = plainCredits(String(sumOf(largest) + BigInt(onTheWayMicrocredits) + BigInt(reservedMicrocredits)));
  return [
    ['mesh', `${answer.network} (${answer.networkId})`],
    ...(answer.madeAt === null ? [] : ([['made', new Date(answer.madeAt).toISOString()]] as const)),
    ['digest', answer.digest],
    ...largest.slice(0, SHOWN_ACCOUNTS).map(({ account, availableMicrocredits: all, finalMicrocredits: final }, at) => {
      const sure = all === final ? '' : ` (${plainCredits(final)} of it final)`;
      return [at === 0 ? 'credits' : '', `${account}  ${plainCredits(all)}${sure}`] as const;
    }),
    ...(rest > 0
      ? ([
          [
            '',
            `… and ${count(rest, 'more account', 'more accounts')}, together ${plainCredits(String(sumOf(largest.slice(SHOWN_ACCOUNTS))))}`,
          ],
        ] as const)
      : []),
    ...(onTheWayMicrocredits === '0'
      ? []
      : ([['on the way', `${plainCredits(onTheWayMicrocredits)}, sent and not booked yet`]] as const)),
    ...(reservedMicrocredits === '0'
      ? []
      : ([['reserved', `${plainCredits(reservedMicrocredits)}, set aside for others`]] as const)),
    ['in all', `${inAll} of the ${creditsText(answer.genesisMicrocredits)} that this mesh was made with`],
  ];
}

function sumOf(accounts: LedgerAudit['accounts']): bigint {
  return accounts.reduce((sum, { availableMicrocredits }) => sum + BigInt(availableMicrocredits), 0n);
}

type Checked = Pick<LedgerVerification, 'valid' | 'entries' | 'authors' | 'final' | 'problems' | 'forks'>;

function verdict({ world, paint }: Call, answer: Checked, attestations: number, what: string): string {
  const found = `${count(answer.entries, 'entry', 'entries')} of ${count(answer.authors, 'account', 'accounts')}, ${answer.final} final, ${count(attestations, 'attestation', 'attestations')}`;
  const names = answer.forks.map(({ author, sequence }) => `${shortId(author)} at entry ${sequence}`);
  const forks = names.length === 0 ? '' : `Signed twice, and dealt with: ${listed(names, 5)}.\n`;
  if (answer.valid) {
    return `${paint('green', `${what}:`)} ${found}. Every signature, chain and amount was checked.\n${forks}`;
  }
  const lines = answer.problems.map((problem) => `  ${problemText(problem, world.stdout.columns === undefined)}\n`);
  const counted = answer.entries === 0 && attestations === 0 ? '' : `\nWhat could be counted: ${found}.\n`;
  return `${paint('red', `${what.replace(' holds', '')} does not hold:`)}\n\n${lines.join('')}${counted}${forks}`;
}

/** Which line or entry, and what is wrong with it. */
function problemText({ what, line, author, sequence, id, witness }: LedgerProblem, whole: boolean): string {
  const short = whole ? (text: string) => text : shortId;
  const where = [
    ...(line === undefined ? [] : [`line ${line}`]),
    ...(witness === undefined ? [] : [`attestation of ${short(witness)}`]),
    ...(author === undefined
      ? []
      : [`entry ${sequence} of ${short(author)}${id === undefined ? '' : ` (${short(id)})`}`]),
  ];
  return printable(where.length === 0 ? what : `${where.join(', ')}: ${what}`);
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
