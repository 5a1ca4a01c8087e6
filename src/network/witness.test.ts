import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hexOf } from '../ledger/entries/fields.ts';
import { LEDGER } from '../limits/ledger.ts';
import type { WitnessAsk } from '../protocol/ledger.ts';
import { attest, FOUNDER, meshOf, Writer } from '../testing/ledger/authors.ts';
import { startLoopbackNode, startStranger, stopLoopbackNodes } from '../testing/loopback-mesh.ts';
import { encodeFrame } from './frames.ts';
import type { LedgerHandlers } from './ports.ts';
import { WITNESS_PROTOCOL } from './protocols.ts';

vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const never = new AbortController().signal;
const mesh = meshOf({ witnesses: 1 });
const entry = new Writer(mesh, FOUNDER).transfer('A', 1n);
const { sealed } = attest(mesh, 'W1', entry);
const name = (): [Uint8Array, number, Uint8Array] => [
  Buffer.from(entry.author, 'hex'),
  entry.sequence,
  Buffer.from(entry.id, 'hex'),
];

async function pair(attest: LedgerHandlers['attest']) {
  const ledger = { onHint: () => 'ignore' as const, answer: () => Promise.reject(new Error('unused')), attest };
  const witness = await startLoopbackNode({ networkId: mesh.networkId, ledger });
  const node = await startLoopbackNode({ networkId: mesh.networkId, bootstrap: [witness.address()] });
  await vi.waitFor(() => expect([node.network.admitted(), witness.network.admitted()]).toEqual([1, 1]), soon);
  return { witness, node };
}

describe('a witness', () => {
  it('is asked for attestations, and knows who asks', async () => {
    const asked: [WitnessAsk, string][] = [];
    const { witness, node } = await pair(async (ask, from) => {
      asked.push([ask, from]);
      return { type: 'attestations', attestations: [sealed] };
    });
    const answer = await node.network.witness.ask(witness.id, { type: 'attest', names: [name()] }, never);
    expect(answer.type === 'attestations' && answer.attestations.map(hexOf)).toEqual([hexOf(sealed)]);
    expect(asked.map(([ask, from]) => [ask.type, from])).toEqual([['attest', node.id]]);
  });

  it('says when it would attest a release alone', async () => {
    const { witness, node } = await pair(async (ask) => {
      expect(ask).toMatchObject({ type: 'may-release', leg: 1, cumulative: 7n });
      return { type: 'may-release', inSecs: 3 };
    });
    const ask = { type: 'may-release', hold: name(), leg: 1, cumulative: 7n } as const;
    expect(await node.network.witness.ask(witness.id, ask, never)).toEqual({ type: 'may-release', inSecs: 3 });
  });

  it('that answers another question is not believed', async () => {
    const { witness, node } = await pair(async () => ({ type: 'may-release' }));
    await expect(
      node.network.witness.ask(witness.id, { type: 'attest', names: [name()] }, never),
    ).rejects.toMatchObject({ code: 'protocol_violation' });
  });

  it('is asked no more often than it bears', async () => {
    const { witness, node } = await pair(async () => ({ type: 'attestations', attestations: [] }));
    const asks = Array.from({ length: LEDGER.maxWitnessAsksAtOnce + 5 }, async () => {
      await node.network.witness.ask(witness.id, { type: 'attest', names: [] }, never);
    });
    const results = await Promise.allSettled(asks);
    expect(results.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
  });

  it('is nobody who is none, and hears no stranger', async () => {
    const { witness, node } = await pair(undefined);
    await expect(node.network.witness.ask(witness.id, { type: 'attest', names: [] }, never)).rejects.toMatchObject({
      code: 'peer_unreachable',
    });
    const attesting = await startLoopbackNode({
      networkId: mesh.networkId,
      ledger: {
        onHint: () => 'ignore',
        answer: () => Promise.reject(new Error('unused')),
        attest: () => Promise.reject(new Error('a stranger was heard')),
      },
    });
    const connection = await (await startStranger()).dial(multiaddr(attesting.address()));
    const stream = await connection.newStream(WITNESS_PROTOCOL);
    stream.send(encodeFrame({ type: 'attest', names: [] }));
    await vi.waitFor(() => expect(stream.readableEnded || stream.status !== 'open').toBe(true), soon);
  });
});
