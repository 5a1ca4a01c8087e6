/** Credits as people and programs meet them at real nodes: the command line, a client that tries again, and one that listens. */

import path from 'node:path';
import { expect } from 'vitest';
import { nodeEvent } from '../../src/contract/events.ts';
import { balanceOf, CREDIT, CreditMesh, untilFinal, untilSigning } from '../harness/credits.ts';
import type { NodeProcess } from '../harness/node-process.ts';
import { scenario } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

scenario('credits by hand: granted, sent, looked at and checked (E15, G36)', { within: 60_000 }, async (stage) => {
  const mesh = await CreditMesh.found(stage);
  const { founder } = mesh;
  const kitchen = await mesh.join('kitchen');
  await untilSigning(founder, kitchen);
  const gogrid = async (node: NodeProcess, ...args: string[]) => {
    const { code, stdout, stderr } = await stage.gogrid([...args, '--home', node.home]);
    expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
    return stdout;
  };

  expect(await gogrid(founder, 'credits', 'grant', 'kitchen', '100', '--yes')).toContain(
    'Sent 100 credits to kitchen.',
  );
  await untilFinal(kitchen, 100n * CREDIT);
  await gogrid(kitchen, 'credits', 'transfer', founder.peerId, '1.5', '--memo', 'thanks', '--yes');
  const settled = async () => (await gogrid(kitchen, 'credits', 'history')).includes('waits') === false;
  await until(settled, { what: 'the transfer to be booked', within: 20_000 });
  const history = await gogrid(kitchen, 'credits', 'history');
  expect(history).toMatch(/-1\.5 +sent +\S+ +thanks +final$/m);
  expect(history).toMatch(/\+100 +received +\S+ +grant +final$/m);
  expect(await gogrid(kitchen, 'credits')).toMatch(/^today +0 +0 +100 +1\.5$/m);
  expect(await gogrid(kitchen, 'ledger')).toMatch(/^signing +ready to sign$/m);
  expect(await gogrid(founder, 'ledger', 'verify')).toContain('4 entries of 2 accounts, 4 final');
  const doctor = await stage.gogrid(['doctor', '--home', kitchen.home]);
  expect(doctor.stdout).toMatch(/^ok +credits +ready to pay and to book; 1 of 1 witnesses/m);

  // Without a terminal nothing is sent that nobody confirmed; more than there is never.
  const unasked = await stage.gogrid(['credits', 'transfer', founder.peerId, '1', '--home', kitchen.home]);
  expect(unasked).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--yes') });
  const tooMuch = await stage.gogrid(['credits', 'transfer', founder.peerId, '99', '--yes', '--home', kitchen.home]);
  expect(tooMuch).toMatchObject({ code: 5, stderr: expect.stringContaining('98.5 credits') });

  // An export needs no node and no home.
  const file = path.join(stage.folder, 'ledger.jsonl');
  await gogrid(kitchen, 'ledger', 'export', file);
  for (const node of [founder, kitchen]) await node.stop();
  const checked = await stage.gogrid(['ledger', 'verify', file, '--home', path.join(stage.folder, 'nowhere')]);
  expect(checked.code).toBe(0);
  expect(checked.stdout).toContain(`${kitchen.peerId}  98.5`);
});

scenario(
  'a client that tries again, and one that comes back, miss and repeat nothing',
  { within: 60_000 },
  async (stage) => {
    const mesh = await CreditMesh.found(stage);
    const kitchen = await mesh.join('kitchen');
    await untilSigning(mesh.founder, kitchen);
    const first = await listen(mesh.founder);
    const order = { to: kitchen.peerId, amountMicrocredits: String(5n * CREDIT), requestId: 'order-1' };
    const sent = await mesh.founder.post('/credits/transfer', order);
    await until(() => first.types().includes('entry-final'), { what: 'the news that it is final', within: 20_000 });
    await first.close();

    // Killed and started again: the same order is the same transfer, before the node knows where its log ends.
    await mesh.founder.kill();
    const back = await mesh.again(mesh.founder, [kitchen]);
    expect(await back.post('/credits/transfer', order)).toMatchObject({ ...pick(sent, 'name'), repeated: true });
    expect(await balanceOf(back)).toMatchObject({ availableMicrocredits: String(mesh.genesis - 5n * CREDIT) });

    // Ids of another start say nothing in this one, and the client is told.
    const second = await listen(back, first.lastId());
    await until(() => second.types().length > 0, { what: 'the first event', within: 5_000 });
    expect(second.types()[0]).toBe('missed');
    await untilSigning(back);
    await back.post('/credits/transfer', { ...order, requestId: 'order-2' });
    await until(() => second.types().includes('credits'), { what: 'the news of the balance', within: 20_000 });
    await second.close();
    await untilFinal(kitchen, 10n * CREDIT);
    const third = await listen(back, second.lastId());
    const isTold = () => [...second.types(), ...third.types()].includes('entry-final');
    await until(isTold, { what: 'the news that it is final', within: 20_000 });
    expect(third.types()).not.toContain('missed');
    const numbers = [...second.ids(), ...third.ids()].map((id) => Number(id.split('-')[1]));
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
    await third.close();
  },
);

interface Listener {
  /** Types of the events so far. */
  types(): string[];
  ids(): string[];
  lastId(): string;
  close(): Promise<void>;
}

async function listen(node: NodeProcess, lastId?: string): Promise<Listener> {
  const aborter = new AbortController();
  const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId };
  const { body } = await node.fetch('/events', { headers, signal: aborter.signal });
  let text = '';
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const part of body as unknown as AsyncIterable<Uint8Array>)
      text += decoder.decode(part, { stream: true });
  })().catch(() => undefined);
  const found = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, value = '']) => value);
  return {
    types: () => found(/^data: (.*)\n\n/gm).map((data) => nodeEvent.parse(JSON.parse(data)).type),
    ids: () => found(/^id: (.*)\nevent/gm),
    lastId: () => found(/^id: (.*)$/gm).at(-1) ?? '',
    async close() {
      aborter.abort();
      await reading;
    },
  };
}

function pick(value: unknown, field: string): object {
  return { [field]: (value as Record<string, unknown>)[field] };
}
