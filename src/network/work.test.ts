import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { JOB } from '../limits/jobs.ts';
import { MESH } from '../limits/mesh.ts';
import {
  type LoopbackNode,
  type LoopbackOptions,
  startLoopbackNode,
  startStranger,
  stopLoopbackNodes,
  TEST_NETWORK_ID,
} from '../testing/loopback-mesh.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { encodeFrame } from './frames.ts';
import { HELLO_PROTOCOL, WORK_PROTOCOL } from './protocols.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 10 };
const never = new AbortController().signal;
const nobody = () => false;
const hello = { type: 'hello', networkId: TEST_NETWORK_ID, name: 'raw', version: '1', features: [] };
const idle = encodeFrame({ type: 'idle', models: ['words:latest'], slots: 1 });

const rubbish = {
  'random bytes': Uint8Array.from({ length: 300 }, (_, i) => (i * 7919) % 251),
  'an unknown message': encodeFrame({ type: 'joke' }),
  'an answer in place of a question': encodeFrame({ type: 'work', jobs: 1 }),
  'no models': encodeFrame({ type: 'idle', models: [], slots: 1 }),
  'models without end': encodeFrame({ type: 'idle', models: Array(MESH.maxModelsPerProfile + 1).fill('m'), slots: 1 }),
  'a name without end': encodeFrame({ type: 'idle', models: ['m'.repeat(401)], slots: 1 }),
  'no slots': encodeFrame({ type: 'idle', models: ['words:latest'], slots: 0 }),
  'half a slot': encodeFrame({ type: 'idle', models: ['words:latest'], slots: 0.5 }),
  'more slots than jobs could come': encodeFrame({
    type: 'idle',
    models: ['words:latest'],
    slots: JOB.maxOpenAtPeer + 1,
  }),
};

/** A coordinator that writes down who offers what, and a worker that knows it. */
async function pair(options: LoopbackOptions = {}) {
  const onIdle = vi.fn<NonNullable<LoopbackOptions['onIdle']>>(() => 1);
  const coordinator = await startLoopbackNode({ onIdle, ...options });
  const worker = await startLoopbackNode({ bootstrap: [coordinator.address()], models: ['words:latest'] });
  await vi.waitFor(() => expect(worker.network.admitted()).toBe(1), soon);
  const ask = (slots = 1) => worker.network.askWork(coordinator.id, ['words:latest'], slots, never);
  return { coordinator, worker, onIdle, ask };
}

/** A peer that speaks by hand. */
async function raw(node: LoopbackNode, saysHello: boolean): Promise<Connection> {
  const connection = await (await startStranger()).dial(multiaddr(node.address()));
  if (saysHello) {
    (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
    await vi.waitFor(() => expect(node.network.admitted()).toBeGreaterThan(0), soon);
  }
  return connection;
}

/** Sends bytes on a work stream of its own. Tells how the stream ended, and whether an answer came. */
async function say(connection: Connection, bytes: Uint8Array): Promise<'answer' | 'reset'> {
  const stream = await connection.newStream(WORK_PROTOCOL);
  let received = 0;
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength;
  });
  // One that is refused may be reset before anything is sent.
  if (stream.writeStatus === 'writable') stream.send(bytes);
  await vi.waitFor(() => expect(stream.readableEnded || stream.status !== 'open').toBe(true), soon);
  await stream.close().catch(() => {});
  return received > 0 ? 'answer' : 'reset';
}

describe('an idle worker', () => {
  it('is told how many jobs come, and its coordinator who it is and what it runs', async () => {
    const { worker, onIdle, ask } = await pair();
    expect(await ask(3)).toBe(1);
    expect(onIdle.mock.calls).toEqual([[worker.id, ['words:latest'], 3]]);
  });

  it('takes no word of more jobs than it has slots', async () => {
    const { onIdle, ask } = await pair();
    onIdle.mockReturnValue(1000);
    expect(await ask(2)).toBe(2);
  });

  it('that its coordinator has not heard of is asked who it is before jobs go there', async () => {
    const { coordinator, worker, onIdle, ask } = await pair({ deaf: true });
    expect(coordinator.directory.get(worker.id)).toBeUndefined();
    coordinator.facts.deaf = false;
    onIdle.mockImplementation((node) => (coordinator.directory.get(node)?.profile.models.length === 1 ? 1 : 0));
    expect(await ask()).toBe(1);
  });

  it('that its coordinator cannot come to know gets nothing', async () => {
    const { onIdle, ask } = await pair({ deaf: true });
    expect(await ask()).toBe(0);
    expect(onIdle).not.toHaveBeenCalled();
  });

  it('gets no jobs for models that it does not say to the mesh that it runs', async () => {
    const { coordinator, worker, onIdle } = await pair();
    await vi.waitFor(() => expect(coordinator.directory.get(worker.id)).toBeDefined(), soon);
    const ask = (models: readonly string[]) => worker.network.askWork(coordinator.id, models, 1, never);
    expect(await ask(['other:latest'])).toBe(0);
    expect(onIdle).not.toHaveBeenCalled();
    expect(await ask(['other:latest', 'words:latest'])).toBe(1);
    expect(onIdle.mock.calls).toEqual([[worker.id, ['words:latest'], 1]]);
  });

  it('asks in vain where nobody is, and no longer than its caller wants', async () => {
    const { worker, coordinator } = await pair();
    await coordinator.stop();
    await vi.waitFor(() => expect(worker.network.admitted()).toBe(0), soon);
    const asking = worker.network.askWork(coordinator.id, ['words:latest'], 1, never);
    await expect(asking).rejects.toMatchObject({ code: 'peer_unreachable' });
    const aborted = worker.network.askWork(coordinator.id, ['words:latest'], 1, AbortSignal.abort());
    await expect(aborted).rejects.toThrow();
  });

  it('does not wait for ever for a coordinator that says nothing', async () => {
    const worker = await startLoopbackNode({ models: ['words:latest'] });
    const stranger = await startStranger([WORK_PROTOCOL]);
    const connection = await stranger.dial(multiaddr(worker.address()));
    (await connection.newStream(HELLO_PROTOCOL)).send(encodeFrame(hello));
    await vi.waitFor(() => expect(worker.network.admitted()).toBe(1), soon);
    const asking = worker.network.askWork(stranger.peerId.toString(), ['words:latest'], 1, never);
    await expect(asking).rejects.toMatchObject({ code: 'peer_unreachable', message: 'asking took too long' });
  });
});

