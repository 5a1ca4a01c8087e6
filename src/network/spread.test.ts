import { describe, expect, it } from 'vitest';
import { MESH } from '../limits/mesh.ts';
import { createDescriptor, type NetworkDescriptor, reissue, sealDescriptor } from '../protocol/descriptor.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { LiveDescriptor } from './descriptor.ts';
import { DescriptorSpread } from './spread.ts';

const founder = signerFromSeed(new Uint8Array(32).fill(1));
const revisions: NetworkDescriptor[] = [
  createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1 }, {}, founder),
];
for (let at = 0; at < 5; at++) revisions.push(reissue(revisions[at]!, { params: { at } }, founder));
const saying = (revision: number) => ({ revision, descriptorHash: revisions[revision - 1]!.hash });
const sealed = (revision: number) => sealDescriptor(revisions[revision - 1]!);

/** A node at revision 1, with peers that give what they are told to. */
function setUp() {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const said: number[] = [];
  const blamed: string[][] = [];
  const peers = new Map<string, () => Promise<Uint8Array | undefined>>();
  const descriptor = new LiveDescriptor(revisions[0]!, { signer: founder, save: async () => {}, log: silentLogger });
  const spread = new DescriptorSpread({
    descriptor,
    clock,
    log: silentLogger,
    network: {
      async askDescriptor(node) {
        asked.push(node);
        return peers.get(node)?.();
      },
      onViolation: (node, { code }) => void blamed.push([node, code]),
      sayRevision: () => void said.push(descriptor.current.terms.revision),
    },
  });
  return { clock, asked, said, blamed, peers, descriptor, spread };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a hello', () => {
  it('of somebody with a newer one is followed by a question, a change, and a hello to all', async () => {
    const { asked, said, peers, descriptor, spread } = setUp();
    peers.set('a', async () => sealed(2));
    spread.heard('a', saying(2));
    await settled();
    expect({ asked, said, current: descriptor.current }).toEqual({ asked: ['a'], said: [2], current: revisions[1] });
  });

  it('that promises what does not come, or is not true, changes nothing', async () => {
    const { said, blamed, peers, descriptor, spread } = setUp();
    const other = createDescriptor({ ...revisions[0]!.core, createdAt: 9 }, {}, founder);
    peers.set('silent', async () => undefined);
    peers.set('gone', async () => {
      throw new Error('the stream broke');
    });
    peers.set('boaster', async () => sealed(1));
    peers.set('liar', async () => sealDescriptor(reissue(other, {}, founder)));
    for (const node of peers.keys()) spread.heard(node, saying(2));
    await settled();
    expect({ said, current: descriptor.current }).toEqual({ said: [], current: revisions[0] });
    // Only what no honest node sends is held against it.
    expect(blamed).toEqual([['liar', 'protocol_violation']]);
  });

  it('that promises again what did not come is not followed by a question, one that promises more is', async () => {
    const { asked, peers, descriptor, spread } = setUp();
    peers.set('a', async () => undefined);
    for (const revision of [2, 2, 2, 3, 3]) {
      spread.heard('a', saying(revision));
      await settled();
    }
    expect(asked).toHaveLength(2);
    peers.set('a', async () => sealed(4));
    spread.heard('a', saying(4));
    await settled();
    expect({ asked: asked.length, revision: descriptor.current.terms.revision }).toEqual({ asked: 3, revision: 4 });
  });

  it('of somebody who is too busy to answer is followed by a few more questions', async () => {
    const { clock, asked, peers, descriptor, spread } = setUp();
    peers.set('busy', async () => {
      if (asked.length < 3) throw new Error('overloaded');
      return sealed(2);
    });
    spread.heard('busy', saying(2));
    for (let at = 0; at < 10; at++) {
      await settled();
      await clock.advance(MESH.tellDescriptorEveryMs);
    }
    expect({ asked: asked.length, revision: descriptor.current.terms.revision }).toEqual({ asked: 3, revision: 2 });
  });

  it('said twice while the question runs asks once', async () => {
    const { asked, peers, spread } = setUp();
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    peers.set('a', () => promise);
    spread.heard('a', saying(2));
    spread.heard('a', saying(2));
    resolve(sealed(2));
    await settled();
    expect(asked).toEqual(['a']);
  });
});

describe('a change', () => {
  it('is told again, for those whose hello was on its way', async () => {
    const { clock, said, descriptor } = setUp();
    descriptor.take(sealed(2));
    await clock.advance(MESH.tellDescriptorAgainMs);
    expect(said).toEqual([2, 2]);
    await clock.advance(60_000);
    expect(said).toEqual([2, 2]);
  });

  it('after another waits its turn, and the last is always told', async () => {
    const { clock, said, descriptor } = setUp();
    for (const revision of [2, 3, 4, 5]) descriptor.take(sealed(revision));
    expect(said).toEqual([2]);
    await clock.advance(MESH.tellDescriptorEveryMs);
    expect(said).toEqual([2, 5]);
  });

  it('is not told by a node that has stopped', async () => {
    const { clock, said, peers, asked, descriptor, spread } = setUp();
    descriptor.take(sealed(2));
    spread.stop();
    descriptor.take(sealed(3));
    peers.set('a', async () => sealed(4));
    spread.heard('a', saying(2));
    await clock.advance(60_000);
    expect({ said, asked }).toEqual({ said: [2], asked: [] });
  });

  it('leaves nothing behind in a node that has stopped while it waited to ask again', async () => {
    const { clock, asked, peers, spread } = setUp();
    peers.set('busy', async () => {
      throw new Error('overloaded');
    });
    spread.heard('busy', saying(2));
    await settled();
    expect(clock.pending).toBe(1);
    spread.stop();
    await settled();
    expect({ pending: clock.pending, asked }).toEqual({ pending: 0, asked: ['busy'] });
  });
});
