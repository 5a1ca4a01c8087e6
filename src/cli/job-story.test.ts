import { describe, expect, it } from 'vitest';
import type { Job } from '../contract/control.ts';
import { EXCLUSIONS } from '../jobs/routing/decision.ts';
import { jobRecord, testDecision } from '../testing/small-api.ts';
import { choiceSentence, exclusionSentences, noteOf } from './decision-text.ts';
import { jobHeadline, jobStory, seers, waitSentence } from './job-story.ts';
import { namesOf } from './machine-names.ts';

const nameOf = namesOf('me', [
  { peerId: 'k', name: 'kitchen' },
  { peerId: 'a', name: 'attic' },
  { peerId: 's', name: 'shed' },
]);

const candidate = (node: string, waitMs: number, more: Partial<Candidate> = {}): Candidate => ({
  ...testDecision.candidates[0]!,
  node,
  expectedMs: { wait: waitMs, load: 0, prefill: 100, decode: 2_000, roundTrip: 2 },
  ...more,
});
type Decision = NonNullable<Job['decision']>;
type Candidate = Decision['candidates'][number];

const decision = (more: Partial<Decision> = {}): Decision => ({
  ...testDecision,
  choice: 'fastest',
  candidates: [candidate('k', 0), candidate('a', 2_500)],
  excluded: [],
  ...more,
});

const part = (provider: string, fromToken: number, toToken: number, more: Partial<Job['attempts'][number]> = {}) => ({
  provider,
  startedAt: 1_000,
  endedAt: 9_000,
  fromToken,
  toToken,
  reason: null,
  digest: 'd',
  ...more,
});

/** A job of this machine that kitchen ran. */
const job = (more: Partial<Job> = {}): Job =>
  ({
    ...jobRecord(),
    requester: 'me',
    provider: 'k',
    decision: decision(),
    attempts: [part('k', 0, 212)],
    seenBy: ['k'],
    createdAt: 1_000,
    firstTokenAt: 4_000,
    endedAt: 9_000,
    tokensOut: 212,
    tokensPerSecond: 42.4,
    ...more,
  }) as Job;

const story = (more: Partial<Job> = {}) =>
  Object.fromEntries(jobStory(job(more), nameOf, 11_000).map(([question, answer]) => [question, answer.join('\n')]));

describe('why there', () => {
  it('says who stood first, why, who stood behind, and who could not', () => {
    const excluded = [
      { node: 's', why: 'no-such-model' },
      { node: 'x', why: 'not-taking-jobs' },
    ];
    expect(story({ decision: decision({ excluded }) })['why there']).toBe(
      [
        'kitchen stood first, with about 2.1 s. It was expected to be done first, 2.5 s before attic.',
        'Behind it stood attic (about 4.6 s).',
        'x took no jobs then.',
        'shed did not have this model.',
      ].join('\n'),
    );
  });

  it('says when the first one was full, or failed', () => {
    const full = story({ provider: 'a', attempts: [part('a', 0, 212)], seenBy: ['k', 'a'] })['why there'];
    expect(full).toContain('But it did not take it, and the next to take it was attic (about 4.6 s).');
    const unsent = story({ provider: 'a', attempts: [part('a', 0, 212)], seenBy: ['a'] })['why there'];
    expect(unsent).toContain('But it was not sent it, and the next to take it was attic');
    const attempts = [part('k', 0, 0, { reason: 'peer_unreachable', digest: null }), part('a', 0, 212)];
    expect(story({ provider: 'a', attempts })['why there']).toContain('But it failed');
  });

  it('of a job that waits says what is known by now', () => {
    const waits: Partial<Job> = { state: 'queued', provider: null, attempts: [], endedAt: null, firstTokenAt: null };
    const waiting = { where: 'mesh', ahead: 2, estimateMs: 14_000 } as const;
    expect(story({ ...waits, waiting })['why there']).toContain('Nobody that was asked takes another job now.');
    expect(story({ ...waits, waiting, decision: null })['why there']).toContain('others wait for the same');
  });

  it('of one that broke off says who had it, and does not say that nobody could answer it', () => {
    const broken: Partial<Job> = {
      state: 'failed',
      reason: 'shutting_down',
      provider: 'a',
      decision: decision({ candidates: [], choice: 'none' }),
      attempts: [part('a', 0, 100, { reason: 'shutting_down', endedAt: 5_000 })],
      tokensOut: 100,
    };
    const { 'why there': why, 'how long': long } = story(broken);
    expect(why).toBe(
      'It was with attic first. Of the last time it was placed:\nThen nobody was there who could go on.',
    );
    expect(long).toContain('At token 100 attic stopped: that machine was shutting down.');
    expect(long).toContain('For 4.0 s nobody went on with it.');
    expect(long).toContain('It ended early: that machine was shutting down.');
    expect(story({ ...broken, attempts: [], tokensOut: 0 })['why there']).toBe('Nobody could answer it.');
  });

  it('of one that moved names those before, whose decision is not kept', () => {
    const attempts = [part('k', 0, 40, { reason: 'preempted' }), part('a', 40, 212)];
    expect(story({ provider: 'a', attempts, seenBy: ['k', 'a'] })['why there']).toMatch(
      /^It was with kitchen first\. Of the last time it was placed:\n/,
    );
  });

  it('of a peer’s job leaves it to the peer', () => {
    expect(story({ direction: 'in', requester: 'k', provider: 'me', decision: null })['why there']).toMatch(/^kitchen/);
  });
});