describe('a coordinator', () => {
  it('answers nobody who is not admitted', async () => {
    const { coordinator, onIdle } = await pair();
    expect(await say(await raw(coordinator, false), idle)).toBe('reset');
    expect(onIdle).not.toHaveBeenCalled();
  });

  it('ends a stream on which rubbish comes, and nothing else', async () => {
    const { coordinator, onIdle, ask } = await pair();
    const connection = await raw(coordinator, true);
    for (const [what, bytes] of Object.entries(rubbish)) {
      expect(await say(connection, bytes), what).toBe('reset');
    }
    expect(connection.status).toBe('open');
    expect(onIdle).not.toHaveBeenCalled();
    expect(await ask()).toBe(1);
  });

  it('bears a flood of questions, and answers others meanwhile', async () => {
    const clock = new VirtualClock();
    const { coordinator, worker, onIdle, ask } = await pair({ clock });
    const other = await startLoopbackNode({ bootstrap: [coordinator.address()], models: ['words:latest'] });
    await vi.waitFor(() => expect(other.network.admitted()).toBe(2), soon);
    const flood = Array.from({ length: 10 * MESH.maxWorkPerSecond }, () => ask().catch(() => 'refused'));
    expect(await other.network.askWork(coordinator.id, ['words:latest'], 1, never)).toBe(1);
    const answers = await Promise.all(flood);
    const ofWorker = onIdle.mock.calls.filter(([node]) => node === worker.id).length;
    expect(answers.filter((answer) => answer === 1)).toHaveLength(ofWorker);
    expect(ofWorker).toBeGreaterThan(0);
    expect(ofWorker).toBeLessThanOrEqual(2 * MESH.maxWorkPerSecond);
    // It is borne again as soon as it asks less.
    await clock.advance(1_000);
    expect(await ask()).toBe(1);
    expect(coordinator.network.admitted()).toBe(2);
  });

  it('keeps few questions of one peer open, and none for long', async () => {
    const { coordinator } = await pair();
    const connection = await raw(coordinator, true);
    const silent: Stream[] = [];
    for (let i = 0; i < MESH.maxWorkPerPeer; i++) {
      const stream = await connection.newStream(WORK_PROTOCOL);
      // Half a frame, so that the coordinator has the stream in its hands.
      stream.send(idle.slice(0, 3));
      silent.push(stream);
    }
    await vi.waitFor(async () => expect(await say(connection, idle)).toBe('reset'), soon);
    await vi.waitFor(() => expect(silent.map(({ status }) => status)).toEqual(['reset', 'reset']), soon);
  });
});

describe('waiting jobs', () => {
  it('are heard of by the nodes that keep the record and serve the model, and by no others', async () => {
    const heard: string[] = [];
    const listen = (name: string) => (node: string) => void heard.push(`${name} of ${node}`);
    const models = ['words:latest'];
    const coordinator = await startLoopbackNode({ models, onWorkAdvertised: listen('coordinator') });
    const bootstrap = [coordinator.address()];
    const workers = [
      await startLoopbackNode({ bootstrap, models: ['words:latest'], onWorkAdvertised: listen('words') }),
      await startLoopbackNode({ bootstrap, models: ['other:latest'], onWorkAdvertised: listen('other') }),
    ];
    await vi.waitFor(() => expect(workers.map(({ network }) => network.admitted())).toEqual([2, 2]), soon);
    coordinator.network.advertiseWork(['words:latest']);
    await vi.waitFor(() => expect(heard).toEqual([`words of ${coordinator.id}`]), soon);
  });

  it('are found by a worker that joins later elsewhere, whose directory knows nobody; it can ask there at once', async () => {
    const middle = await startLoopbackNode();
    const onIdle = vi.fn<NonNullable<LoopbackOptions['onIdle']>>(() => 1);
    const coordinator = await startLoopbackNode({ bootstrap: [middle.address()], onIdle });
    await vi.waitFor(() => expect(middle.network.admitted()).toBe(1), soon);
    coordinator.network.advertiseWork(['words:latest']);
    const find = (node: LoopbackNode) => node.network.findWork('words:latest', never, nobody);
    await vi.waitFor(async () => expect(await find(middle)).toEqual([coordinator.id]), soon);

    const worker = await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'], deaf: true });
    await vi.waitFor(async () => expect(await find(worker)).toEqual([coordinator.id]), soon);
    expect([...worker.directory.nodes()]).toEqual([]);
    expect(await worker.network.askWork(coordinator.id, ['words:latest'], 1, never)).toBe(1);
    expect(onIdle).toHaveBeenCalledOnce();
    expect(await worker.network.findWork('words:latest', never, (node) => node === coordinator.id)).toEqual([]);
    expect(await worker.network.findWork('other:latest', never, nobody)).toEqual([]);
    expect(await find(coordinator)).toEqual([]);
  });
});
