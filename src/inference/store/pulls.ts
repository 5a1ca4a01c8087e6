/**
 * Pulls of models, each as one thing however many wait for it: it runs while somebody listens. Where a model comes from is
 * decided here: Ollama when it answers, else this program's own catalogue.
 */

import type { Clock } from '../../clock.ts';
import { GoGridError, toGoGridError } from '../../errors.ts';
import { STORE } from '../../limits/engine.ts';
import { parseModelRef } from '../../protocol/model-name.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { type CatalogueEntry, findEntry } from './catalogue.ts';
import { cancelled } from './failures.ts';
import { Pull, type PullState, type PullStep } from './pull.ts';
import type { ModelStore } from './store.ts';
import type { FetchProgress, FetchState } from './ways.ts';

/** One step of Ollama's. */
interface OllamaStep {
  readonly status: string;
  readonly digest: string | undefined;
  readonly totalBytes: number | undefined;
  readonly bytes: number | undefined;
}

/** Ollama, as a way to a model. */
export interface OllamaSide {
  isThere(signal: AbortSignal): Promise<boolean>;
  has(name: string, signal: AbortSignal): Promise<boolean>;
  pull(name: string, signal: AbortSignal): AsyncIterable<OllamaStep>;
  remove(name: string, signal: AbortSignal): Promise<void>;
}