describe('how long', () => {
  it('says what was expected, and what it took', () => {
    expect(story({ decision: decision({ candidates: [candidate('k', 900)] }) })['how long']).toBe(
      [
        'The first word came after 3.0 s; expected were 1.0 s (0.9 s waiting, 0.1 s reading the question).',
        'Writing 212 tokens took 5.0 s, 42.4 a second.',
      ].join('\n'),
    );
  });

  it('tells of the line at home, and of each move with its reason', () => {
    const attempts = [
      part('s', 0, 0, { startedAt: 2_000, endedAt: 2_010, reason: 'peer_unreachable', digest: null }),
      part('k', 0, 40, { startedAt: 2_020, endedAt: 5_000, reason: 'preempted' }),
      part('a', 40, 90, { startedAt: 5_200, endedAt: 6_000, reason: 'provider_lost' }),
      part('a', 90, 212, { startedAt: 6_010 }),
    ];
    const text = story({ attempts })['how long'] ?? '';
    expect(text).toContain('For 1.0 s no machine took it.');
    expect(text).toContain('Writing 212 tokens took 5.0 s; its last machine wrote 42.4 a second.');
    expect(text).toContain('shed did not take it: that machine could not be reached; kitchen was asked.');
    expect(text).toContain(
      'At token 40 kitchen stopped: the owner of that machine needed it, or it paused; attic went on 0.2 s later.',
    );
    expect(text).toContain(
      'At token 90 attic stopped: the connection to that machine broke, or it fell silent; it went on there.',
    );
  });

  it('says that somebody went on only of one that took it', () => {
    const attempts = [
      part('k', 0, 40, { reason: 'engine_failed' }),
      part('k', 40, 40, { startedAt: 9_000, reason: 'engine_failed', digest: null }),
    ];
    const text = story({ state: 'failed', reason: 'engine_failed', attempts })['how long'] ?? '';
    expect(text).toContain(
      'kitchen stopped: the engine there failed, or the owner of that machine cancelled the job; it was tried there again.',
    );
    expect(text).not.toContain('went on there');
  });

  it('of a living job says what it waits for now', () => {
    const living: Partial<Job> = { state: 'queued', endedAt: null, firstTokenAt: null, tokensOut: 0, attempts: [] };
    const waiting = { where: 'queue', ahead: 2, estimateMs: 14_000 } as const;
    const text = story({ ...living, waiting })['how long'];
    expect(text).toContain('It waits: 2 before it on kitchen, about 14 s.');
    expect(text).toContain('It has waited 10 s for its first word');
  });

  it('of one that failed says why', () => {
    const text = story({ state: 'failed', reason: 'interrupted', firstTokenAt: null })['how long'];
    expect(text).toContain('It ended after 8.0 s, without a word.');
    expect(text).toContain('It ended early: this node ended without a word while it ran.');
  });
});

describe('who saw it', () => {
  it.each([
    [{}, 'kitchen, beside this machine. It could have gone to any machine of the mesh (privacy mesh).'],
    [{ seenBy: ['a', 'k'] }, 'attic did not take it, and had been sent it by then.'],
    [{ seenBy: [], privacy: 'local' as const }, 'Only this machine. It was not to leave it (privacy local).'],
    [{ seenBy: ['me'], privacy: 'own' as const }, 'Only this machine.'],
    [{ privacy: 'friends' as const }, 'any friend (privacy friends)'],
    [{ direction: 'in' as const, requester: 'k' }, 'kitchen, which asked, and this machine, which ran it.'],
  ])('%j', (more, text) => {
    expect(story(more)['who saw it']).toContain(text);
  });

  it('is a list of names', () => {
    expect(seers(job({ seenBy: ['a', 'k'] }), nameOf)).toBe('attic, kitchen');
    expect(seers(job({ seenBy: ['me'] }), nameOf)).toBe('this machine alone');
    expect(seers(job({ direction: 'in', requester: 'k' }), nameOf)).toBe('kitchen, this machine');
  });
});

it('the headline says what it came to', () => {
  expect(jobHeadline(job(), nameOf, 0)).toBe('completed after 8.0 s: 212 tokens of tiny:latest, by kitchen');
  const attempts = [part('k', 0, 1), part('a', 1, 1)];
  expect(jobHeadline(job({ attempts, tokensOut: 1 }), nameOf, 0)).toContain('1 token of tiny:latest, by kitchen');
  const living = job({ state: 'queued', endedAt: null, tokensOut: 0, attempts: [] });
  expect(jobHeadline(living, nameOf, 3_000)).toBe('queued for 2.0 s: tiny:latest');
});

