/** A job's stream inside one process: between the requester flow and the provider flow of the same node. */

import type { Clock } from '../clock.ts';
import { JOB } from '../limits/jobs.ts';
import type { Channel, ProviderChannel, RequesterChannel } from './ports.ts';

/** Two ends of one stream. */
export function memoryChannel(clock: Clock): { requester: RequesterChannel; provider: ProviderChannel } {
  const requester = new End<never, never>(clock);
  const provider = new End<never, never>(clock);
  requester.other = provider;
  provider.other = requester;
  return { requester: requester as unknown as RequesterChannel, provider: provider as unknown as ProviderChannel };
}

class End<Out, In> implements Channel<Out, In> {
  /** Set by `memoryChannel` before anybody else sees this end. */
  other!: End<In, Out>;
  heardAt: number;
  readonly #clock: Clock;
  readonly #inbox: In[] = [];
  #reader: PromiseWithResolvers<In | undefined> | undefined;
  #drain: PromiseWithResolvers<void> | undefined;
  #closed = false;
  #broken: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.heardAt = clock.elapsed();
  }

  get writable(): boolean {
    return this.other.#inbox.length < JOB.memoryChannelMessages;
  }

  send(message: Out): void {
    if (!this.#closed && this.#broken === undefined) this.other.#take(message);
  }

  drained(): Promise<void> {
    if (this.writable || this.#closed || this.#broken !== undefined) return Promise.resolve();
    this.#drain ??= Promise.withResolvers<void>();
    return this.#drain.promise;
  }

  receive(): Promise<In | undefined> {
    const message = this.#inbox.shift();
    if (message !== undefined) {
      this.other.#drained();
      return Promise.resolve(message);
    }
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    if (this.other.#closed) return Promise.resolve(undefined);
    this.#reader ??= Promise.withResolvers<In | undefined>();
    return this.#reader.promise;
  }

  close(): void {
    this.#closed = true;
    this.#drained();
    this.other.#wake();
  }

  abort(reason: Error): void {
    this.#break(reason);
    this.other.#break(reason);
  }

  #take(message: In): void {
    this.heardAt = this.#clock.elapsed();
    const reader = this.#reader;
    if (reader === undefined) {
      this.#inbox.push(message);
    } else {
      this.#reader = undefined;
      reader.resolve(message);
    }
  }

  #wake(): void {
    this.#reader?.resolve(undefined);
    this.#reader = undefined;
  }

  #break(reason: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#inbox.length = 0;
    this.#reader?.reject(reason);
    this.#reader = undefined;
    this.#drained();
  }

  #drained(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }
}
