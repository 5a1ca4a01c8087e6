/**
 * P7: how soon the mesh knows what changed at one of its nodes, and what the mesh costs while nothing changes.
 *
 * Nobody is asked while a change travels: each node tells afterwards when it last heard of the changed one
 * (`lastHeardAt`), by the wall clock that all processes of this machine share, to a millisecond.
 */

import type { ModelList, Peer } from '../../src/contract/control.ts';
import { quantile } from './client.ts';
import { joining, listsPeers, type MeasuredNode, ollamaAt, type Settings, startNode } from './nodes.ts';
import { inOwnNetwork, loopbackTraffic } from './own-network.ts';
import { cpuMs, memoryMiB, sleep } from './processes.ts';
import type { Benchmark, Figure } from './report.ts';
import { startWordEngine } from './words.ts';

const NODES = 20;
const CHANGES = 40;
/** Connections are made and gossip has its degree: targetPeers needs a few looks of the tending loop. */
const SETTLE_MS = 15_000;
/** One beat of every node falls into it. */
const IDLE_MS = 30_000;
/** Behind a change, before the others are asked; and again while somebody does not know. */
const ASK_AFTER_MS = 350;
const GIVE_UP_MS = 5_000;
/** A job that outlasts the question: a node tells of the next change two seconds after one, at the earliest. */
const JOB = { tokensPerSecond: 20, tokens: 60 };
const STAY_LOADED_SECS = 300;
/** A node asks its engine a moment after the first job whether the model continues answers; then its profile changes. */
const PROBED_MS = 3_000;

interface Member {
  readonly node: MeasuredNode;
  /** That this node alone has. */
  readonly model: string;
}

export const gossip: Benchmark = {
  name: 'gossip',
  title: `P7: news in a mesh of ${NODES} processes, and the traffic of an idle one`,
  countsTraffic: true,
  async run({ scale, program }) {
    const members = await startMembers(program);
    await sleep(SETTLE_MS * Math.min(1, scale * 5));
    const idle = await measureIdle(members, Math.max(5_000, IDLE_MS * scale));
    // Loads each model, and lets its node find out what it has to know of it once.
    for (const member of members) await chat(member, 1);
    await sleep(PROBED_MS);
    const status: number[] = [];
    const profile: number[] = [];
    const jobs: Promise<void>[] = [];
    for (let change = 0; change < Math.ceil(CHANGES * scale); change++) {
      status.push(await statusChange(at(members, change), members, jobs));
      profile.push(await profileChange(at(members, change + NODES / 2), members));
    }
    await Promise.all(jobs);
    return {
      rows: [
        { what: 'status', ...newsRow(status) },
        { what: 'profile', ...newsRow(profile) },
        { what: 'an idle node', ...idle },
      ],
      figures: [...newsFigures('status', status), ...newsFigures('profile', profile), ...idleFigures(idle)],
      notes: [
        'A change counts when the last of the other nodes knows it. A status change begins when a client sends a job to the node, a profile change when a client has a model unloaded.',
        inOwnNetwork()
          ? 'Traffic is that of the loopback device in a network namespace of its own, headers and acknowledgements included; every byte counts once, at its sender.'
          : 'Traffic was not counted: the system allows no network namespace (`unshare --user --net`).',
      ],
    };
  },
};

/** All started at once but the first, through which the others join; each with an engine of its own, in this process. */
async function startMembers(program: string): Promise<Member[]> {
  const startMember = async (index: number, settings: Settings): Promise<Member> => {
    const model = `words-${index}`;
    const { tokensPerSecond } = JOB;
    const engine = await startWordEngine({ models: [{ name: `${model}:latest` }], tokensPerSecond });
    return { node: await startNode(program, { ...ollamaAt(engine.url), ...settings }), model };
  };
  const first = await startMember(0, {});
  const others = Array.from({ length: NODES - 1 }, (_, index) => startMember(index + 1, joining(first.node)));
  const members = [first, ...(await Promise.all(others))];
  await Promise.all(members.map(({ node }) => listsPeers(node, NODES - 1, 100)));
  return members;
}

/** Round and round: no two changes of one node follow each other closely. */
function at(members: readonly Member[], index: number): Member {
  const member = members[index % members.length];
  if (member === undefined) throw new Error('a mesh without nodes');
  return member;
}

/* ---- news ---- */

/** A job begins. Returns how long until the last of the others knew, milliseconds. */
async function statusChange(member: Member, members: readonly Member[], jobs: Promise<void>[]): Promise<number> {
  const startedAt = Date.now();
  jobs.push(chat(member, JOB.tokens));
  return knownToAll(startedAt, member, members, async (other) => {
    const peer = await seenBy(other, member);
    return peer?.status === 'busy' ? peer.lastHeardAt : undefined;
  });
}

