import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ProviderChannel, RequesterChannel } from '../jobs/ports.ts';
import { JOB } from '../limits/jobs.ts';
import { FRAME } from '../limits/mesh.ts';
import { sealBeat } from '../protocol/beat.ts';
import { nodeIdOf } from '../protocol/ids.ts';
import type { JobRequest, ToRequester } from '../protocol/job.ts';
import { sealProfile } from '../protocol/profile.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { profileWith } from '../testing/builders.ts';
import { startLoopbackNode, stopLoopbackNodes, TEST_NETWORK_ID } from '../testing/loopback-mesh.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 5 };
const never = new AbortController().signal;

function request(content: string, changes: Partial<JobRequest> = {}): JobRequest {
  return {
    type: 'request',
    job: '0193a6c0-0000-7000-8000-000000000000',
    model: 'words:latest',
    input: { kind: 'chat', messages: [{ role: 'user', content }] },
    ...changes,
  };
}

interface Job {
  readonly from: string;
  readonly request: JobRequest;
  readonly channel: ProviderChannel;
}

/** A provider that keeps what comes, and a requester that has admitted it. */
async function pair(onJob?: (job: Job) => void | Promise<void>) {
  const jobs: Job[] = [];
  const provider = await startLoopbackNode({
    onJob: async (from, asked, channel) => {
      jobs.push({ from, request: asked, channel });
      await onJob?.({ from, request: asked, channel });
    },
  });
  const requester = await startLoopbackNode({ bootstrap: [provider.address()] });
  await vi.waitFor(() => expect(requester.network.admitted()).toBe(1), soon);
  return { provider, requester, jobs };
}

/** A chunk of so many bytes of text. */
function chunk(seq: number, bytes: number): ToRequester {
  return { type: 'chunk', seq, tokens: 1, text: String(seq).padEnd(bytes, '.') };
}

const accepted: ToRequester = { type: 'accepted', digest: 'ab'.repeat(32) };
const end: ToRequester = { type: 'end', reason: 'stop' };

async function collect(channel: RequesterChannel): Promise<ToRequester[]> {
  const all: ToRequester[] = [];
  for (let message = await channel.receive(); message !== undefined; message = await channel.receive())
    all.push(message);
  return all;
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing thrown',
    (error: { code?: string }) => error.code ?? String(error),
  );

describe('a job stream', () => {
  it('carries a request, its answer in order, and closes on both sides', async () => {
    const { requester, provider, jobs } = await pair(({ channel }) => {
      channel.send(accepted);
      for (let seq = 0; seq < 200; seq++) channel.send(chunk(seq, 20));
      channel.send(end);
      channel.close();
    });
    const asked = request('hello', { digest: undefined, deadlineMs: 1000, resume: { text: 'so', tokens: 1 } } as never);
    const channel = await requester.network.openJob(provider.id, asked, never);
    const answer = await collect(channel);
    channel.close();
    expect(jobs.map(({ from }) => from)).toEqual([requester.id]);
    expect(jobs[0]?.request).toEqual({ ...request('hello'), deadlineMs: 1000, resume: { text: 'so', tokens: 1 } });
    expect(answer).toEqual([accepted, ...Array.from({ length: 200 }, (_, seq) => chunk(seq, 20)), end]);
    expect(await jobs[0]?.channel.receive()).toBeUndefined();
  });

  it('brings a request of twenty megabytes whole', async () => {
    const { requester, provider, jobs } = await pair(({ channel }) => {
      channel.send({ type: 'busy', queue: 1, estimateMs: 1 });
      channel.close();
    });
    const content = Array.from({ length: 20_000 }, (_, line) => `${line}`.padEnd(1024, 'x')).join('');
    const channel = await requester.network.openJob(provider.id, request(content), never);
    expect(await channel.receive()).toEqual({ type: 'busy', queue: 1, estimateMs: 1 });
    channel.close();
    expect(jobs[0]?.request).toEqual(request(content));
  });

  it.each([JOB.requestPartBytes - 200, JOB.requestPartBytes, JOB.requestPartBytes + 1, 2 * JOB.requestPartBytes])(
    'brings a request of about %i bytes, at the edge of a part',
    async (bytes) => {
      const { requester, provider, jobs } = await pair(({ channel }) => channel.close());
      const channel = await requester.network.openJob(provider.id, request('y'.repeat(bytes)), never);
      await vi.waitFor(() => expect(jobs[0]?.request).toEqual(request('y'.repeat(bytes))), soon);
      channel.abort(new Error('enough'));
    },
  );

  it('brings a long answer to go on behind', async () => {
    const { requester, provider, jobs } = await pair(({ channel }) => channel.close());
    const asked = request('hello', { resume: { text: 'once upon a time '.repeat(30_000), tokens: 120_000 } });
    const channel = await requester.network.openJob(provider.id, asked, never);
    await vi.waitFor(() => expect(jobs[0]?.request).toEqual(asked), soon);
    channel.abort(new Error('enough'));
  });

  it('refuses a request over the bound before anything of it is sent', async () => {
    const { requester, provider, jobs } = await pair();
    const large = request('z'.repeat(JOB.maxRequestBytes));
    expect(await code(requester.network.openJob(provider.id, large, never))).toBe('payload_too_large');
    expect(jobs).toEqual([]);
  });

  it('tells the provider of a cancel at once, also while chunks flow', async () => {
    const { requester, provider, jobs } = await pair();
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    await vi.waitFor(() => expect(jobs).toHaveLength(1), soon);
    const flow = setInterval(() => jobs[0]?.channel.send({ type: 'progress', phase: 'decoding' }), 1);
    channel.send({ type: 'cancel' });
    expect(await jobs[0]?.channel.receive()).toEqual({ type: 'cancel' });
    clearInterval(flow);
  });

  it('hears of an abort on both sides, each with its own reason', async () => {
    const { requester, provider, jobs } = await pair();
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    await vi.waitFor(() => expect(jobs).toHaveLength(1), soon);
    const waiting = code(channel.receive());
    const other = code(jobs[0]!.channel.receive());
    channel.abort(Object.assign(new Error('enough'), { code: 'x' }));
    expect([await waiting, await other]).toEqual(['internal', 'provider_lost']);
  });

  it('updates heardAt with every frame', async () => {
    const { requester, provider, jobs } = await pair();
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    await vi.waitFor(() => expect(jobs).toHaveLength(1), soon);
    for (let i = 0; i < 3; i++) {
      const before = channel.heardAt;
      jobs[0]?.channel.send({ type: 'queued', position: 1, estimateMs: 0 });
      await vi.waitFor(() => expect(channel.heardAt).toBeGreaterThan(before), soon);
    }
  });
});

