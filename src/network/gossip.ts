/**
 * Gossip: profiles and beats of the whole mesh, and hints of the ledger. What comes in is judged in one fixed order, cheapest
 * first: size, rate of the peer that sent it, its author, directory, rate of its author. What passes is kept by the directory
 * and passed on. Hints have many authors: the ledger judges them by rules of the same kind.
 */

import { type GossipSub, type Message, TopicValidatorResult } from '@libp2p/gossipsub';
import type { Clock } from '../clock.ts';
import { GoGridError } from '../errors.ts';
import { LEDGER } from '../limits/ledger.ts';
import { MESH } from '../limits/mesh.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Claims, claimsOf } from './claims.ts';
import { plain } from './frames.ts';
import type { Directory, Verdict } from './ports.ts';
import type { NetworkNames } from './protocols.ts';
import { Rates } from './rates.ts';

export interface GossipDeps {
  readonly directory: Directory;
  /** Whether this side works with a node; nothing is taken in of others. */
  readonly mayKnow: (node: NodeId) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onViolation: (node: NodeId, error: GoGridError) => void;
  /** A beat was taken from `from`, and the profile it names is not here. */
  readonly onMissingProfile: (author: NodeId, profileNumber: number, from: NodeId) => void;
  /** Undefined in a mesh without credits: then nothing of the ledger is heard or passed on. */
  readonly onHint: ((bytes: Uint8Array, from: NodeId) => Verdict) | undefined;
}

/** What comes in under one topic. */
interface Topic {
  readonly maxBytes: number;
  readonly ingest: (bytes: Uint8Array) => Verdict;
  readonly taken: (claims: Claims, from: NodeId) => void;
}

export class Gossip {
  readonly #names: NetworkNames;
  readonly #deps: GossipDeps;
  readonly #senders: Rates<NodeId>;
  /** Of hints alone: many of them must not keep beats out, nor beats them. */
  readonly #hinters: Rates<NodeId>;
  readonly #authors: Rates<NodeId>;
  #pubsub: GossipSub | undefined;
  #publishedAt = Number.NEGATIVE_INFINITY;
  readonly #publishing = new Set<Promise<unknown>>();

  constructor(names: NetworkNames, deps: GossipDeps) {
    this.#names = names;
    this.#deps = deps;
    this.#senders = new Rates({ perSecond: MESH.maxGossipPerSecond, maxKeys: MESH.maxRates }, deps.clock);
    this.#hinters = new Rates({ perSecond: LEDGER.maxHintsPerSecond, maxKeys: MESH.maxRates }, deps.clock);
    this.#authors = new Rates({ perSecond: MESH.maxPerAuthorPerSecond, maxKeys: MESH.maxRates }, deps.clock);
  }

  /** Sets the checks; call it before the host starts, so that nothing comes in unchecked. */
  attach(pubsub: GossipSub): void {
    const { profileTopic, beatTopic } = this.#names;
    const { directory } = this.#deps;
    const profiles: Topic = {
      maxBytes: MESH.maxProfileBytes,
      ingest: (bytes) => directory.ingestProfile(bytes),
      taken: () => {},
    };
    const beats: Topic = {
      maxBytes: MESH.maxBeatBytes,
      ingest: (bytes) => directory.ingestBeat(bytes, 0),
      taken: (claims, from) => this.#onBeat(claims, from),
    };
    for (const [name, topic] of [
      [profileTopic, profiles],
      [beatTopic, beats],
    ] as const) {
      pubsub.topicValidators.set(name, (peer, message) => RESULTS[this.#judge(peer.toString(), message, topic)]);
    }
    pubsub.topicValidators.set(
      this.#names.ledgerTopic,
      (peer, message) => RESULTS[this.#judgeHint(peer.toString(), message)],
    );
  }

  /** @param pubsub a gossipsub that has started */
  start(pubsub: GossipSub): void {
    pubsub.subscribe(this.#names.profileTopic);
    pubsub.subscribe(this.#names.beatTopic);
    if (this.#deps.onHint !== undefined) pubsub.subscribe(this.#names.ledgerTopic);
    this.#pubsub = pubsub;
  }

  /**
   * Resolves when what was published has had time to arrive. A socket that is closed while its peer still writes loses what
   * that peer has not read yet, and with it the `leaving` that was said just before.
   */
  async stop(): Promise<void> {
    const anybody = (this.#pubsub?.getPeers().length ?? 0) > 0;
    this.#pubsub = undefined;
    await Promise.allSettled(this.#publishing);
    const restMs = this.#publishedAt + MESH.lastWordsMs - this.#deps.clock.elapsed();
    if (anybody && restMs > 0) await new Promise<void>((resolve) => this.#deps.clock.after(restMs, resolve));
  }

  publishProfile(bytes: Uint8Array): void {
    this.#publish(this.#names.profileTopic, bytes);
  }

  publishBeat(bytes: Uint8Array): void {
    this.#publish(this.#names.beatTopic, bytes);
  }

  /** @param bytes at most `LEDGER.maxHintBytes` */
  publishHint(bytes: Uint8Array): void {
    this.#publish(this.#names.ledgerTopic, bytes);
  }

  #publish(topic: string, bytes: Uint8Array): void {
    const sending = this.#pubsub
      ?.publish(topic, bytes)
      .catch((error: unknown) => this.#deps.log.debug({ error }, 'a message could not be published'));
    if (sending === undefined) return;
    this.#publishedAt = this.#deps.clock.elapsed();
    this.#publishing.add(sending);
    void sending.then(() => this.#publishing.delete(sending));
  }

  #judge(from: NodeId, { data }: Message, { maxBytes, ingest, taken }: Topic): Verdict {
    if (data.length > maxBytes) return this.#reject(from, `a message of ${data.length} bytes`);
    if (!this.#senders.allows(from)) return 'ignore';
    const bytes = plain(data);
    const claims = claimsOf(bytes);
    if (claims !== undefined && !this.#deps.mayKnow(claims.author)) return 'ignore';
    const verdict = claims === undefined ? 'reject' : ingest(bytes);
    if (claims === undefined || verdict === 'reject') {
      return this.#reject(from, 'a message that is malformed, forged, or of another mesh');
    }
    if (verdict === 'ignore') return verdict;
    taken(claims, from);
    // Only now is it sure who the author is: judged earlier, anybody could use up another's rate.
    return this.#authors.allows(claims.author) ? 'accept' : 'ignore';
  }

  #judgeHint(from: NodeId, { data }: Message): Verdict {
    const { onHint } = this.#deps;
    if (data.length > LEDGER.maxHintBytes) return this.#reject(from, `a hint of ${data.length} bytes`);
    if (onHint === undefined || !this.#hinters.allows(from)) return 'ignore';
    const verdict = onHint(plain(data), from);
    return verdict === 'reject' ? this.#reject(from, 'a hint that is malformed, forged, or of another mesh') : verdict;
  }

  #onBeat({ author, fields }: Claims, from: NodeId): void {
    const { directory, onMissingProfile } = this.#deps;
    const profileNumber = fields[BEAT_PROFILE_NUMBER];
    const known = directory.get(author)?.profile.number ?? -1;
    if (typeof profileNumber === 'number' && known < profileNumber) onMissingProfile(author, profileNumber, from);
  }

  #reject(from: NodeId, message: string): Verdict {
    this.#deps.onViolation(from, new GoGridError({ code: 'protocol_violation', message }));
    return 'reject';
  }
}

const RESULTS: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** Place of the profile number in a beat's fields (protocol/beat.ts). */
const BEAT_PROFILE_NUMBER = 4;
