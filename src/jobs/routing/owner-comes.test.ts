/** The owner of a machine needs it while a stranger's answer is being written there, and another machine is idle. */

import { describe, expect, test } from 'vitest';
import { systemClock as clock } from '../../clock.ts';
import { answerTo, collect, question, type SmallNode, smallMesh } from '../../testing/small-mesh.ts';

const never = new AbortController().signal;
const WORDS = 60;

/** One that asks and two with an engine each: 500 tokens a second, and nothing of that is announced. */
function threeNodes(): [SmallNode, SmallNode, SmallNode] {
  const pace = { clock, loadMs: 0, prefillMs: 5, gapMs: () => 2, stopMs: 0 };
  const shape = { words: WORDS, pace };
  return smallMesh({ nodes: [{ models: [] }, shape, shape] }, clock) as [SmallNode, SmallNode, SmallNode];
}

/** An answer in whose midst the owner of its machine asks for another one. @returns whether it went on at the other one */
async function interrupted(nodes: readonly SmallNode[], before = (_other: SmallNode) => {}): Promise<boolean> {
  const [here, ...providers] = nodes;
  let provider = '';
  let own: Promise<unknown> | undefined;
  const { text, done } = await collect(here!.requester.run(question('q'), never), (output, soFar) => {
    if (output.type === 'placed') provider = output.provider;
    if (own !== undefined || soFar.length < 40) return;
    before(providers.find(({ id }) => id !== provider)!);
    const there = providers.find(({ id }) => id === provider)!;
    own = collect(there.requester.run(question('mine', { privacy: 'local' }), never));
  });
  await own;
  expect(text).toBe(answerTo('q', WORDS));
  const [first, second, ...more] = done?.job.attempts ?? [];
  expect([first?.reason, second?.reason, more]).toEqual(['preempted', null, []]);
  return first?.provider !== second?.provider;
}

describe('a job that is handed over for the owner', () => {
  test('goes to an idle machine that has not run the model yet, though this one is known to be fast', async () => {
    const nodes = threeNodes();
    for (const text of ['a', 'b']) {
      const { done } = await collect(nodes[0].requester.run(question(text), never));
      expect(done?.job.provider).toBe('node1');
    }
    expect(await interrupted(nodes)).toBe(true);
  });

  test('goes to a machine that ran a job when it was heard last: that one is half done, the owner has just begun', async () => {
    const nodes = threeNodes();
    let second: ReturnType<typeof collect> | undefined;
    const first = await collect(nodes[0].requester.run(question('a'), never), ({ type }) => {
      if (type === 'placed') second = collect(nodes[0].requester.run(question('b'), never));
    });
    const both = [first, await second];
    expect(both.map((each) => each?.done?.job.provider)).toEqual(['node1', 'node2']);
    const heardBusy = (other: SmallNode) => {
      other.told = { depth: 0, running: 1, at: clock.elapsed() };
    };
    expect(await interrupted(nodes, heardBusy)).toBe(true);
  });
});
