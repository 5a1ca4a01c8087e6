/**
 * P5: what a client feels when the node that answers it goes away in the middle of a sentence.
 *
 * One node asks, two answer. When it has heard some words, something happens to the one that speaks; the requester's own
 * record tells when it noticed, the client when the text went on. Both read the wall clock of this machine.
 */

import type { Job, NodeStatusAnswer } from '../../src/contract/control.ts';
import { quantile } from './client.ts';
import { joining, type MeasuredNode, ollamaAt, type Settings, startNode } from './nodes.ts';
import { until } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';
import { type Heard, hear, lastAnswerOf, startWordEngine, type WordEngine, wrongWords } from './words.ts';

const ROUNDS = 100;
const WORDS = 120;
const ENGINE = { tokensPerSecond: 100, prefillMs: 50 };
const EVERYWHERE = { name: 'words:latest' };
/** One of the two providers alone has it. */
const RARE = { name: 'rare:latest' };
/** With it a node that is told to end gives its jobs away at once; with a longer one it first lets them end. */
const NO_GRACE: Settings = { GOGRID_NODE_SHUTDOWN_GRACE_SECS: '2' };
/** Somewhere between the first words and the last. */
const STRIKE_BEHIND = { least: 10, most: 50 };
const OWNERS_WORDS = 20;
const OWNERS_QUESTION = `the owner asks: words=${OWNERS_WORDS}`;

interface Member {
  node: MeasuredNode;
  readonly engine: WordEngine;
}

interface Mesh {
  readonly program: string;
  readonly requester: MeasuredNode;
  readonly members: readonly [Member, Member];
}

/** What happens to the node that speaks. */
interface Blow {
  readonly name: string;
  /** In one of so many rounds: what takes seconds would take all the time. */
  readonly every: number;
  /** Most milliseconds until its requester has noticed. */
  readonly noticedWithinMs?: number;
  /** Default: the one that both providers have. */
  readonly model?: string;
  /** Before the question. */
  prepare?(mesh: Mesh, behind: number): void;
  /** Returns what the owner of that machine heard, if it was the owner. */
  strike(victim: Member, mesh: Mesh): Promise<Heard> | undefined;
  /** Afterwards: the next question meets two idle providers. */
  mend?(victim: Member, mesh: Mesh): Promise<void>;
}

const BLOWS: readonly Blow[] = [
  { name: 'nothing', every: 1, strike: () => undefined },
  {
    name: 'killed',
    every: 1,
    noticedWithinMs: 1_000,
    strike: sends('SIGKILL'),
    mend: replace,
  },
  {
    name: 'silent',
    every: 3,
    noticedWithinMs: 3_000,
    strike: sends('SIGSTOP'),
    async mend(victim) {
      sends('SIGCONT')(victim);
    },
  },
  {
    name: 'engine stalls',
    every: 4,
    // By the rule after 5 s, and looked for twice a second.
    noticedWithinMs: 5_500,
    prepare({ members }, afterTokens) {
      for (const { engine } of members) engine.fake.change({ faults: [{ kind: 'stall', afterTokens }] });
    },
    strike(_, { members }) {
      for (const { engine } of members) engine.fake.change({ faults: [] });
      return undefined;
    },
  },
  {
    name: 'drained',
    every: 1,
    noticedWithinMs: 1_000,
    strike: sends('SIGTERM'),
    mend: replace,
  },
  { name: 'owner comes', every: 1, noticedWithinMs: 1_000, strike: ownerAsks },
  {
    name: 'owner comes, nobody else has the model',
    every: 1,
    noticedWithinMs: 1_000,
    model: RARE.name,
    strike: ownerAsks,
  },
];

interface Aftermath {
  /** Milliseconds from the blow until the requester knew; undefined when the job did not move. */
  readonly noticedMs: number | undefined;
  /** From then until the client had new text, less what the new engine needed before its first word. */
  readonly againMs: number | undefined;
  /** The longest time without text. */
  readonly stillMs: number;
  /** Until the owner, if it was the owner, had the first word. */
  readonly ownerMs: number | undefined;
  readonly words: number;
  readonly wrong: number;
  readonly failed: boolean;
}

