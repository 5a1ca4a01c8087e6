/** What became of a job, in sentences: why there, why so slow, who saw it. Pure. */

import type { Job, ListedJob } from '../contract/control.ts';
import { type Candidate, capitalised, choiceSentence, exclusionSentences, totalMs } from './decision-text.ts';
import type { NameOf } from './machine-names.ts';
import { aboutSpan, formatSpan, listed, tokensText } from './text.ts';

/** Names that one sentence bears. */
const MOST_NAMES = 6;
/** Milliseconds in line that a person notices; and those between two machines. */
const NOTED_WAIT_MS = 500;
const NOTED_GAP_MS = 50;

/** Each question that a person has of a job, with the sentences that answer it. */
export function jobStory(job: Job, nameOf: NameOf, now: number): readonly (readonly [string, readonly string[]])[] {
  return [
    ['why there', whyThere(job, nameOf)],
    ['how long', howLong(job, nameOf, now)],
    ['who saw it', whoSawIt(job, nameOf)],
  ];
}

/** What it came to, in one line: `completed after 8.8 s: 212 tokens of tiny:latest, by kitchen, then attic`. */
export function jobHeadline(job: Job, nameOf: NameOf, now: number): string {
  const { state, createdAt, endedAt, tokensOut, attempts, model } = job;
  const names = [...new Set(attempts.filter((part) => part.toToken > part.fromToken).map(({ provider }) => provider))];
  const by = names.length === 0 ? '' : `, by ${names.map(nameOf).join(', then ')}`;
  const tokens = tokensText(tokensOut);
  const when = `${endedAt === null ? 'for' : 'after'} ${formatSpan((endedAt ?? now) - createdAt)}`;
  return `${state} ${when}: ${tokensOut === 0 ? '' : `${tokens} of `}${model}${by}`;
}

/* ---- why there ---- */

function whyThere(job: Job, nameOf: NameOf): string[] {
  const { decision, direction, provider, requester, attempts, privacy } = job;
  if (direction === 'in') return [`${nameOf(requester)} sent it here; why, its own record of the job tells.`];
  if (decision === null) {
    return [job.endedAt === null ? 'Nobody was asked yet: others wait for the same.' : 'It was not placed anywhere.'];
  }
  const { candidates, excluded } = decision;
  const [first] = candidates;
  const sentences: string[] = [];
  sentences.push(...placedBefore(job, nameOf));
  if (first !== undefined) sentences.push(...chosen(job, first, nameOf));
  else sentences.push(attempts.length === 0 ? 'Nobody could answer it.' : 'Then nobody was there who could go on.');
  if (job.waiting?.where === 'mesh') sentences.push('Nobody that was asked takes another job now.');
  const others = candidates.filter(({ node }) => node !== first?.node && node !== provider);
  if (others.length > 0) {
    const behind = others.map((each) => expected(each, nameOf));
    sentences.push(`Behind it stood ${listed(behind, MOST_NAMES)}.`);
  }
  sentences.push(...exclusionSentences(excluded, privacy, nameOf, 'then'));
  return sentences;
}

/** A job keeps the decision of the last time it was placed: of the times before it is known who had it. */
function placedBefore({ attempts, decision }: Job, nameOf: NameOf): string[] {
  const last = attempts.at(-1);
  const isOfLast = last?.reason === null || decision?.candidates.some(({ node }) => node === last?.provider) === true;
  const taken = (isOfLast ? attempts.slice(0, -1) : attempts).filter(({ digest }) => digest !== null);
  const before = [...new Set(taken.map(({ provider }) => nameOf(provider)))];
  return before.length === 0 ? [] : [`It was with ${before.join(', then ')} first. Of the last time it was placed:`];
}

function chosen({ decision, provider, attempts, seenBy }: Job, first: Candidate, nameOf: NameOf): string[] {
  if (decision === null) return [];
  const why = choiceSentence(decision, nameOf, 'then');
  const stood = `${nameOf(first.node)} stood first, with about ${formatSpan(totalMs(first))}. ${why}`;
  if (provider === null || provider === first.node) return [capitalised(stood)];
  const taken = decision.candidates.find(({ node }) => node === provider);
  const failed = attempts.some((attempt) => attempt.provider === first.node && attempt.reason !== null);
  const sent = seenBy.includes(first.node);
  const instead = taken === undefined ? nameOf(provider) : expected(taken, nameOf);
  const but = failed ? 'But it failed' : sent ? 'But it did not take it' : 'But it was not sent it';
  return [capitalised(stood), `${but}, and the next to take it was ${instead}.`];
}

