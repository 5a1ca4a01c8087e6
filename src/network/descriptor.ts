/**
 * The descriptor that this node lives by while it runs. Its founder may reissue it, here or on another node; then the newer
 * one takes its place, is kept on disk, and the rest of the node is told.
 */

import { toGoGridError } from '../errors.ts';
import {
  expectBuilt,
  isLocal,
  type NetworkDescriptor,
  openDescriptor,
  reissue,
  sealDescriptor,
  supersedes,
  type TermsChanges,
} from '../protocol/descriptor.ts';
import type { Signer } from '../protocol/signature.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { OwnDescriptor, SaidDescriptor, Verdict } from './ports.ts';

export interface LiveDescriptorDeps {
  /** This node's own key: the founder's, or not. */
  readonly signer: Signer;
  /** Puts it on the disk in place of the one there, as a whole. */
  readonly save: (descriptor: NetworkDescriptor) => Promise<void>;
  readonly log: Logger;
}

export class LiveDescriptor implements OwnDescriptor {
  readonly #deps: LiveDescriptorDeps;
  readonly #listeners = new Set<(descriptor: NetworkDescriptor) => void>();
  #current: NetworkDescriptor;
  /** Writes and reissues, one after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  #isWaitingToBeSaved = false;

  constructor(current: NetworkDescriptor, deps: LiveDescriptorDeps) {
    this.#current = current;
    this.#deps = deps;
  }

  get current(): NetworkDescriptor {
    return this.#current;
  }

  /** As it is sent to a peer that asks; undefined for `local`, which every node has. */
  sealed(): Uint8Array | undefined {
    return isLocal(this.#current) ? undefined : sealDescriptor(this.#current);
  }

  said(): SaidDescriptor {
    const { terms, hash } = this.#current;
    return isLocal(this.#current) ? { revision: 0 } : { revision: terms.revision, descriptorHash: hash };
  }

  isNewer({ revision, descriptorHash }: SaidDescriptor): boolean {
    const { terms, hash } = this.#current;
    if (isLocal(this.#current) || revision < terms.revision) return false;
    return revision > terms.revision || (descriptorHash !== undefined && Buffer.compare(descriptorHash, hash) < 0);
  }

  /** Takes a descriptor that a peer sent, when it supersedes the one here. It holds at once, and is on disk soon after. */
  take(bytes: Uint8Array): Verdict {
    let next: NetworkDescriptor;
    try {
      next = openDescriptor(bytes);
    } catch {
      return 'reject';
    }
    if (Buffer.compare(next.networkId, this.#current.networkId) !== 0) return 'reject';
    if (!supersedes(next, this.#current)) return 'ignore';
    try {
      expectBuilt(next);
    } catch (thrown) {
      this.#deps.log.warn({ revision: next.terms.revision }, `not taken over: ${toGoGridError(thrown).message}`);
      return 'ignore';
    }
    this.#hold(next);
    this.#saveSoon();
    return 'accept';
  }

  /**
   * Signs the next revision. It is on disk before it holds, and before anybody hears of it: a founder that crashed in between
   * would sign another one of the same revision.
   * @throws GoGridError `not_founder`, `not_built`, `invalid_descriptor`, `home_unusable`
   */
  reissue(changes: TermsChanges): Promise<NetworkDescriptor> {
    const { signer, save } = this.#deps;
    return this.#next(async () => {
      const next = reissue(this.#current, changes, signer);
      expectBuilt(next);
      await save(next);
      if (supersedes(next, this.#current)) this.#hold(next);
      return next;
    });
  }

  /** @returns the way to stop listening */
  onChange(listener: (descriptor: NetworkDescriptor) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when all that was taken is on disk. */
  async saved(): Promise<void> {
    await this.#queue;
  }

  #hold(next: NetworkDescriptor): void {
    this.#current = next;
    this.#deps.log.info({ revision: next.terms.revision }, "the mesh's descriptor was reissued");
    for (const listener of this.#listeners) listener(next);
  }

  #saveSoon(): void {
    if (this.#isWaitingToBeSaved) return;
    this.#isWaitingToBeSaved = true;
    void this.#next(async () => {
      this.#isWaitingToBeSaved = false;
      await this.#deps.save(this.#current);
    }).catch((error: unknown) => this.#deps.log.error({ error }, 'the descriptor of the mesh could not be written'));
  }

  #next<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(step);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