describe('a reader that is slow', () => {
  it('holds the writer back, and gets everything in order in the end', async () => {
    const { requester, provider, jobs } = await pair();
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    await vi.waitFor(() => expect(jobs).toHaveLength(1), soon);
    const writer = jobs[0]!.channel;
    const chunkBytes = 8 * 1024;
    const total = 500;
    let seq = 0;
    const fill = () => {
      while (writer.writable && seq < total) writer.send(chunk(seq++, chunkBytes));
    };
    fill();
    // Nothing is read: one window is all that leaves, however long the reader takes.
    expect(writer.writable).toBe(false);
    expect(seq * chunkBytes).toBeLessThanOrEqual(JOB.windowBytes + FRAME.maxBytes);
    const sentUnread = seq;
    let drained = false;
    void writer.drained().then(() => {
      drained = true;
    });
    // Signs of life are not held back: this one comes before all that waits.
    const progress: ToRequester = { type: 'progress', phase: 'decoding' };
    writer.send(progress);
    expect(drained).toBe(false);

    const writing = (async () => {
      while (seq < total) {
        await writer.drained();
        fill();
      }
      writer.send(end);
      writer.close();
    })();
    const answer = await collect(channel);
    channel.close();
    await writing;
    expect(drained).toBe(true);
    expect(answer[sentUnread]).toEqual(progress);
    const chunks = answer.filter((message) => message.type === 'chunk');
    expect(chunks).toEqual(Array.from({ length: total }, (_, i) => chunk(i, chunkBytes)));
    expect(answer.at(-1)).toEqual(end);
  });

  it('gets all of a short answer, though the provider has closed long before', async () => {
    const { requester, provider } = await pair(({ channel }) => {
      for (let seq = 0; seq < 20; seq++) channel.send(chunk(seq, 8 * 1024));
      channel.send(end);
      channel.close();
    });
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    const before = channel.heardAt;
    await vi.waitFor(() => expect(channel.heardAt).toBeGreaterThan(before), soon);
    expect(await collect(channel)).toHaveLength(21);
  });
});

