/** A decision of routing in sentences: who, why that one, who else could, who cannot. Pure. */

import type { Job } from '../contract/control.ts';
import type { NameOf } from './machine-names.ts';
import { formatSpan, listed } from './text.ts';

export type Decision = NonNullable<Job['decision']>;
export type Candidate = Decision['candidates'][number];

/** Names that one sentence bears. */
const MOST_NAMES = 4;
/** What is left of an old failure below it makes no difference that a person would see. */
const NOTED_AVOIDANCE = 1.05;

/** All parts together, milliseconds. */
export function totalMs({ expectedMs: { wait, load, prefill, decode, roundTrip } }: Candidate): number {
  return wait + load + prefill + decode + roundTrip;
}

/** Why the first candidate stands in front, of a decision that is made now, or was made then. */
export function choiceSentence({ choice, candidates }: Decision, nameOf: NameOf, when: 'now' | 'then'): string {
  const [first, second] = candidates;
  const now = when === 'now';
  const is = now ? 'is' : 'was';
  if (first === undefined) return `Nobody ${now ? 'can' : 'could'} answer.`;
  switch (choice) {
    case 'only':
      return `It ${is} the only machine that ${now ? 'can' : 'could'}.`;
    case 'here':
      return `It ${is} the machine that ${now ? 'asks' : 'asked'}, and no other ${is} clearly faster.`;
    case 'warm':
      return `It ${now ? 'has' : 'had'} read the beginning of this conversation already.`;
    case 'one-of-two':
      return `Several ${now ? 'are' : 'were'} about as fast: of two that were drawn by lot it ${is} the better one.`;
    case 'fastest':
    case 'none': {
      const faster = candidates.find((each) => totalMs(each) < totalMs(first));
      const but = faster === undefined ? undefined : drawbackOf(faster, first, now);
      if (faster !== undefined && but !== undefined) {
        return capitalised(`${nameOf(faster.node)} ${now ? 'seems' : 'seemed'} faster, but ${but}.`);
      }
      const aheadMs = second === undefined ? 0 : totalMs(second) - totalMs(first);
      const before =
        second === undefined || aheadMs < 1 ? '' : `, ${formatSpan(aheadMs)} before ${nameOf(second.node)}`;
      return `It ${is} expected to be done first${before}.`;
    }
  }
}

/** Why one that would be done sooner stands behind all the same; undefined when nothing but chance is known. */
function drawbackOf(candidate: Candidate, first: Candidate, now: boolean): string | undefined {
  if (candidate.tooShort) return `its context ${now ? 'seems' : 'seemed'} too short for this prompt`;
  if (candidate.failed) return `it ${now ? 'has' : 'had'} failed this job before`;
  if (candidate.otherDigest && !first.otherDigest) return `it ${now ? 'has' : 'had'} another build of the model`;
  if (candidate.avoidance > NOTED_AVOIDANCE) return `it ${now ? 'has' : 'had'} failed lately`;
  return candidate.reliability < first.reliability ? `it ${now ? 'is' : 'was'} less proven` : undefined;
}

/** What is to be known of a candidate beside its times. */
export function noteOf(candidate: Candidate, first: Candidate): string {
  const notes = [
    ...(candidate.failed ? ['failed this job before'] : candidate.avoidance > NOTED_AVOIDANCE ? ['failed lately'] : []),
    ...(candidate.tooShort ? ['its context seems too short for this prompt'] : []),
    ...(candidate.otherDigest ? ['another build of the model'] : []),
    ...(candidate.warmTokens > 0 ? [`remembers ${candidate.warmTokens} tokens of it`] : []),
  ];
  const isBehindThoughFaster = candidate !== first && totalMs(candidate) < totalMs(first);
  if (notes.length === 0 && isBehindThoughFaster && candidate.reliability < first.reliability)
    notes.push('less proven');
  return notes.join(', ');
}

/** A node that was left out; its status where that is known. */
interface LeftOut {
  readonly node: string;
  readonly why: string;
  readonly status?: string;
}

/** One sentence for each reason, the commonest last: that somebody does not have the model is the least of news. */
export function exclusionSentences(
  excluded: readonly LeftOut[],
  privacy: Job['privacy'],
  nameOf: NameOf,
  when: 'now' | 'then',
): string[] {
  const groups = new Map<string, LeftOut[]>();
  for (const each of excluded) groups.set(each.why, [...(groups.get(each.why) ?? []), each]);
  const isCommon = (why: string) => (why === 'no-such-model' ? 1 : 0);
  return [...groups]
    .toSorted(([a], [b]) => isCommon(a) - isCommon(b))
    .map(([why, nodes]) => {
      const names = nodes.map(({ node, status = '' }) =>
        why === 'not-taking-jobs' && status !== '' ? `${nameOf(node)} (${status})` : nameOf(node),
      );
      return capitalised(`${listed(names.toSorted(), MOST_NAMES)} ${predicate(why, names.length > 1, privacy, when)}.`);
    });
}

/** The beginning of a sentence; a machine is written as it is called. */
export function capitalised(sentence: string): string {
  return sentence.startsWith('this machine') ? `T${sentence.slice(1)}` : sentence;
}

/** The end of a sentence about one machine or several. */
function predicate(why: string, many: boolean, privacy: Job['privacy'], when: 'now' | 'then'): string {
  const now = when === 'now';
  const has = now ? (many ? 'have' : 'has') : 'had';
  const is = now ? (many ? 'are' : 'is') : many ? 'were' : 'was';
  const doesNot = now ? (many ? 'do not' : 'does not') : 'did not';
  const cannot = now ? 'cannot' : 'could not';
  switch (why) {
    case 'no-such-model':
      return `${doesNot} have this model`;
    case 'other-digest':
      return `${has} another build of this model than the one that ${now ? 'is' : 'was'} asked for`;
    case 'cannot-chat':
      return `${has} it only for embeddings`;
    case 'cannot-embed':
      return `${cannot} make embeddings with it`;
    case 'no-tools':
      return `${cannot} call tools with it`;
    case 'no-vision':
      return `${cannot} look at images with it`;
    case 'no-thinking':
      return `${cannot} think with it`;
    case 'no-insert':
      return `${cannot} fill in the middle of a text with it`;
    case 'cannot-continue':
      return `${cannot} go on with an answer that another machine began`;
    case 'privacy':
      return privacy === 'friends'
        ? `${is} not on the list of friends (gogrid peers friend), and the prompt may go to friends alone`
        : `may not see the prompt: it stays on this machine (privacy ${privacy ?? 'local'})`;
    case 'not-admitted':
      return `${is} not admitted: the users of both machines have to accept (gogrid peers)`;
    case 'unreachable':
      return `${cannot} be reached`;
    case 'not-taking-jobs':
      return now ? `${many ? 'take' : 'takes'} no jobs now` : 'took no jobs then';
    default:
      return `${is} left out (${why})`;
  }
}
