/** A router among peers that a test names, and questions for it. */

import { createHash } from 'node:crypto';
import type { KnownNode } from '../capabilities/directory.ts';
import type { RouteQuery } from '../jobs/routing/decision.ts';
import { createRouter, type RouterDeps } from '../jobs/routing/router.ts';
import type { NodeStatus } from '../protocol/beat.ts';
import type { ChatInput } from '../protocol/job.ts';
import type { ModelProfile } from '../protocol/profile.ts';
import { profileWith } from './builders.ts';
import { VirtualClock } from './virtual-clock.ts';

export const MODEL = 'm:latest';
export const [ONE, OTHER] = ['11'.repeat(32), '22'.repeat(32)];
export const signal = new AbortController().signal;

export interface Peer {
  readonly node: string;
  readonly model?: Partial<ModelProfile>;
  readonly status?: NodeStatus;
  readonly queueDepth?: number;
  readonly running?: number;
  readonly latencyMs?: number;
  readonly heardAt?: number;
}

const FACTS: ModelProfile = {
  ...modelNamed(MODEL),
  digest: ONE,
  capabilities: ['completion'],
  warm: true,
  tokensPerSecond: 20,
  prefillTokensPerSecond: 200,
  loadMs: 4_000,
};

function modelNamed(name: string): ModelProfile {
  const [model] = profileWith({ models: [name] }).models;
  if (model === undefined) throw new Error('a profile without its model');
  return model;
}

/** A router among peers that a test names; this machine has the model when `own` says so. */
export function routerAmong(peers: readonly Peer[], own?: Partial<ModelProfile>, changes: Partial<RouterDeps> = {}) {
  const clock = new VirtualClock();
  const present = [...peers];
  const asked: string[] = [];
  const deps: RouterDeps = {
    engine: {
      models: () => (own === undefined ? [] : [{ ...FACTS, ...own, modifiedAt: 0, format: 'gguf' }]),
    },
    ownRates: () => ({ ...FACTS, ...own }),
    ownWaitMs: () => 0,
    directory: { providersOf: () => present.map((peer) => announced(peer)) },
    link: {
      latencyMs: (node) => present.find((peer) => peer.node === node)?.latencyMs ?? 5,
      findProviders: async (model) => {
        asked.push(model);
        return 0;
      },
    },
    usable: () => true,
    outOfReach: () => false,
    isFriend: () => false,
    clock,
    random: () => 0,
    hash: (text) => createHash('sha256').update(`salt${text}`).digest('base64'),
    ...changes,
  };
  return { router: createRouter({ self: 'me' }, deps), clock, present, asked };
}

function announced({ node, model, status = 'idle', queueDepth = 0, running = 0, heardAt = 0 }: Peer) {
  const sealed = { profileNumber: 1, sequence: 1, ttlMs: 90_000 };
  const known: KnownNode = {
    node,
    profile: { ...profileWith(), node },
    beat: { node, status, queueDepth, running, ...sealed },
    beatAt: heardAt,
  };
  return { node: known, model: { ...FACTS, ...model } };
}

export function asking(changes: Partial<RouteQuery> = {}, input: Partial<ChatInput> = {}): RouteQuery {
  return {
    ref: { name: MODEL, digest: undefined },
    input: { kind: 'chat', messages: [{ role: 'user', content: 'Why is the sky blue?' }], ...input },
    privacy: 'mesh',
    digest: undefined,
    delivered: 0,
    failed: new Set(),
    ...changes,
  };
}

/** An answer of 50 tokens as it came, one a second. */
export const SEEN = { tokens: 50, firstMs: 1_000, writeMs: 49_000 };

export const tool = { type: 'function', function: { name: 'f' } };