export interface PullsDeps {
  /** undefined where the node has no engine for such files. */
  readonly store: ModelStore | undefined;
  /** undefined where the node does not use Ollama. */
  readonly ollama: OllamaSide | undefined;
  /** Lets the engines look at what they have now. */
  refresh(): Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Pulls {
  readonly #deps: PullsDeps;
  readonly #running = new Map<string, Pull>();
  /** Ended ones, the newest last. */
  readonly #ended = new Map<string, PullState>();
  /** What somebody took away on purpose, and nobody wanted back so far. */
  readonly #removed = new Set<string>();
  /** Removals under way, by model. */
  readonly #removing = new Map<string, Promise<void>>();
  readonly #listeners = new Set<() => void>();
  readonly #stopped = new AbortController();

  constructor(deps: PullsDeps) {
    this.#deps = deps;
  }

  /**
   * Brings a model here and tells how far it is; the last state is `done`. One that runs already is joined. Leaving the
   * loop, or `signal`, leaves the pull to those who still listen; without any it stops, and what came of it is kept.
   * @throws GoGridError `invalid_request`, `model_not_found`, `engine_unavailable`, `download_failed`, `disk_full`,
   *   `overloaded`, `cancelled`
   */
  pull(name: string, signal: AbortSignal): AsyncIterable<PullState> {
    return this.#join(name, signal, false);
  }

  /** As `pull`, from the catalogue alone. */
  pullFromCatalogue(name: string, signal: AbortSignal): AsyncIterable<PullState> {
    return this.#join(name, signal, true);
  }

  /** Running pulls, then the last that ended; from memory. */
  states(): readonly PullState[] {
    const ended = [...this.#ended].filter(([key]) => !this.#running.has(key)).map(([, state]) => state);
    return [...[...this.#running.values()].map((pull) => pull.state()), ...ended.toReversed()];
  }

  /** Whether somebody took this model away since the node started: nothing brings it back unasked. */
  wasRemoved(name: string): boolean {
    return this.#removed.has(keyOf(name));
  }

  /** Calls back when a pull began or ended; returns the way to stop it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Deletes a model from this machine: the file of the catalogue, Ollama's, or both. A pull that is asked for meanwhile
   * begins when it is gone.
   * @throws GoGridError `model_not_found`, `invalid_request`, `engine_unavailable`, `engine_failed`
   */
  async remove(name: string, signal: AbortSignal): Promise<void> {
    const key = keyOf(name);
    while (this.#removing.has(key)) await this.#removing.get(key);
    if (this.#running.has(key)) {
      throw new GoGridError({
        code: 'invalid_request',
        message: `model: '${key}' is being pulled right now`,
        hint: 'wait for its end, or cancel it, then remove it',
      });
    }
    const entry = this.#entryOf(key);
    const wasRemoved = this.#removed.has(key);
    // From now on, so that nothing that brings it back unasked waits for the end of this.
    if (entry !== undefined) this.#removed.add(key);
    const removing = this.#remove(name, key, entry, signal);
    this.#removing.set(
      key,
      removing.catch(() => undefined),
    );
    try {
      await removing;
    } catch (thrown) {
      if (!wasRemoved) this.#removed.delete(key);
      throw thrown;
    } finally {
      this.#removing.delete(key);
    }
    await this.#refresh();
  }

  async #remove(name: string, key: string, entry: CatalogueEntry | undefined, signal: AbortSignal): Promise<void> {
    const { store, ollama, log } = this.#deps;
    let removed = entry !== undefined && (await store?.remove(entry, signal)) === true;
    const inOllama = (await ollama?.isThere(signal)) === true && (await ollama?.has(name, signal)) === true;
    if (inOllama) {
      await ollama?.remove(name, signal);
      removed = true;
    }
    if (!removed) throw notHere(name);
    this.#ended.delete(key);
    log.info({ model: key }, 'a model was removed');
  }

  /** Ends every pull. */
  async stop(): Promise<void> {
    this.#stopped.abort(new GoGridError({ code: 'shutting_down', message: 'this node is shutting down' }));
    await Promise.all([...this.#running.values()].map((pull) => pull.ended));
    this.#listeners.clear();
  }

  async *#join(name: string, signal: AbortSignal, catalogueOnly: boolean): AsyncGenerator<PullState, void, undefined> {
    const key = keyOf(name);
    if (signal.aborted) throw cancelled(signal);
    for (;;) {
      const before = this.#removing.get(key) ?? this.#leftPull(key);
      if (before === undefined) break;
      await before;
    }
    if (signal.aborted) throw cancelled(signal);
    const pull = this.#running.get(key) ?? this.#begin(key, name, catalogueOnly);
    yield* pull.listen(signal);
  }

  /** One that nobody waits for any more and that is not over yet. */
  #leftPull(key: string): Promise<unknown> | undefined {
    const pull = this.#running.get(key);
    return pull?.isLeft === true ? pull.ended : undefined;
  }

  #begin(key: string, name: string, catalogueOnly: boolean): Pull {
    if (this.#stopped.signal.aborted) throw cancelled(this.#stopped.signal);
    this.#removed.delete(key);
    if (this.#running.size >= STORE.maxPulls) {
      throw new GoGridError({
        code: 'overloaded',
        message: `${STORE.maxPulls} models are being pulled already`,
        hint: 'wait until one is there',
        retryAfterSecs: 60,
      });
    }
    const steps = (signal: AbortSignal) => this.#steps(name, catalogueOnly, signal);
    const pull = new Pull({ model: name, steps, stopped: this.#stopped.signal }, this.#deps.clock);
    this.#running.set(key, pull);
    void pull.ended.then((state) => this.#end(key, pull, state));
    pull.start();
    this.#tell();
    return pull;
  }

  #end(key: string, pull: Pull, state: PullState): void {
    if (this.#running.get(key) === pull) this.#running.delete(key);
    this.#ended.delete(key);
    this.#ended.set(key, state);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= STORE.maxEndedPulls) break;
      this.#ended.delete(oldest);
    }
    // Why it failed may be text from the network: the list of pulls has it.
    if (state.state === 'failed') this.#deps.log.warn({ model: key }, 'a model could not be fetched');
    else this.#deps.log.info({ model: key, state: state.state }, 'a pull ended');
    this.#tell();
  }

  /** Where it comes from; ends when the engines know of it. */
  async *#steps(name: string, catalogueOnly: boolean, signal: AbortSignal): AsyncGenerator<PullStep, void, undefined> {
    const { store, ollama, log } = this.#deps;
    const entry = this.#entryOf(keyOf(name));
    const viaOllama = !catalogueOnly && (await ollama?.isThere(signal)) === true;
    if (signal.aborted) throw cancelled(signal);
    let brought = false;
    if (ollama !== undefined && viaOllama) {
      try {
        for await (const step of ollama.pull(name, signal)) yield ollamaStep(step);
        brought = true;
      } catch (thrown) {
        if (signal.aborted) throw cancelled(signal);
        if (entry === undefined || store === undefined) throw thrown;
        log.info({ model: entry.name, code: toGoGridError(thrown).code }, 'Ollama did not get it: from the catalogue');
      }
    }
    if (!brought) {
      if (entry === undefined || store === undefined) throw this.#unknown(name);
      yield* fetchSteps(store, entry, signal);
    }
    await this.#refresh();
  }

  #entryOf(key: string): CatalogueEntry | undefined {
    const { store } = this.#deps;
    return store === undefined ? undefined : findEntry(store.catalogue, key);
  }

  /** The model may be there whatever the engines say of it. */
  async #refresh(): Promise<void> {
    await this.#deps.refresh().catch((thrown: unknown) => {
      this.#deps.log.warn({ code: toGoGridError(thrown).code }, 'looking at the models failed');
    });
  }

