/**
 * Which provider has read the beginning of a prompt lately: its engine keeps that in memory, and a conversation that goes
 * back there need not be read again. Kept are salted hashes, never text.
 */

import type { Clock } from '../../clock.ts';
import { ROUTING } from '../../limits/jobs.ts';
import type { NodeId } from '../../protocol/ids.ts';
import type { ChatMessage, JobInput } from '../../protocol/job.ts';
import { RecentMap } from '../recent-map.ts';

/** A beginning of a prompt. */
export interface Prefix {
  readonly key: string;
  /** Estimated from characters. */
  readonly tokens: number;
}

interface Reader {
  readonly node: NodeId;
  readonly digest: string;
  /** `Clock.elapsed()` when its job ended. */
  readonly at: number;
}

export class Affinity {
  readonly #clock: Clock;
  readonly #hash: (text: string) => string;
  /** By the key of a prefix, the latest reader first. */
  readonly #readers = new RecentMap<string, readonly Reader[]>(ROUTING.maxPrefixes);
  /** A job that is placed again has the same input. */
  readonly #prefixes = new WeakMap<JobInput, readonly Prefix[]>();

  /** @param hash salted or keyed: text in, short text out */
  constructor(clock: Clock, hash: (text: string) => string) {
    this.#clock = clock;
    this.#hash = hash;
  }

  /** Tokens of this prompt that each model of each node has read lately, as `readerKey` names them. */
  warmTokens(input: JobInput): ReadonlyMap<string, number> {
    const warm = new Map<string, number>();
    const since = this.#clock.elapsed() - ROUTING.staysWarmMs;
    for (const { key, tokens } of this.#prefixesOf(input).toReversed()) {
      for (const { node, digest, at } of this.#readers.get(key) ?? []) {
        const reader = readerKey(node, digest);
        if (at > since && !warm.has(reader)) warm.set(reader, tokens);
      }
    }
    return warm;
  }

  /** A node has run a job with this input. Only what `warmTokens` was asked about is kept. */
  read(input: JobInput, node: NodeId, digest: string): void {
    const prefixes = this.#prefixes.get(input) ?? [];
    const at = this.#clock.elapsed();
    // The first is what conversations share (a system prompt, tools), the last what the next turn begins with.
    for (const { key } of new Set([...prefixes.slice(0, 1), ...prefixes.slice(-1)])) {
      const others = (this.#readers.get(key) ?? []).filter((reader) => reader.node !== node);
      this.#readers.set(key, [{ node, digest, at }, ...others].slice(0, ROUTING.maxReadersPerPrefix));
    }
  }

  #prefixesOf(input: JobInput): readonly Prefix[] {
    const known = this.#prefixes.get(input);
    if (known !== undefined) return known;
    const prefixes: Prefix[] = [];
    let [key, characters] = ['', 0];
    for (const piece of piecesOf(input)) {
      characters += piece.length;
      key = this.#hash(`${key}\n${piece}`);
      prefixes.push({ key, tokens: Math.floor(characters / ROUTING.charsPerToken) });
    }
    this.#prefixes.set(input, prefixes);
    return prefixes;
  }
}

/** Names a model on a node. */
export function readerKey(node: NodeId, digest: string): string {
  return `${node} ${digest}`;
}

/** A prompt cut where the next one may differ: behind each message, or behind so many characters of a plain text. */
function piecesOf(input: JobInput): readonly string[] {
  switch (input.kind) {
    case 'chat': {
      const { messages, tools } = input;
      if (messages.length > ROUTING.maxPrefixMessages) return [];
      const [first = '', ...rest] = messages.map(textOf);
      // Tools stand in front of the conversation.
      return tools === undefined || tools.length === 0
        ? [first, ...rest]
        : [`${JSON.stringify(tools)}\n${first}`, ...rest];
    }
    case 'generate': {
      const text = `${input.system ?? ''}\n${input.prompt}`;
      const step = Math.max(ROUTING.prefixStepChars, Math.ceil(text.length / ROUTING.maxPrefixMessages));
      const whole = Math.floor(text.length / step);
      return Array.from({ length: whole }, (_, i) => text.slice(i * step, (i + 1) * step));
    }
    default:
      return [];
  }
}

/** Pictures are told apart by their size and end: hashing their megabytes would cost more than a mistake. */
function textOf({ role, content, toolCalls, images = [] }: ChatMessage): string {
  const calls = toolCalls === undefined ? '' : JSON.stringify(toolCalls);
  const pictures = images.map((image) => `${image.length} ${image.slice(-64)}`).join();
  return `${role}\n${content}${calls}${pictures}`;
}