export const handover: Benchmark = {
  name: 'handover',
  title: 'P5: the node that answers goes away in the middle of a sentence',
  async run({ scale, program }) {
    const mesh = await startProviders(program);
    const outcomes = new Map<Blow, Aftermath[]>(BLOWS.map((blow) => [blow, []]));
    for (let round = 0; round < Math.ceil(ROUNDS * scale); round++) {
      for (const [blow, all] of outcomes) if (round % blow.every === 0) all.push(await suffer(mesh, blow, round));
    }
    const rows = [...outcomes].map(([{ name }, all]) => rowOf(name, all));
    return {
      rows,
      figures: [
        ...[...outcomes].flatMap(([blow, all]) => figuresOf(blow, all)),
        ...wordFigures([...outcomes.values()].flat()),
      ],
      notes: [
        `Answers of ${WORDS} words at ${ENGINE.tokensPerSecond} a second. Noticed: from the blow to the end of the attempt in the requester's record. Again: from there to the first new word at the client, less the time that the new engine took for its first word. Still: the longest time without a word. A drained node has no time of grace here; with the usual one its answers end there.`,
      ],
    };
  },
};

/** One that asks, and two with an engine each. */
async function startProviders(program: string): Promise<Mesh> {
  const requester = await startNode(program, {});
  const join = async (models: readonly { name: string }[]): Promise<Member> => {
    const engine = await startWordEngine({ ...ENGINE, models });
    return { node: await startProvider(program, engine, requester), engine };
  };
  const mesh: Mesh = { requester, members: [await join([EVERYWHERE, RARE]), await join([EVERYWHERE])], program };
  await settled(mesh);
  // Whether the model continues an answer is known after its first job.
  for (const { node } of mesh.members) await hear({ url: node.url, content: 'words=1' });
  await settled(mesh);
  return mesh;
}

function startProvider(program: string, { url }: WordEngine, requester: MeasuredNode): Promise<MeasuredNode> {
  return startNode(program, { ...ollamaAt(url), ...joining(requester), ...NO_GRACE });
}

/** The requester sees both providers with their models, and neither has anything to do. */
async function settled({ requester, members }: Mesh): Promise<void> {
  const isSettled = async () => {
    const peers = await requester.peers();
    const ready = members.map(async ({ node }) => {
      const peer = peers.find(({ peerId }) => peerId === node.peerId);
      const { jobs } = (await node.get('/status')) as NodeStatusAnswer;
      return peer?.models.includes(EVERYWHERE.name) === true && peer.admitted && jobs.running + jobs.queued === 0;
    });
    return (await Promise.all(ready)).every(Boolean);
  };
  await until('two idle providers', isSettled, { withinMs: 30_000 });
}

/** Another node, with the same engine, for one that is gone. */
async function replace(victim: Member, { requester, program }: Mesh): Promise<void> {
  await victim.node.stop();
  victim.node = await startProvider(program, victim.engine, requester);
}

function sends(signal: NodeJS.Signals) {
  return ({ node }: Member): undefined => {
    process.kill(node.pid, signal);
  };
}

/** In this machine's own words: its user wants an answer from this machine. */
function ownerAsks({ node }: Member): Promise<Heard> {
  return hear({ url: node.url, content: OWNERS_QUESTION, headers: { 'x-gogrid-privacy': 'local' } });
}

/** One answer, and one blow in the middle of it. */
async function suffer(mesh: Mesh, blow: Blow, round: number): Promise<Aftermath> {
  const { requester, members } = mesh;
  const model = blow.model ?? EVERYWHERE.name;
  const content = `round ${round}, ${blow.name}: words=${WORDS}`;
  const { least, most } = STRIKE_BEHIND;
  const behind = least + Math.floor(Math.random() * (most - least));
  blow.prepare?.(mesh, behind);
  let struckAt = 0;
  let victim: Member | undefined;
  let owner: Promise<Heard> | undefined;
  const heard = await hear({
    url: requester.url,
    model,
    content,
    onText(pieces, { 'x-gogrid-provider': provider }) {
      if (pieces !== behind) return;
      victim = members.find(({ node }) => node.peerId === provider);
      if (victim === undefined) throw new Error(`nobody knows the provider ${provider}`);
      struckAt = Date.now();
      owner = blow.strike(victim, mesh) ?? undefined;
    },
  });
  const owners = await owner;
  const job = (await requester.get(`/jobs/${heard.headers['x-gogrid-job']}`)) as Job;
  const aftermath = {
    ...judge(mesh, { job, heard, struckAt, owners }),
    stillMs: longestGapMs(heard.arrivals),
    ownerMs: owners && (owners.arrivals[0]?.at ?? Number.NaN) - owners.askedAt,
    words: WORDS + (owners === undefined ? 0 : OWNERS_WORDS),
    wrong:
      wrongWords(content, heard.text, model) + (owners === undefined ? 0 : wrongWords(OWNERS_QUESTION, owners.text)),
    failed: heard.error !== undefined,
  };
  if (victim !== undefined) await blow.mend?.(victim, mesh);
  await settled(mesh);
  return aftermath;
}