  #unknown(name: string): GoGridError {
    const { store, ollama } = this.#deps;
    const own = store?.catalogue.map((entry) => entry.name).join(', ') ?? '';
    const meant = store?.catalogue.find((entry) => familyOf(entry.name) === familyOf(keyOf(name)));
    const didYouMean = meant === undefined ? '' : `did you mean ${meant.name}? Else `;
    if (ollama === undefined) {
      if (store === undefined) {
        return new GoGridError({
          code: 'engine_unavailable',
          message: 'this node runs no models itself (engine.kind is none)',
          hint: 'set engine.kind to auto to run models on this machine',
        });
      }
      return new GoGridError({
        code: 'model_not_found',
        message: `model '${name}' not found: without Ollama there is only ${own}`,
        hint: `${didYouMean}set engine.kind to auto, and install Ollama from https://ollama.com/download`,
      });
    }
    const without = own === '' ? '' : `; without it there is only ${own}`;
    return new GoGridError({
      code: 'engine_unavailable',
      message: `'${name}' comes through Ollama, which does not answer${without}`,
      hint: `${didYouMean}start Ollama (\`ollama serve\`, or its desktop app), or install it from https://ollama.com/download`,
    });
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** @throws GoGridError `invalid_request` */
function keyOf(name: string): string {
  const { name: canonical, digest } = parseModelRef(name);
  if (digest === undefined) return canonical;
  throw new GoGridError({
    code: 'invalid_request',
    message: `model: '${name.slice(0, 80)}' pins a digest, which no source of models can be asked for`,
    hint: `send ${canonical}`,
    data: { field: 'model' },
  });
}

/** A canonical name without its tag. */
function familyOf(name: string): string {
  return name.replace(/:[^:/]*$/, '');
}

function notHere(name: string): GoGridError {
  return new GoGridError({
    code: 'model_not_found',
    message: `model '${name}' not found: this machine has no such model to remove`,
    hint: 'gogrid models lists what is here; models of other machines are removed there',
  });
}

function ollamaStep({ status, digest, totalBytes, bytes }: OllamaStep): PullStep {
  const state = totalBytes !== undefined ? 'downloading' : /^verifying/.test(status) ? 'checking' : 'starting';
  return { state, status, source: 'Ollama', digest, bytes: bytes ?? 0, totalBytes: totalBytes ?? 0 };
}

const WORDS: Readonly<Record<FetchState, string>> = {
  waiting: 'waiting for another process that fetches it',
  copying: 'copying',
  downloading: 'downloading',
  unpacking: 'unpacking',
  checking: 'checking the SHA-256',
};

/** The store calls back; a loop wants to be asked: it gets the newest progress whenever it comes back for one. */
async function* fetchSteps(
  store: ModelStore,
  entry: CatalogueEntry,
  signal: AbortSignal,
): AsyncGenerator<PullStep, void, undefined> {
  let newest: FetchProgress | undefined;
  let wake = Promise.withResolvers<void>();
  let over = false;
  const leaving = new AbortController();
  const fetching = store
    .fetch(
      entry,
      (progress) => {
        newest = progress;
        wake.resolve();
      },
      AbortSignal.any([signal, leaving.signal]),
    )
    .finally(() => {
      over = true;
      wake.resolve();
    });
  fetching.catch(() => undefined);
  const digest = `sha256:${entry.sha256}`;
  try {
    while (!over) {
      await wake.promise;
      wake = Promise.withResolvers();
      const progress = newest;
      newest = undefined;
      if (progress !== undefined) yield { ...progress, digest, status: WORDS[progress.state] };
    }
    const { source } = await fetching;
    // Also of one that was here already.
    yield { state: 'checking', status: WORDS.checking, source, digest, bytes: entry.bytes, totalBytes: entry.bytes };
  } finally {
    if (!over) leaving.abort();
    await fetching.catch(() => undefined);
  }
}
