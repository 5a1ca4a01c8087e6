/** `gogrid ledger`: what this node holds of the mesh's ledger, a check of it, and all of it as a file. */

import type { LedgerAudit, LedgerHead, LedgerProblem, LedgerVerification } from '../contract/credits.ts';
import { usage } from './arguments.ts';
import { type Call, printJson, sheetOf } from './command.ts';
import { plainCredits } from './credits-text.ts';
import { exportLedger } from './ledger-export.ts';
import { machineNames, type NameOf } from './machine-names.ts';
import { connect } from './node-client.ts';
import { type Cell, renderFacts } from './table.ts';
import { listed, printable, shortId } from './text.ts';

export async function run(call: Call): Promise<number> {
  const [action = 'show', file, ...more] = call.words;
  if (more.length === 0) {
    if (action === 'show' && file === undefined) return show(call);
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
  else call.world.stdout.write(renderFacts(headFacts(head, await machineNames(node)), sheetOf(call)));
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

export function headFacts(head: LedgerHead, nameOf: NameOf): (readonly [string, Cell])[] {
  const { own, signing, witnesses, quorum, forks } = head;
  const { text, style } = SIGNING[signing.state];
  const reason = signing.reason === undefined ? '' : `: ${signing.reason}`;
  return [
    ['entries', `${count(head.entries, 'entry', 'entries')} of ${count(head.authors, 'account', 'accounts')}`],
    ['digest', head.digest],
    ['', { text: 'the same wherever the same entries stand', style: 'dim' }],
    ['account', head.account],
    ['own log', own === null ? 'empty' : `entry ${own.sequence} is the newest, ${OWN_STATES[own.state]}`],
    ['signing', { text: `${text}${reason}`, style }],
    ...witnesses.map((witness, at): readonly [string, Cell] => [
      at === 0 ? 'witnesses' : '',
      witnessCell(witness, nameOf(witness.account)),
    ]),
    ['', { text: `${quorum} of ${witnesses.length} make an entry certain`, style: 'dim' }],
    ...forkFacts(forks, head.forked, nameOf),
  ];
}

function witnessCell({ account, self, connected }: LedgerHead['witnesses'][number], name: string): Cell {
  if (self) return { text: name, style: 'green' };
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
  stdout.write(verdict(call, answer, answer.attestations, 'This export holds'));
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
  return [
    ['mesh', `${answer.network} (${answer.networkId})`],
    ...(answer.madeAt === null ? [] : ([['made', new Date(answer.madeAt).toISOString()]] as const)),
    ['digest', answer.digest],
    ...largest.slice(0, SHOWN_ACCOUNTS).map(({ account, availableMicrocredits: all, finalMicrocredits: final }, at) => {
      const sure = all === final ? '' : ` (${plainCredits(final)} of it final)`;
      return [at === 0 ? 'credits' : '', `${account}  ${plainCredits(all)}${sure}`] as const;
    }),
    ...(rest > 0 ? ([['', `… and ${rest} more accounts`]] as const) : []),
  ];
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
  return `${paint('red', `${what.replace(' holds', '')} does not hold:`)}\n\n${lines.join('')}\nWhat could be counted: ${found}.\n${forks}`;
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
