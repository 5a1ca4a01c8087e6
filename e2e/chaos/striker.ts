/** Strikes providers at random moments, brings them back, and never takes the last ones. */

import { setTimeout as sleep } from 'node:timers/promises';
import { defectsIn } from '../harness/findings.ts';
import type { Mesh } from '../harness/mesh.ts';
import type { Random } from '../harness/random.ts';
import { until } from '../harness/until.ts';

/**
 * - `kill`: SIGKILL, then a new process with the same home.
 * - `freeze`: SIGSTOP, and SIGCONT later: sometimes before anybody notices, mostly after.
 * - `drain`: SIGTERM, its end in order, and a new process.
 * - `owner`: the machine's own user asks, so that a stranger's job has to make room.
 */
export type StrikeKind = 'kill' | 'freeze' | 'drain' | 'owner';

/** Of twenty strikes, so many are of each kind. */
const SHARES: Readonly<Record<StrikeKind, number>> = { kill: 7, freeze: 4, drain: 6, owner: 3 };
const DICE = (Object.keys(SHARES) as StrikeKind[]).flatMap((kind) => Array<StrikeKind>(SHARES[kind]).fill(kind));
/** So that work goes on, and an answer finds somebody when its provider goes. */
const LEFT_ALONE = 2;
const PAUSE_MS = [50, 900] as const;
const FROZEN_MS = [300, 5_000] as const;
/** A node that is not back by then does not come back. */
const BACK_WITHIN_MS = 30_000;

export interface StrikerOptions {
  readonly mesh: Mesh;
  readonly random: Random;
  /** Indices of the nodes that may be struck, and of those that must see them come back. */
  readonly providers: readonly number[];
  readonly requesters: readonly number[];
  readonly struck: (kind: StrikeKind) => void;
  readonly violated: (what: string) => void;
  /** The owner of this machine asks; resolves when the answer is there. */
  readonly ownerAsks: (index: number) => Promise<void>;
}

export class Striker {
  readonly #options: StrikerOptions;
  readonly #recoveries = new Set<Promise<void>>();
  readonly #up: Set<number>;
  readonly #done: { kind: StrikeKind; provider: string; at: number }[] = [];

  constructor(options: StrikerOptions) {
    this.#options = options;
    this.#up = new Set(options.providers);
  }

  /** Strikes so often, then waits until all are back. */
  async strike(count: number): Promise<void> {
    const { random } = this.#options;
    for (let done = 0; done < count; done++) {
      await sleep(random.int(...PAUSE_MS));
      await until(() => this.#up.size > LEFT_ALONE, { what: 'a provider that may be struck', within: BACK_WITHIN_MS });
      const index = random.pick([...this.#up].toSorted((a, b) => a - b));
      this.#begin(random.pick(DICE), index);
    }
    await Promise.all(this.#recoveries);
  }

  /** The kind of the last strike at a provider before something was noticed there, or undefined. */
  kindOf(provider: string, noticedAt: number): StrikeKind | undefined {
    return this.#done.findLast((strike) => strike.provider === provider && strike.at <= noticedAt)?.kind;
  }

  #begin(kind: StrikeKind, index: number): void {
    const { mesh, struck, violated } = this.#options;
    this.#up.delete(index);
    this.#done.push({ kind, provider: mesh.node(index).peerId, at: Date.now() });
    struck(kind);
    const recovery = this.#carryOut(kind, index)
      .catch((error: unknown) => violated(`${mesh.node(index).name} after ${kind}: ${String(error)}`))
      .finally(() => {
        this.#up.add(index);
        this.#recoveries.delete(recovery);
      });
    this.#recoveries.add(recovery);
  }

  async #carryOut(kind: StrikeKind, index: number): Promise<void> {
    const { mesh, random, ownerAsks } = this.#options;
    const node = mesh.node(index);
    switch (kind) {
      case 'owner':
        return ownerAsks(index);
      case 'freeze':
        node.freeze();
        await sleep(random.int(...FROZEN_MS));
        node.thaw();
        break;
      case 'kill':
        await node.kill();
        await mesh.restart(index);
        break;
      case 'drain': {
        const { code, signal } = await node.stop();
        if (code !== 0) throw new Error(`it ended with ${signal ?? `exit code ${code}`}`);
        await mesh.restart(index);
      }
    }
    const [defect] = defectsIn(node.stderr);
    if (defect !== undefined) throw new Error(`it printed: ${defect}`);
    await this.#seen(index);
  }

  /** All requesters would give it jobs again. */
  async #seen(index: number): Promise<void> {
    const { mesh, requesters } = this.#options;
    const { peerId, name } = mesh.node(index);
    const sees = async (requester: number) => {
      const peer = (await mesh.node(requester).peers()).find((each) => each.peerId === peerId);
      return peer?.connected === true && (peer.status === 'idle' || peer.status === 'busy') && peer.models.length > 0;
    };
    for (const requester of requesters) {
      const what = `${mesh.node(requester).name} to see ${name} again`;
      await until(() => sees(requester), { what, within: BACK_WITHIN_MS });
    }
  }
}