function expected(candidate: Candidate, nameOf: NameOf): string {
  return `${nameOf(candidate.node)} (about ${formatSpan(totalMs(candidate))})`;
}

/* ---- why so slow ---- */

function howLong(job: Job, nameOf: NameOf, now: number): string[] {
  const { createdAt, firstTokenAt, endedAt } = job;
  const sentences: string[] = [];
  const waiting = waitSentence(job, nameOf);
  if (waiting !== undefined) sentences.push(`It waits: ${waiting}.`);
  if (firstTokenAt !== null)
    sentences.push(`The first word came after ${formatSpan(firstTokenAt - createdAt)}${expectedStart(job)}.`);
  else if (endedAt === null)
    sentences.push(`It has waited ${formatSpan(now - createdAt)} for its first word${expectedStart(job)}.`);
  else sentences.push(`It ended after ${formatSpan(endedAt - createdAt)}, without a word.`);
  sentences.push(...untilTaken(job), ...moves(job, nameOf));
  if (firstTokenAt !== null) sentences.push(writing(job, firstTokenAt, now));
  sentences.push(...sinceStop(job, now));
  if (job.reason !== null) sentences.push(`It ended early: ${reasonWords(job.reason)}.`);
  return sentences;
}

/** How long it stood in line here, before any machine had room for it, or this one had. */
function untilTaken({ attempts: [first], createdAt, direction }: Job): string[] {
  const waitedMs = first === undefined ? 0 : first.startedAt - createdAt;
  if (waitedMs < NOTED_WAIT_MS) return [];
  const span = formatSpan(waitedMs);
  return [direction === 'in' ? `It stood ${span} in the queue here.` : `For ${span} no machine took it.`];
}

/** What was expected until the first word, as far as the decision is about that: of a job that moved it is about the rest. */
function expectedStart({ decision, provider, attempts }: Job): string {
  if (attempts.length > 1) return '';
  const candidate = decision?.candidates.find(({ node }) => node === provider) ?? decision?.candidates[0];
  if (candidate === undefined) return '';
  const { wait, load, prefill, roundTrip } = candidate.expectedMs;
  const parts = [
    [wait, 'waiting'],
    [load, 'loading the model'],
    [prefill, 'reading the question'],
  ] as const;
  const told = parts.filter(([ms]) => ms >= NOTED_GAP_MS).map(([ms, what]) => `${formatSpan(ms)} ${what}`);
  const total = formatSpan(wait + load + prefill + roundTrip);
  return `; expected were ${total}${told.length === 0 ? '' : ` (${told.join(', ')})`}`;
}

function writing({ tokensOut, tokensPerSecond, endedAt, attempts }: Job, firstTokenAt: number, now: number): string {
  const whose = attempts.length > 1 ? '; its last machine wrote' : ',';
  const rate = tokensPerSecond === null ? '' : `${whose} ${tokensPerSecond.toFixed(1)} a second`;
  const tokens = tokensText(tokensOut);
  const span = formatSpan((endedAt ?? now) - firstTokenAt);
  return endedAt === null ? `It has written ${tokens} in ${span} since.` : `Writing ${tokens} took ${span}${rate}.`;
}

/** Each time it went from one machine to another, or came back to the same. */
function moves({ attempts }: Job, nameOf: NameOf): string[] {
  return attempts.flatMap((attempt, index) => {
    const { provider, reason, toToken, digest, endedAt } = attempt;
    if (reason === null) return [];
    const next = attempts[index + 1];
    const why = reasonWords(reason);
    const from = nameOf(provider);
    if (next === undefined) return digest === null ? [] : [`At token ${toToken} ${from} stopped: ${why}.`];
    const gap = endedAt === null ? 0 : next.startedAt - endedAt;
    const after = gap < NOTED_GAP_MS ? '' : ` ${formatSpan(gap)} later`;
    const asked = next.provider === provider ? 'it was tried there again' : `${nameOf(next.provider)} was asked`;
    if (digest === null) return [`${from} did not take it: ${why}; ${asked}${after}.`];
    const went = next.provider === provider ? 'it went on there' : `${nameOf(next.provider)} went on`;
    return [`At token ${toToken} ${from} stopped: ${why}; ${next.digest === null ? asked : went}${after}.`];
  });
}