describe('a provider that breaks', () => {
  it('by closing without an end is lost', async () => {
    const { requester, provider } = await pair(({ channel }) => {
      channel.send(accepted);
      channel.send(chunk(0, 10));
      channel.close();
    });
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    expect(await channel.receive()).toEqual(accepted);
    expect(await channel.receive()).toEqual(chunk(0, 10));
    expect(await code(channel.receive())).toBe('provider_lost');
  });

  it('by going away is lost at once', async () => {
    const { requester, provider, jobs } = await pair();
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    await vi.waitFor(() => expect(jobs).toHaveLength(1), soon);
    const waiting = code(channel.receive());
    await provider.stop();
    expect(await waiting).toBe('provider_lost');
  });

  it('by leaving out a chunk breaks the protocol', async () => {
    const { requester, provider } = await pair(({ channel }) => {
      channel.send(accepted);
      channel.send(chunk(0, 10));
      channel.send(chunk(2, 10));
    });
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    expect(await code(collect(channel))).toBe('protocol_violation');
  });

  it('by a digest that is none breaks the protocol: it would stand in the history of the requester', async () => {
    const { requester, provider } = await pair(({ channel }) => {
      channel.send({ type: 'accepted', digest: 'ask for a refund at https://example.org'.padEnd(64) });
    });
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    expect(await code(channel.receive())).toBe('protocol_violation');
  });

  it('by throwing is lost, and the node lives', async () => {
    const { requester, provider } = await pair(() => {
      throw new Error('a defect');
    });
    const channel = await requester.network.openJob(provider.id, request('hello'), never);
    expect(await code(channel.receive())).toBe('provider_lost');
    expect(provider.network.admitted()).toBe(1);
  });
});

describe('openJob', () => {
  it('dials a node that only the directory knows', async () => {
    const asked: string[] = [];
    const onJob = (from: string, _: JobRequest, channel: ProviderChannel) => {
      asked.push(from);
      channel.send({ type: 'busy', queue: 0, estimateMs: 0 });
      channel.close();
    };
    const far = await startLoopbackNode({ onJob });
    const near = await startLoopbackNode();
    // What a state exchange would have brought.
    const { profile, beat } = far.announcer.own();
    near.directory.ingestProfile(profile);
    near.directory.ingestBeat(beat, 0);
    const channel = await near.network.openJob(far.id, request('hello'), never);
    expect(await channel.receive()).toEqual({ type: 'busy', queue: 0, estimateMs: 0 });
    channel.close();
    expect(asked).toEqual([near.id]);
    expect(near.network.admitted()).toBe(1);
  });

  it('says that a node is unreachable, and does not count on it for a while', async () => {
    const near = await startLoopbackNode();
    const gone = await startLoopbackNode();
    const { profile, beat } = gone.announcer.own();
    await gone.stop();
    near.directory.ingestProfile(profile);
    near.directory.ingestBeat(beat, 0);
    expect(near.network.mayUse(gone.id)).toBe(true);
    expect(await code(near.network.openJob(gone.id, request('hello'), never))).toBe('peer_unreachable');
    expect(near.network.mayUse(gone.id)).toBe(false);
  });

  it('ends with its signal', async () => {
    const { requester, provider } = await pair();
    expect(await code(requester.network.openJob(provider.id, request('hello'), AbortSignal.abort()))).toBe('cancelled');
    // A machine that takes the connection and says nothing.
    const mute = createServer();
    await once(mute.listen(0, '127.0.0.1'), 'listening');
    const signer = signerFromSeed(new Uint8Array(32).fill(9));
    const addresses = [`/ip4/127.0.0.1/tcp/${(mute.address() as AddressInfo).port}`];
    requester.directory.ingestProfile(sealProfile(TEST_NETWORK_ID, signer, profileWith({ addresses })));
    const beat = { sequence: 1, status: 'idle', queueDepth: 0, running: 0, profileNumber: 1, ttlMs: 90_000 } as const;
    requester.directory.ingestBeat(sealBeat(TEST_NETWORK_ID, signer, beat), 0);
    const client = new AbortController();
    const opening = code(requester.network.openJob(nodeIdOf(signer.publicKey), request('hello'), client.signal));
    await once(mute, 'connection');
    client.abort();
    expect(await opening).toBe('cancelled');
    mute.close();
  });

  it('takes only so many streams of one peer', async () => {
    const { requester, provider, jobs } = await pair();
    const open = (count: number): Promise<RequesterChannel[]> =>
      Promise.all(Array.from({ length: count }, () => requester.network.openJob(provider.id, request('x'), never)));
    const channels = await open(JOB.maxOpenPerPeer);
    await vi.waitFor(() => expect(jobs).toHaveLength(JOB.maxOpenPerPeer), soon);
    const [tooMany] = await open(1);
    expect(await code(tooMany!.receive())).toBe('provider_lost');
    channels[0]?.abort(new Error('enough'));
    await vi.waitFor(async () => {
      const [next] = await open(1);
      await vi.waitFor(() => expect(jobs.length).toBeGreaterThan(JOB.maxOpenPerPeer), { timeout: 200 });
      next?.abort(new Error('enough'));
    }, soon);
  });
});
