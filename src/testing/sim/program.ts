/** The program of a simulated node: the real flows, routing, directory, announcer and pull, put together as `node/` does it. */

import { createHash } from 'node:crypto';
import { Announcer } from '../../capabilities/announcer.ts';
import { Directory, type Openers } from '../../capabilities/directory.ts';
import type { Numbers } from '../../capabilities/numbers.ts';
import { statusOf } from '../../capabilities/status.ts';
import { every } from '../../clock.ts';
import { JobBook } from '../../jobs/book.ts';
import type { Engine, EngineCall, EngineEvent, PeerLink, ProviderChannel } from '../../jobs/ports.ts';
import { Provider } from '../../jobs/provider.ts';
import { Pull } from '../../jobs/pull.ts';
import { Requester } from '../../jobs/requester.ts';
import { createRouter } from '../../jobs/routing/router.ts';
import { MESH } from '../../limits/mesh.ts';
import { LOCAL_NETWORK, type NodeId, networkIdOf } from '../../protocol/ids.ts';
import type { JobRequest } from '../../protocol/job.ts';
import type { Signer } from '../../protocol/signature.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { WordEngine } from '../word-engine.ts';
import type { Discovery } from './discovery.ts';
import { type Disk, DiskHistory } from './history.ts';
import type { Host, SimNetwork } from './network.ts';
import type { NodePlan } from './plan.ts';
import type { Process } from './process.ts';
import { jobOf } from './prompts.ts';
import type { Random } from './random.ts';

export const networkId = networkIdOf(LOCAL_NETWORK);

/** What a program is built of. */
export interface ProgramParts {
  readonly index: number;
  readonly id: NodeId;
  readonly signer: Signer;
  readonly plan: NodePlan;
  readonly disk: Disk;
  readonly process: Process;
  readonly network: SimNetwork;
  readonly discovery: Discovery;
  readonly engine: WordEngine;
  readonly random: Random;
  readonly log: Logger;
  readonly open: Openers;
  readonly isFriend: (node: NodeId) => boolean;
  /** Somebody who reads along what a provider says and does. */
  readonly asked: (from: NodeId, request: JobRequest, channel: ProviderChannel) => ProviderChannel;
  readonly runs: (job: number) => { wrote(tokens: number): void; ended(): void };
  /** Of its profiles and beats. */
  readonly numbers: Numbers;
  /** Somebody who reads along what it says of itself. */
  readonly sends: (beat: Uint8Array) => void;
  readonly noteGone: (node: NodeId) => void;
}

/** The program of a node while it runs. */
export interface Program {
  readonly process: Process;
  readonly host: Host;
  readonly engine: WordEngine;
  readonly book: JobBook;
  readonly directory: Directory;
  readonly provider: Provider;
  readonly requester: Requester;
  readonly announcer: Announcer;
  readonly mood: { phase: 'running' | 'draining' };
  /** Ends what runs by itself, in this order. */
  readonly stops: (() => void)[];
}

export function buildProgram(parts: ProgramParts): Program {
  const { process, network, discovery, plan, id, log, random, engine: words } = parts;
  const { clock } = process;
  const mood: Program['mood'] = { phase: 'running' };
  const history = new DiskHistory(parts.disk, clock);
  const book = new JobBook({ clock, history, emit: () => {} });
  const engine = watched(words, parts.runs);
  const directory = new Directory(
    { self: id, networkId },
    {
      clock,
      open: parts.open,
      emit: (event) => {
        if (event.type === 'node-gone') parts.noteGone(event.node);
        else requester.wake(event.node.profile.models.map(({ name }) => name));
      },
    },
  );
  const provider: Provider = new Provider(
    {
      self: id,
      slots: plan.slots,
      room: plan.room,
      maxJobMs: plan.maxJobMs,
      freeJobsPerPeerPerMinute: 6,
      credits: false,
    },
    {
      engine,
      book,
      clock,
      log,
      loadChanged: () => {
        announcer.loadChanged();
        requester.wake();
        pull.loadChanged();
      },
      ratesChanged: () => announcer.profileChanged(),
      turnedAway: (from) => {
        if (from !== id) pull.heardOf(from);
      },
    },
  );
  const host = hostOf(
    parts,
    () => program,
    () => pull,
  );
  const link = linkOf(host, parts);
  const announcer = announcerOf(parts, { host, provider, mood });
  const router = createRouter(
    { self: id },
    {
      engine,
      ownWaitMs: () => provider.estimateFor(id),
      ownRates: (model) => provider.ratesOf(model),
      directory,
      link,
      usable: (node) => network.mayUse(process, node),
      outOfReach: (node) => network.isOutOfReach(process, node),
      isFriend: parts.isFriend,
      clock,
      random: () => random.next(),
      hash: (text) => createHash('sha256').update(text).digest('base64url').slice(0, 16),
    },
  );
  const requester: Requester = new Requester(
    { maxWaiting: plan.maxWaiting, maxWaitMs: plan.maxWaitMs, credits: false },
    {
      router,
      link,
      handleLocally: (request, channel) => void provider.handleJob(id, request, parts.asked(id, request, channel)),
      ownModels: { trouble: () => words.status().hint, arriving: () => undefined },
      book,
      clock,
      randomBytes: (size) => random.bytes(size),
      log,
    },
  );
  const pull = new Pull({
    clock,
    random: () => random.next(),
    log,
    models: () => words.models().map(({ name }) => name),
    freeSlots: () => {
      const { depth, running, slots } = provider.load;
      const waiting = requester.waiting.models();
      const waitsHere = depth > 0 || words.models().some(({ name }) => waiting.includes(name));
      return mood.phase === 'running' && !waitsHere ? Math.max(0, slots - running) : 0;
    },
    findWork: (model, signal, skip) => discovery.findWork(host, model, signal, skip),
    askWork: (node, models, slots, signal) => discovery.askWork(host, node, models, slots, signal),
    counterOf: (node) => provider.counterOf(node),
    servedTo: (node) => provider.servedTo(node),
  });
  const program: Program = {
    process,
    host,
    engine: words,
    book,
    directory,
    provider,
    requester,
    announcer,
    mood,
    stops: [],
  };
  start(program, parts, { pull, history });
  return program;
}

