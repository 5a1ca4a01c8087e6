import { afterEach, describe, expect, it, vi } from 'vitest';
import { startLoopbackNode, stopLoopbackNodes } from '../testing/loopback-mesh.ts';
import { modelKey } from './dht.ts';

// Every wait ends with its condition; the bound is for machines that are busy with something else.
vi.setConfig({ testTimeout: 30_000 });
afterEach(stopLoopbackNodes);

const soon = { timeout: 20_000, interval: 20 };
const never = new AbortController().signal;

describe('the DHT', () => {
  it('leads a node whose directory knows nobody to a provider, and confirms it', async () => {
    const middle = await startLoopbackNode();
    const provider = await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] });
    await vi.waitFor(async () => expect(await middle.network.findProviders('words:latest', never)).toBe(1), soon);
    // It joins, and does not take in what its peers tell it on joining.
    const asker = await startLoopbackNode({ bootstrap: [middle.address()], deaf: true });
    await vi.waitFor(() => expect(asker.network.admitted()).toBeGreaterThan(0), soon);
    expect([...asker.directory.nodes()]).toEqual([]);
    asker.facts.deaf = false;
    await vi.waitFor(async () => expect(await asker.network.findProviders('words:latest', never)).toBe(1), soon);
    expect(asker.directory.get(provider.id)?.profile.models[0]?.name).toBe('words:latest');
  });

  it('does not count a provider that is gone, or that has the model no more', async () => {
    const middle = await startLoopbackNode();
    const [gone, changed] = [
      await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] }),
      await startLoopbackNode({ bootstrap: [middle.address()], models: ['words:latest'] }),
    ];
    const asker = await startLoopbackNode({ bootstrap: [middle.address()] });
    await vi.waitFor(async () => expect(await asker.network.findProviders('words:latest', never)).not.toBe(0), soon);
    await gone.stop();
    changed.facts.models = [];
    changed.announcer.profileChanged();
    await vi.waitFor(() => expect(asker.directory.get(changed.id)?.profile.models).toEqual([]), soon);
    const since = performance.now();
    expect(await asker.network.findProviders('words:latest', never)).toBe(0);
    expect(performance.now() - since).toBeLessThan(4000);
  });

  it('finds nobody for a model that nobody has, soon, and alone at once', async () => {
    const alone = await startLoopbackNode();
    expect(await alone.network.findProviders('words:latest', never)).toBe(0);
    const peer = await startLoopbackNode({ bootstrap: [alone.address()] });
    await vi.waitFor(() => expect(peer.network.admitted()).toBe(1), soon);
    expect(await peer.network.findProviders('nothing:latest', never)).toBe(0);
    expect(await peer.network.findProviders('nothing:latest', AbortSignal.abort())).toBe(0);
  });
});

describe('the key of a model', () => {
  it('is the CID version 1 of the SHA-256 of its name', () => {
    // printf 'model:words:latest' | sha256sum, as raw CIDv1 in base32.
    expect(modelKey('words:latest').toString()).toMatch(/^bafkrei[a-z2-7]{52}$/);
    expect(modelKey('words:latest').equals(modelKey('other:latest'))).toBe(false);
  });
});
