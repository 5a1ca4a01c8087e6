/** `gogrid credits transfer | grant`: credits leave this account, for good. */

import type { Identity, PeerList } from '../contract/control.ts';
import type { TransferAnswer } from '../contract/credits.ts';
import { GoGridError } from '../errors.ts';
import { type Call, printJson } from './command.ts';
import { creditsIn, creditsText } from './credits-text.ts';
import { findOne } from './find.ts';
import { isSameName, machineName, type NamedMachine, withId } from './machine-names.ts';
import { connect, type NodeClient } from './node-client.ts';
import { spelled } from './program.ts';
import { canAsk, confirmed } from './question.ts';
import { printable } from './text.ts';

/** @param typed credits, such as `1.5` */
export async function transfer(call: Call, to: string, typed: string, memo: string): Promise<number> {
  const amount = creditsIn(typed);
  const node = await connect(call.home);
  const receiver = await receiverIn(node, to);
  const sum = creditsText(String(amount));
  if (!call.flags.has('yes')) {
    if (!canAsk(call)) throw mustSay(call, sum, receiver, typed);
    const about = memo === '' ? '' : `, with the memo '${printable(memo)}'`;
    call.world.stdout.write(`${sum} to ${withId(receiver)}${about}. What is sent cannot be taken back.\n`);
    if (!(await confirmed(call, 'Send it? [y/N] '))) {
      call.world.stdout.write('Nothing was sent.\n');
      return 1;
    }
  }
  const body = { to: receiver.peerId, amountMicrocredits: String(amount), memo };
  const sent = await node.ask<TransferAnswer>({ method: 'POST', path: '/credits/transfer', body });
  if (call.json) printJson(call, sent);
  else call.world.stdout.write(sentText(call, sum, receiver));
  return 0;
}

function sentText({ world, home }: Call, sum: string, receiver: NamedMachine): string {
  const command = spelled(`gogrid credits history${home.flags}`, world.program);
  return `Sent ${sum} to ${machineName(receiver)}. It waits to be accepted there; ${command} says when it is.\n`;
}

/**
 * The machine that is meant: one that is known, here or away, or whoever has a whole id.
 * @throws GoGridError `usage`, `peer_not_found`
 */
async function receiverIn(node: NodeClient, text: string): Promise<NamedMachine> {
  const [{ peers, away }, self] = await Promise.all([
    node.ask<PeerList>({ path: '/mesh/peers' }),
    node.ask<Identity>({ path: '/identity' }),
  ]);
  const known = [...peers, ...away];
  if (text === self.peerId || text === self.name) {
    throw new GoGridError({ code: 'usage', message: 'that is this machine itself: credits cannot be sent to oneself' });
  }
  // A whole id may be of somebody who was never here.
  if (/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(text))
    return known.find(({ peerId }) => peerId === text) ?? { peerId: text, name: '' };
  const found = findOne<NamedMachine>(
    known,
    text,
    ({ peerId, name }) => ({ id: peerId, name }),
    'peer',
    'peer_not_found',
  );
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

function mustSay({ world, words, home }: Call, sum: string, receiver: NamedMachine, typed: string): GoGridError {
  return new GoGridError({
    code: 'usage',
    message: `${sum} to ${withId(receiver)}: there is no terminal to ask whether that is right; nothing was sent`,
    hint: `with --yes it is sent without asking: ${world.program} credits ${words[0]} ${receiver.peerId} ${typed} --yes${home.flags}`,
  });
}