/** A model leaves the memory. Returns how long until the last of the others knew, milliseconds. */
async function profileChange(member: Member, members: readonly Member[]): Promise<number> {
  const startedAt = Date.now();
  await load(member, 0);
  const took = await knownToAll(startedAt, member, members, async (other) => {
    const { models } = (await other.node.get('/model/list')) as ModelList;
    const isCold = models.some(({ name, warm }) => name.startsWith(`${member.model}:`) && !warm);
    // The beat that follows a new profile names it, and tells when it came.
    return isCold ? (await seenBy(other, member))?.lastHeardAt : undefined;
  });
  await load(member, STAY_LOADED_SECS);
  return took;
}

async function seenBy({ node }: Member, member: Member): Promise<Peer | undefined> {
  return (await node.peers()).find(({ peerId }) => peerId === member.node.peerId);
}

/**
 * @param heardAt when a node came to know the change, by the wall clock; undefined while it does not know it
 * @throws Error when somebody never does
 */
async function knownToAll(
  startedAt: number,
  member: Member,
  members: readonly Member[],
  heardAt: (other: Member) => Promise<number | undefined>,
): Promise<number> {
  let missing = members.filter((other) => other !== member);
  let took = 0;
  while (missing.length > 0) {
    if (Date.now() - startedAt > GIVE_UP_MS) throw new Error(`${missing.length} nodes never heard of a change`);
    await sleep(ASK_AFTER_MS);
    const still: Member[] = [];
    for (const other of missing) {
      const at = await heardAt(other);
      if (at === undefined) still.push(other);
      else took = Math.max(took, at - startedAt);
    }
    missing = still;
  }
  return took;
}

/** Runs a job of so many tokens at a node. */
async function chat({ node, model }: Member, tokens: number): Promise<void> {
  await post(`${node.url}/api/chat`, { model, messages: [{ role: 'user', content: `words=${tokens}` }] });
}

/** Loads the node's model, or with 0 unloads it. */
async function load({ node, model }: Member, keepAliveSecs: number): Promise<void> {
  await post(`${node.url}/api/generate`, { model, keep_alive: keepAliveSecs });
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ ...body, stream: false }) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}

function newsRow(values: readonly number[]) {
  return { changes: values.length, p50Ms: quantile(values, 0.5), p99Ms: quantile(values, 0.99) };
}

function newsFigures(news: string, values: readonly number[]): Figure[] {
  const [p50, p99] = [quantile(values, 0.5), quantile(values, 0.99)];
  const what = `${news} change known by all ${NODES}`;
  return [
    { what: `${what}, p50`, value: p50, unit: 'ms', target: 'at most 60', met: p50 <= 60 },
    { what: `${what}, p99`, value: p99, unit: 'ms', target: 'at most 250', met: p99 <= 250 },
  ];
}

/* ---- nothing new ---- */

interface Idle {
  readonly bytesPerSecond: number | null;
  readonly packetsPerSecond: number | null;
  readonly cpuPercent: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
}

/** What one node costs while nothing happens; of traffic the mean, of the rest the median. */
async function measureIdle(members: readonly Member[], ms: number): Promise<Idle> {
  const used = () => members.map(({ node }) => cpuMs(node.pid));
  const before = { cpu: used(), traffic: loopbackTraffic(), at: performance.now() };
  await sleep(ms);
  const tookMs = performance.now() - before.at;
  const traffic = loopbackTraffic();
  const cpu = used().map((now, index) => now - (before.cpu[index] ?? Number.NaN));
  const memory = members.map(({ node }) => memoryMiB(node.pid));
  const perSecond = (total: number) => (inOwnNetwork() ? (total * 1_000) / tookMs / members.length : null);
  return {
    bytesPerSecond: perSecond(traffic.bytes - before.traffic.bytes),
    packetsPerSecond: perSecond(traffic.packets - before.traffic.packets),
    cpuPercent: (quantile(cpu, 0.5) * 100) / tookMs,
    rssMiB: quantile(
      memory.map(({ rss }) => rss),
      0.5,
    ),
    pssMiB: quantile(
      memory.map(({ pss }) => pss),
      0.5,
    ),
  };
}

function idleFigures({ bytesPerSecond, cpuPercent }: Idle): Figure[] {
  const cpu = { what: 'CPU of an idle node in the mesh', value: cpuPercent, unit: '%' };
  if (bytesPerSecond === null) return [cpu];
  const kilobytes = bytesPerSecond / 1_000;
  const what = 'traffic of an idle node';
  return [{ what, value: kilobytes, unit: 'KB/s', target: 'at most 2', met: kilobytes <= 2 }, cpu];
}