function start(
  program: Program,
  { network, discovery }: ProgramParts,
  { pull, history }: { pull: Pull; history: DiskHistory },
): void {
  const { process, host, announcer, directory, engine, requester } = program;
  network.attach(host);
  announcer.start();
  pull.start();
  const sweep = every(process.clock, MESH.tendEveryMs, () => directory.expire());
  const unfollow = engine.onChange(() => {
    announcer.profileChanged();
    announcer.loadChanged();
    requester.wake();
  });
  const unadvertise = requester.onWaitingChanged(() => discovery.advertiseWork(host, requester.waiting.models()));
  program.stops.push(
    unadvertise,
    unfollow,
    () => pull.stop(),
    () => sweep.cancel(),
    () => announcer.stop(),
    () => history.flush(),
  );
}

/** The engine, with somebody who looks what it does. */
function watched(words: WordEngine, runs: ProgramParts['runs']): Engine {
  async function* run(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const watch = runs(jobOf(call.input));
    try {
      for await (const event of words.run(call, signal)) {
        if (event.type === 'chunk') watch.wrote(event.tokens);
        yield event;
      }
    } finally {
      watch.ended();
    }
  }
  return {
    kind: words.kind,
    status: () => words.status(),
    models: () => words.models(),
    loaded: () => words.loaded(),
    describe: () => words.describe(),
    onChange: (listener) => words.onChange(listener),
    run,
  };
}

/** The program as its network meets it. */
function hostOf({ id, process, asked }: ProgramParts, program: () => Program, pull: () => Pull): Host {
  return {
    id,
    process,
    provides: () =>
      program()
        .engine.models()
        .map(({ name }) => name),
    own: () => program().announcer.own(),
    signed: () => program().directory.signed(),
    onJob: (from, request, channel) => {
      pull().jobArrived(from);
      void program().provider.handleJob(from, request, asked(from, request, channel));
    },
    onIdle: (node, models, slots) => program().requester.offer(node, models, slots),
    onWorkAdvertised: (node) => pull().heardOf(node),
    onProfile: (bytes) => void program().directory.ingestProfile(bytes),
    onBeat: (bytes, ageMs) => void program().directory.ingestBeat(bytes, ageMs),
    serves: (node, model) =>
      program()
        .directory.get(node)
        ?.profile.models.some(({ name }) => name === model) === true,
    knows: (node) => program().directory.get(node) !== undefined,
    lacksProfileOf: (node) => {
      const known = program().directory.get(node);
      return known === undefined || known.profile.number < known.beat.profileNumber;
    },
  };
}

function linkOf(host: Host, { network, discovery }: ProgramParts): PeerLink {
  return {
    self: host.id,
    openJob: (node, request, signal) => network.openJob(host, node, request, signal),
    route: () => 'direct',
    latencyMs: (node) => network.latencyMs(host.process, node),
    findProviders: (model, signal) => discovery.findProviders(host, model, signal),
  };
}

function announcerOf(
  { index, signer, process, random, discovery, engine, numbers, sends }: ProgramParts,
  { host, provider, mood }: Pick<Program, 'host' | 'provider' | 'mood'>,
): Announcer {
  return new Announcer(
    { networkId, beatEveryMs: MESH.beatEveryMs },
    {
      signer,
      clock: process.clock,
      random: () => random.next(),
      nextNumber: () => numbers.next(),
      describe: () => ({
        name: `n${index}`,
        version: '1',
        region: '',
        addresses: [],
        hardware: { cores: 1, memoryBytes: 1, gpu: '', vramBytes: 0 },
        models: engine.models().map((model) => ({ ...model, ...provider.ratesOf(model.name) })),
        features: [],
      }),
      load: () => {
        const { depth, running } = provider.load;
        const status = statusOf({ phase: mood.phase, engineFailed: false, running });
        return { status, queueDepth: depth, running };
      },
      sendProfile: (bytes) => discovery.publish(host, (other) => other.onProfile(bytes)),
      sendBeat: (bytes) => {
        sends(bytes);
        discovery.publish(host, (other) => {
          other.onBeat(bytes, 0);
          discovery.catchUp(other, host);
        });
      },
    },
  );
}
