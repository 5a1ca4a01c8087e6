import type { GossipSubComponents } from '@libp2p/gossipsub';
import type { Connection, PeerId, Topology } from '@libp2p/interface';
import { describe, expect, it, vi } from 'vitest';
import { settle } from '../testing/virtual-clock.ts';
import { gated } from './gate.ts';

/** A topology behind the gate, as libp2p's registrar would call it, and a peer that is admitted when the test says so. */
async function setUp() {
  const topology = { onConnect: vi.fn(), onDisconnect: vi.fn() };
  let behind: Topology | undefined;
  const registrar = {
    register: async (_protocol: string, given: Topology) => {
      behind = given;
      return '1';
    },
  } as unknown as GossipSubComponents['registrar'];
  const visits: PromiseWithResolvers<boolean>[] = [Promise.withResolvers()];
  const onceAdmitted = vi.fn(() => visits.at(-1)!.promise);
  const admission = { onceAdmitted, connectionsTo: () => [], guard: vi.fn(), accepts: vi.fn(), whenAdmitted: vi.fn() };
  await gated({ registrar }, admission as never).registrar.register('/p/1', topology);
  const peer = { toString: () => 'node' } as PeerId;
  const connection = { status: 'open' } as Connection;
  const identify = () => void behind?.onConnect?.(peer, connection);
  return { topology, onceAdmitted, visits, identify, leave: () => behind?.onDisconnect?.(peer) };
}

describe('a peer that waits', () => {
  it('is waited for once, however often it identifies itself, and told of when it is admitted', async () => {
    const { topology, onceAdmitted, visits, identify } = await setUp();
    for (let n = 0; n < 1_000; n++) identify();
    expect(onceAdmitted).toHaveBeenCalledOnce();
    visits[0]!.resolve(true);
    await settle();
    expect(topology.onConnect).toHaveBeenCalledOnce();
  });

  it('that left and comes again is waited for again', async () => {
    const { topology, visits, identify, leave } = await setUp();
    identify();
    visits[0]!.resolve(false);
    await settle();
    await leave();
    visits.push(Promise.withResolvers());
    identify();
    visits[1]!.resolve(true);
    await settle();
    expect([topology.onConnect.mock.calls.length, topology.onDisconnect.mock.calls.length]).toEqual([1, 0]);
  });
});