it.each<[Partial<Job>, string | undefined]>([
  [{}, undefined],
  [{ state: 'handing-over' }, 'moving to another machine'],
  [
    { waiting: { where: 'mesh', ahead: 2, estimateMs: 14_000 } },
    'no machine takes another job of yours now, 2 before it, about 14 s',
  ],
  [{ waiting: { where: 'queue', ahead: 0 } }, 'it is next on kitchen'],
  [{ waiting: { where: 'queue', ahead: 1 } }, '1 before it on kitchen'],
  [{ waiting: { where: 'queue', ahead: 1, estimateMs: 40 } }, '1 before it on kitchen, less than a second'],
  [{ waiting: { where: 'queue', ahead: 1, estimateMs: 5_240 } }, '1 before it on kitchen, about 5 s'],
  [{ waiting: { where: 'queue', ahead: 9, estimateMs: 125_000 } }, '9 before it on kitchen, about 2m 5s'],
  [{ waiting: { where: 'engine', phase: 'loading' } }, 'kitchen loads the model'],
  [{ waiting: { where: 'engine', phase: 'prefill' } }, 'kitchen reads the question'],
])('%j waits: %s', (more, text) => {
  expect(waitSentence(job(more), nameOf)).toBe(text);
});

describe('a decision', () => {
  it.each([
    ['only', 'It is the only machine that can.'],
    ['here', 'It is the machine that asks, and no other is clearly faster.'],
    ['warm', 'It has read the beginning of this conversation already.'],
    ['one-of-two', 'Several are about as fast: of two that were drawn by lot it is the better one.'],
    ['fastest', 'It is expected to be done first, 2.5 s before attic.'],
  ] as const)('%s: %s', (choice, sentence) => {
    expect(choiceSentence(decision({ choice }), nameOf, 'now')).toBe(sentence);
  });

  it.each([
    [{ avoidance: 2 }, 'Attic seems faster, but it has failed lately.'],
    [{ failed: true }, 'Attic seems faster, but it has failed this job before.'],
    [{ tooShort: true }, 'Attic seems faster, but its context seems too short for this prompt.'],
    [{ reliability: 0.2 }, 'Attic seems faster, but it is less proven.'],
    [{}, 'It is expected to be done first.'],
  ])('does not say that the first is done first where the table says otherwise: %j', (more, sentence) => {
    const candidates = [candidate('k', 2_500), candidate('a', 0, more)];
    const said = choiceSentence(decision({ candidates }), nameOf, 'now');
    expect(said.toLowerCase()).toBe(sentence.toLowerCase());
  });

  it('has a sentence for every exclusion, of one and of many', () => {
    for (const why of EXCLUSIONS) {
      for (const when of ['now', 'then'] as const) {
        const one = exclusionSentences([{ node: 'k', why }], 'friends', nameOf, when);
        const many = exclusionSentences(
          ['k', 'a', 's'].map((node) => ({ node, why })),
          'friends',
          nameOf,
          when,
        );
        expect(one[0], why).toMatch(/^kitchen .*\.$/);
        expect(many[0], why).toMatch(/^attic, kitchen and shed .*\.$/);
        // A reason without words of its own is shown by its code, which nobody outside this program understands.
        expect(one[0]).not.toContain('left out');
      }
    }
  });

  it('tells the least news last, and no more names than one reads', () => {
    const nodes = Array.from({ length: 9 }, (_, n) => ({ node: `n${n}`, why: 'no-such-model' }));
    const texts = exclusionSentences([...nodes, { node: 'k', why: 'unreachable' }], 'mesh', nameOf, 'now');
    expect(texts).toEqual(['kitchen cannot be reached.', 'n0, n1, n2, n3 and 5 more do not have this model.']);
  });

  it('has a note for what the times do not say', () => {
    const first = candidate('k', 100);
    expect(noteOf(first, first)).toBe('');
    expect(noteOf(candidate('a', 0, { avoidance: 2, warmTokens: 30 }), first)).toBe(
      'failed lately, remembers 30 tokens of it',
    );
    expect(noteOf(candidate('a', 0, { failed: true, otherDigest: true }), first)).toBe(
      'failed this job before, another build of the model',
    );
    expect(noteOf(candidate('a', 0, { reliability: 0.2 }), first)).toBe('less proven');
  });
});

it('two machines of one name are told apart, and no name steers the terminal', () => {
  const named = namesOf('me', [
    { peerId: 'first-one', name: 'box' },
    { peerId: 'other-one', name: 'box' },
    { peerId: 'c', name: 'a\u001bb' },
  ]);
  expect(named('first-one')).toBe('box (first-one)');
  expect(named('other-one')).toBe('box (other-one)');
  expect(named('c')).toBe('a\ufffdb');
  expect(named('me')).toBe('this machine');
  expect(named('12D3KooWStrangerabcdefgh')).toBe('12D3KooW…cdefgh');
});