/** How long nobody has gone on with it, or had when it ended. */
function sinceStop({ attempts, endedAt, state }: Job, now: number): string[] {
  const stoppedAt = attempts.at(-1)?.endedAt ?? null;
  const gap = stoppedAt === null || state === 'completed' ? 0 : (endedAt ?? now) - stoppedAt;
  if (gap < NOTED_WAIT_MS) return [];
  return [`For ${formatSpan(gap)} nobody ${endedAt === null ? 'has gone' : 'went'} on with it.`];
}

/** What a living job waits for; undefined when it does not wait. */
export function waitSentence({ waiting, state, provider, direction }: ListedJob, nameOf: NameOf): string | undefined {
  if (state === 'handing-over') return 'moving to another machine';
  if (waiting === undefined) return undefined;
  const { where, ahead, estimateMs, phase } = waiting;
  const about = aboutSpan(estimateMs);
  const place = direction === 'in' ? 'this machine' : provider === null ? 'its machine' : nameOf(provider);
  switch (where) {
    case 'mesh':
      return `${NOBODY_TAKES}, ${placeInLine(ahead)}${about}`;
    case 'queue':
      return `${placeInLine(ahead)} on ${place}${about}`;
    case 'engine':
      return `${place} ${phase === 'loading' ? 'loads the model' : 'reads the question'}`;
  }
}

/** Every machine may have room for others: each takes only so many jobs of one peer. */
export const NOBODY_TAKES = 'no machine takes another job of yours now';

/** How many go before a job, as far as is known. */
export function placeInLine(ahead = 0): string {
  return ahead === 0 ? 'it is next' : `${ahead} before it`;
}

/* ---- who saw it ---- */

function whoSawIt({ direction, seenBy, requester, attempts, privacy }: Job, nameOf: NameOf): string[] {
  if (direction === 'in') return [`${nameOf(requester)}, which asked, and this machine, which ran it.`];
  const others = seenBy.filter((id) => id !== requester);
  const could = privacy === null ? '' : ` ${TIERS[privacy]}`;
  if (others.length === 0) return [`Only this machine.${could}`];
  const ran = new Set(attempts.map(({ provider }) => provider));
  const idle = others.filter((id) => !ran.has(id)).map(nameOf);
  return [
    `${listed(others.map(nameOf), MOST_NAMES)}, beside this machine.${could}`,
    ...(idle.length === 0 ? [] : [`${listed(idle, MOST_NAMES)} did not take it, and had been sent it by then.`]),
  ];
}

const TIERS = {
  own: 'It was not to leave it (privacy own).',
  local: 'It was not to leave it (privacy local).',
  friends: 'It could have gone to any friend (privacy friends).',
  mesh: 'It could have gone to any machine of the mesh (privacy mesh).',
} as const;

/** Who saw the prompt of a job, as far as this node knows: of an own job who else did. */
export function seers({ direction, seenBy, requester }: ListedJob, nameOf: NameOf): string {
  if (direction === 'in') return `${nameOf(requester)}, this machine`;
  const others = seenBy.filter((id) => id !== requester);
  return others.length === 0 ? 'this machine alone' : others.map(nameOf).join(', ');
}

/* ---- words ---- */

const REASONS: Readonly<Record<string, string>> = {
  preempted: 'the owner of that machine needed it, or it paused',
  shutting_down: 'that machine was shutting down',
  provider_lost: 'the connection to that machine broke, or it fell silent',
  peer_unreachable: 'that machine could not be reached',
  engine_failed: 'the engine there failed, or the owner of that machine cancelled the job',
  engine_unavailable: 'the engine there did not answer',
  engine_out_of_memory: 'the memory there was too small for the model',
  overloaded: 'nobody took it in time',
  model_not_found: 'the model was not there',
  cannot_continue: 'the answer could not be continued elsewhere',
  cancelled: 'it was cancelled',
  deadline_exceeded: 'its time was over before the answer was complete',
  interrupted: 'this node ended without a word while it ran',
  privacy_unserved: 'nobody inside its privacy tier could answer',
};

/** An error code as people say it. */
export function reasonWords(code: string): string {
  return REASONS[code] ?? code;
}
