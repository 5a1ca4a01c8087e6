import type { GossipSub, Message, TopicValidatorResult } from '@libp2p/gossipsub';
import { describe, expect, it } from 'vitest';
import { LEDGER } from '../limits/ledger.ts';
import { MESH } from '../limits/mesh.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { Gossip } from './gossip.ts';
import { networkNames } from './protocols.ts';

type Validator = (peer: { toString(): string }, message: Message) => TopicValidatorResult;

/** The checks of a gossip, by topic. */
function stage() {
  const names = networkNames(new Uint8Array(32));
  const validators = new Map<string, Validator>();
  const directory = {
    ingestProfile: () => 'accept' as const,
    ingestBeat: () => 'accept' as const,
    get: () => undefined,
  };
  const gossip = new Gossip(names, {
    directory: directory as never,
    mayKnow: () => true,
    clock: new VirtualClock(),
    log: silentLogger,
    onViolation: () => {},
    onMissingProfile: () => {},
    onHint: () => 'accept',
  });
  gossip.attach({ topicValidators: validators } as unknown as GossipSub);
  const send = (topic: string) =>
    validators.get(topic)?.({ toString: () => 'peer' }, { data: new Uint8Array(9) } as Message);
  return { names, send };
}

describe('the rates of gossip', () => {
  it('count hints apart: many of them keep no beat out, and many beats no hint', () => {
    const { names, send } = stage();
    const hints = Array.from({ length: 4 * LEDGER.maxHintsPerSecond }, () => send(names.ledgerTopic));
    expect(hints[0]).toBe('accept');
    expect(hints.at(-1)).toBe('ignore');
    // It is no beat, which is seen only when its rate is not used up.
    expect(send(names.beatTopic)).toBe('reject');

    const other = stage();
    for (let count = 0; count < 4 * MESH.maxGossipPerSecond; count++) other.send(names.beatTopic);
    expect(other.send(names.beatTopic)).toBe('ignore');
    expect(other.send(names.ledgerTopic)).toBe('accept');
  });
});