interface Blown {
  readonly job: Job;
  readonly heard: Heard;
  readonly struckAt: number;
  readonly owners: Heard | undefined;
}

/** When it was noticed, and what it took from there. */
function judge({ members }: Mesh, { job, heard, struckAt, owners }: Blown): Pick<Aftermath, 'noticedMs' | 'againMs'> {
  const at = job.attempts.findLastIndex(({ startedAt }) => startedAt <= struckAt);
  const [from, to] = [job.attempts[at], job.attempts[at + 1]];
  const next = members.find(({ node }) => node.peerId === to?.provider);
  const call = next && lastAnswerOf(next.engine);
  if (from?.endedAt == null || call?.firstAt == null) return { noticedMs: undefined, againMs: undefined };
  // Where only this machine has the model, the job waits for its owner.
  const freeAt = to?.provider === from.provider ? Math.max(from.endedAt, owners?.endedAt ?? 0) : from.endedAt;
  const again = heard.arrivals.find(({ at }) => at >= call.startedAt);
  return {
    noticedMs: from.endedAt - struckAt,
    againMs: again && again.at - freeAt - (call.firstAt - call.startedAt),
  };
}

function longestGapMs(arrivals: Heard['arrivals']): number {
  return arrivals.reduce((most, { at }, index) => Math.max(most, at - (arrivals[index - 1]?.at ?? at)), 0);
}

function rowOf(what: string, all: readonly Aftermath[]) {
  const moved = all.filter(({ noticedMs }) => noticedMs !== undefined);
  const spread = (name: string, values: readonly (number | undefined)[]) => {
    const known = values.filter((value) => value !== undefined);
    if (known.length === 0) return { [`${name}P50Ms`]: null, [`${name}P99Ms`]: null };
    return { [`${name}P50Ms`]: quantile(known, 0.5), [`${name}P99Ms`]: quantile(known, 0.99) };
  };
  return {
    what,
    answers: all.length,
    moved: moved.length,
    ...spread(
      'noticed',
      moved.map(({ noticedMs }) => noticedMs),
    ),
    ...spread(
      'again',
      moved.map(({ againMs }) => againMs),
    ),
    ...spread(
      'still',
      all.map(({ stillMs }) => stillMs),
    ),
    ...spread(
      'owner',
      all.map(({ ownerMs }) => ownerMs),
    ),
  };
}

function figuresOf({ name, noticedWithinMs }: Blow, all: readonly Aftermath[]): Figure[] {
  if (noticedWithinMs === undefined) return [];
  // A blow that came when the last word was on its way hit nothing.
  const moved = all.filter(({ noticedMs }) => noticedMs !== undefined);
  const noticed = quantile(
    moved.map(({ noticedMs = Number.NaN }) => noticedMs),
    0.99,
  );
  const again = quantile(
    moved.map(({ againMs = Number.POSITIVE_INFINITY }) => againMs),
    0.5,
  );
  return [
    {
      what: `noticed, p99, ${name}`,
      value: noticed,
      unit: 'ms',
      target: `at most ${noticedWithinMs}`,
      met: noticed <= noticedWithinMs,
    },
    { what: `text again, p50, ${name}`, value: again, unit: 'ms', target: 'at most 300', met: again <= 300 },
  ];
}

/** Over all blows together. */
function wordFigures(all: readonly Aftermath[]): Figure[] {
  const words = all.reduce((sum, each) => sum + each.words, 0);
  const wrong = all.reduce((sum, each) => sum + each.wrong, 0);
  const failed = all.filter((each) => each.failed).length;
  return [
    {
      what: `words lost, repeated or foreign, of ${words}`,
      value: wrong,
      unit: 'words',
      target: 'at most 0',
      met: wrong === 0,
    },
    {
      what: `answers that ended in an error, of ${all.length}`,
      value: failed,
      unit: 'answers',
      target: 'at most 0',
      met: failed === 0,
    },
  ];
}
