import { describe, expect, it } from 'vitest';
import { ROUTING } from '../../limits/jobs.ts';
import type { ChatInput } from '../../protocol/job.ts';
import { asking, MODEL, ONE, OTHER, type Peer, routerAmong, signal, tool } from '../../testing/small-router.ts';
import type { Exclusion, RouteQuery } from './decision.ts';
import { demandOf } from './demand.ts';

describe('who is left out, and why', () => {
  const picture: ChatInput['messages'] = [{ role: 'user', content: 'what is it?', images: ['aGk='] }];
  const cases: [why: Exclusion, peer: Partial<Peer>, query?: Partial<RouteQuery>, input?: Partial<ChatInput>][] = [
    ['other-digest', { model: { digest: OTHER } }, { ref: { name: MODEL, digest: ONE } }],
    ['privacy', {}, { privacy: 'local' }],
    ['privacy', {}, { privacy: 'own' }],
    ['privacy', {}, { privacy: 'friends' }],
    ['not-taking-jobs', { status: 'paused' }],
    ['not-taking-jobs', { status: 'draining' }],
    ['cannot-continue', { model: { continues: 'no' } }, { delivered: 3 }],
    ['cannot-chat', { model: { capabilities: ['embedding'] } }],
    ['no-tools', {}, {}, { tools: [tool] }],
    ['no-vision', {}, {}, { messages: picture }],
    ['no-thinking', {}, {}, { think: 'high' }],
    ['no-insert', {}, { input: { kind: 'generate', prompt: 'a', suffix: 'b' } }],
    ['cannot-embed', { model: { capabilities: ['rerank'] } }, { input: { kind: 'embed', inputs: ['x'] } }],
  ];

  it.each(cases)('%s: %j %j %j', async (why, peer, query, input) => {
    const { router } = routerAmong([{ node: 'peer', ...peer }], {});
    const asked = asking(query, input);
    const { excluded } = await router.decide(asked, signal);
    expect(excluded).toContainEqual({ node: 'peer', why });
    expect(router.suits({ ...asked, demand: demandOf(asked.input) }, 'peer')).toBe(false);
  });

  it('what nobody says excludes nobody', async () => {
    const silent = { capabilities: [], contextLength: 0, continues: 'unknown' } as const;
    const { router } = routerAmong([{ node: 'peer', model: silent }]);
    const query = asking({ delivered: 3 }, { tools: [tool], messages: picture, think: true });
    expect((await router.decide(query, signal)).candidates).toMatchObject([{ node: 'peer' }]);
    expect(router.suits({ ...query, demand: demandOf(query.input) }, 'peer')).toBe(true);
    expect(router.suits({ ...query, demand: demandOf(query.input) }, 'nobody')).toBe(false);
  });

  it('nobody for what this job does not need', async () => {
    const { router } = routerAmong([{ node: 'peer', model: { continues: 'no' } }]);
    const query = asking({}, { tools: [], think: false });
    expect((await router.decide(query, signal)).candidates).toMatchObject([{ node: 'peer' }]);
  });

  it('this machine when it has no such model, a peer that was not let in, and one that was not reached', async () => {
    const { router } = routerAmong([{ node: 'stranger' }, { node: 'lost' }], undefined, {
      usable: () => false,
      outOfReach: (node) => node === 'lost',
    });
    expect((await router.decide(asking(), signal)).excluded).toEqual([
      { node: 'me', why: 'no-such-model' },
      { node: 'stranger', why: 'not-admitted' },
      { node: 'lost', why: 'unreachable' },
    ]);
  });

  it('a context too short for the prompt stands last, and is not left out', async () => {
    const short = { node: 'short', model: { contextLength: 4_096 }, latencyMs: 1 };
    const long = { node: 'long', model: { contextLength: 131_072 }, latencyMs: 900 };
    const { router } = routerAmong([short, long]);
    const query = asking({}, { messages: [{ role: 'user', content: 'x'.repeat(20_000) }] });
    const { candidates, excluded } = await router.decide(query, signal);
    expect(candidates).toMatchObject([
      { node: 'long', tooShort: false },
      { node: 'short', tooShort: true },
    ]);
    expect(excluded).toEqual([{ node: 'me', why: 'no-such-model' }]);
  });

  it('nobody for an answer that may become long, whatever context another claims to have', async () => {
    const { router } = routerAmong([{ node: 'boaster', model: { contextLength: 1e9 }, latencyMs: 900 }], {
      contextLength: 4_096,
    });
    const { candidates } = await router.decide(asking({}, { options: { num_predict: 8_192 } }), signal);
    expect(candidates.map(({ node }) => node)).toEqual(['me', 'boaster']);
  });

  it('keeps a decision bounded, with one of every reason', async () => {
    const many = Array.from({ length: 200 }, (_, i) => ({ node: `n${i}` }));
    const { router } = routerAmong(many);
    expect((await router.decide(asking(), signal)).candidates).toHaveLength(ROUTING.maxCandidates);
    const far = [...many, { node: 'paused', status: 'paused' as const }];
    const friends = routerAmong(far, undefined, { isFriend: (node) => node === 'paused' });
    const { excluded } = await friends.router.decide(asking({ privacy: 'friends' }), signal);
    expect(excluded).toHaveLength(ROUTING.maxExcluded);
    expect(new Set(excluded.map(({ why }) => why))).toEqual(new Set(['no-such-model', 'privacy', 'not-taking-jobs']));
  });
});

describe('where it looks', () => {
  it('asks the DHT only on a miss, and takes what it confirmed', async () => {
    const { router, present, asked } = routerAmong([], undefined, {
      link: {
        latencyMs: () => undefined,
        findProviders: async (model) => {
          asked.push(model);
          present.push({ node: 'found' });
          return 1;
        },
      },
    });
    expect((await router.decide(asking(), signal)).candidates).toMatchObject([
      { node: 'found', expectedMs: { roundTrip: ROUTING.priorRoundTripMs } },
    ]);
    await router.decide(asking(), signal);
    expect(asked).toEqual([MODEL]);
  });

  it('asks nobody about what may not leave this machine', async () => {
    const { router, asked } = routerAmong([]);
    for (const privacy of ['local', 'own'] as const) await router.decide(asking({ privacy }), signal);
    expect(asked).toEqual([]);
    await router.decide(asking({ privacy: 'friends' }), signal);
    expect(asked).toEqual([MODEL]);
  });

  it('among friends knows only friends', async () => {
    const { router } = routerAmong([{ node: 'friend' }, { node: 'stranger' }], undefined, {
      isFriend: (node) => node === 'friend',
    });
    const { candidates, excluded } = await router.decide(asking({ privacy: 'friends' }), signal);
    expect(candidates).toMatchObject([{ node: 'friend' }]);
    expect(excluded).toContainEqual({ node: 'stranger', why: 'privacy' });
  });
});
