/** `gogrid credits transfer | grant`: credits leave this account, for good. */

import { randomUUID } from 'node:crypto';
import type { Identity, PeerList } from '../contract/control.ts';
import type { Balance, TransferAnswer, TransferOrder } from '../contract/credits.ts';
import { isSameName } from '../contract/names.ts';
import { GoGridError, toGoGridError } from '../errors.ts';
import { CLI } from '../limits/program.ts';
import { type Call, flagOf, printJson } from './command.ts';
import { creditsIn, creditsText } from './credits-text.ts';
import { findExactly } from './find.ts';
import { machineName, type NamedMachine } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { spelled } from './program.ts';
import { canAsk, confirmed } from './question.ts';
import { printable, shellWord } from './text.ts';

/** @param typed credits, such as `1.5` */
export async function transfer(call: Call, to: string, typed: string, memo: string): Promise<number> {
  const amount = creditsIn(typed);
  const node = await connect(call.home);
  const receiver = await receiverIn(node, to);
  const sum = creditsText(String(amount));
  if (!call.flags.has('yes')) {
    if (!canAsk(call)) throw mustSay(call, sum, receiver, typed);
    const about = memo === '' ? '' : `, with the memo '${printable(memo)}'`;
    call.world.stdout.write(`${sum} to ${withWholeId(receiver)}${about}. What is sent cannot be taken back.\n`);
    if (!(await confirmed(call, 'Send it? [y/N] '))) {
      call.world.stdout.write('Nothing was sent.\n');
      return 1;
    }
  }
  const sent = await sendOnce(node, {
    to: receiver.peerId,
    amountMicrocredits: String(amount),
    memo,
    ...(call.flags.has('unknown-account') && { unknownAccount: true }),
  });
  if (call.json) printJson(call, sent);
  else call.world.stdout.write(sentText(call, sum, receiver));
  return 0;
}

/** Names are anybody's to take, and two ids may look alike by their ends: here all of it counts. */
function withWholeId({ name, peerId }: NamedMachine): string {
  return name.trim() === '' ? peerId : `${printable(name)} (${peerId})`;
}

/** Asks again when no answer comes: with one `requestId` the transfer is made once. */
async function sendOnce(node: NodeClient, order: TransferOrder): Promise<TransferAnswer> {
  const body: TransferOrder = { ...order, requestId: randomUUID() };
  for (let attempt = 1; ; attempt++) {
    try {
      return await node.ask<TransferAnswer>({ method: 'POST', path: '/credits/transfer', body });
    } catch (thrown) {
      const error = toGoGridError(thrown);
      if (!UNANSWERED.has(error.code)) throw error;
      if (error.code !== 'deadline_exceeded' || attempt >= CLI.transferAttempts) throw unsure(error);
    }
  }
}

/** Codes of what the node did not say itself. */
const UNANSWERED: ReadonlySet<string> = new Set(['deadline_exceeded', 'node_not_running', 'internal']);

function unsure(error: GoGridError): GoGridError {
  return new GoGridError({
    code: error.code,
    message: `${error.message}: whether the credits were sent is not known`,
    hint: 'look at `gogrid credits history` before you send them again',
    cause: error,
  });
}

function sentText({ world, home }: Call, sum: string, receiver: NamedMachine): string {
  const command = spelled(`gogrid credits history${home.flags}`, world.program);
  return `Sent ${sum} to ${machineName(receiver)}. Their machine books it by itself; ${command} says when it has.\n`;
}

/**
 * The machine that is meant: one that is known, here or away, or whoever has a whole id.
 * @throws GoGridError `usage`, `peer_not_found`
 */
async function receiverIn(node: NodeClient, text: string): Promise<NamedMachine> {
  const [{ peers, away }, self] = await Promise.all([
    node.ask<PeerList>({ path: '/mesh/peers' }),
    node.ask<Identity>({ path: '/identity' }),
    // A mesh without credits says so first.
    node.ask<Balance>({ path: '/credits/balance' }),
  ]);
  const known = [...peers, ...away];
  if (text === self.peerId || text === self.name) {
    throw new GoGridError({ code: 'usage', message: 'that is this machine itself: credits cannot be sent to oneself' });
  }
  // A whole id may be of somebody who was never here.
  if (/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(text))
    return known.find(({ peerId }) => peerId === text) ?? { peerId: text, name: '' };
  const found = findExactly<NamedMachine>(known, text, ({ peerId, name }) => ({ id: peerId, name }));
  const same = [...known, self].filter(({ peerId, name }) => peerId !== found.peerId && isSameName(name, found.name));
  // What was typed is a name, which anybody may take.
  if (!isSameName(text, found.name) || same.length === 0) return found;
  throw new GoGridError({
    code: 'usage',
    message: `${same.length + 1} machines are called '${machineName(found)}'`,
    hint: `say which one by its id: ${[found, ...same]
      .map(({ peerId }) => peerId)
      .slice(0, 5)
      .join(', ')}`,
  });
}

function mustSay(call: Call, sum: string, receiver: NamedMachine, typed: string): GoGridError {
  const { world, words, home } = call;
  const memo = flagOf(call, 'memo');
  const order = [
    words[0],
    receiver.peerId,
    typed,
    ...(memo === undefined ? [] : [`--memo=${shellWord(memo)}`]),
    ...(call.flags.has('unknown-account') ? ['--unknown-account'] : []),
  ];
  return new GoGridError({
    code: 'usage',
    message: `${sum} to ${withWholeId(receiver)}: there is no terminal to ask whether that is right; nothing was sent`,
    hint: `with --yes it is sent without asking: ${world.program} credits ${order.join(' ')} --yes${home.flags}`,
  });
}
