/** The engine `embedded`: model files on this machine, run by llama.cpp in a process of its own. Needs no other program. */

import { availableParallelism } from 'node:os';
import type { Clock } from '../../clock.ts';
import { GoGridError, reasonOf, toGoGridError } from '../../errors.ts';
import type { Engine, EngineCall, EngineEvent, EngineModel, LoadedModel, ModelDescription } from '../../jobs/ports.ts';
import { EMBEDDED } from '../../limits/engine.ts';
import type { FinishReason, Phase } from '../../protocol/job.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { defaultsText, defaultTemplate, withDefaults } from './defaults.ts';
import { interrupted, notFound } from './failures.ts';
import { type GgufHeader, readGgufFile } from './gguf.ts';
import { Lane } from './lane.ts';
import { Memory } from './memory.ts';
import type { LoadOrder } from './messages.ts';
import { type ModelFile, ModelFiles, type ModelFilesOptions } from './model-files.ts';
import type { ProcessRun } from './process-run.ts';
import { checkResumable, checkSupported, contextTokens, isSpent, keepAliveMs } from './requests.ts';

export interface EmbeddedOptions extends ModelFilesOptions {
  /** Threads that a model computes with; undefined: as many as suit the machine. */
  readonly threads?: number | undefined;
  /** The program that runs models, where it is not ours: for tests of what goes wrong with it. */
  readonly program?: string | undefined;
}

export interface EmbeddedDeps {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface EmbeddedEngine extends Engine {
  /** Looks for models; resolves when they are known, or soon after while large ones are still read. */
  start(): Promise<void>;
  /** Ends the process that runs models, and what runs in it. */
  stop(): void;
  /** Looks for models again: after a download, or when one was taken away. */
  refresh(): Promise<void>;
  /** From now on the starter model counts, if it is there. */
  offerStarter(): void;
  /** There is a file of a model that speaks, whether it was read to its end yet or not. */
  readonly hasModels: boolean;
  /** The process that runs models; undefined while there is none. */
  readonly pid: number | undefined;
}

export function createEmbeddedEngine(options: EmbeddedOptions, deps: EmbeddedDeps): EmbeddedEngine {
  return new Embedded(options, deps);
}

type KnownFile = ModelFile & { readonly digest: string };

class Embedded implements EmbeddedEngine {
  readonly kind = 'embedded';
  readonly #threads: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #files: ModelFiles;
  readonly #memory: Memory;
  readonly #lane = new Lane();
  readonly #listeners = new Set<() => void>();
  /** Digests of models that have answered here, and so can go on in the middle of an answer. */
  readonly #proven = new Set<string>();
  #looked = false;
  #starterOffered = false;
  #stopped = false;

  constructor(options: EmbeddedOptions, { logger, clock }: EmbeddedDeps) {
    const log = logger.child({ part: 'engine' });
    const changed = () => this.#tell();
    this.#threads = options.threads ?? threadsFor(availableParallelism());
    this.#clock = clock;
    this.#log = log;
    this.#files = new ModelFiles(options, log, changed);
    this.#memory = new Memory({ clock, log, changed, program: options.program });
  }

  async start(): Promise<void> {
    const { promise: longEnough, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.after(EMBEDDED.startWaitMs, resolve);
    await Promise.race([this.refresh(), longEnough]);
    timer.cancel();
  }

  stop(): void {
    this.#stopped = true;
    this.#listeners.clear();
    this.#files.stop();
    this.#memory.stop();
  }

  async refresh(): Promise<void> {
    await this.#files.look();
    if (this.#stopped) return;
    this.#looked = true;
    // Whether this machine can run them at all is better known before others count on it.
    if (this.#known().length > 0 && this.#memory.version === '') this.#memory.warmUp();
    this.#tell();
  }

  offerStarter(): void {
    if (this.#starterOffered) return;
    this.#starterOffered = true;
    if (this.#looked && this.#known().length > 0 && this.#memory.version === '') this.#memory.warmUp();
    this.#tell();
  }

  get hasModels(): boolean {
    return this.#files.files.some((file) => !file.embedsOnly && this.#isOffered(file));
  }

  get pid(): number | undefined {
    return this.#memory.pid;
  }

  status() {
    const { version } = this.#memory;
    if (!this.#looked) return { state: 'starting', version, hint: undefined } as const;
    return { ...this.#memory.state, version };
  }

  models(): readonly EngineModel[] {
    if (this.#memory.state.state !== 'ready') return [];
    const warm = this.#memory.loaded?.digest;
    return this.#known().map((file) => this.#model(file, warm));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async loaded(): Promise<readonly LoadedModel[]> {
    const { loaded } = this.#memory;
    if (loaded === undefined) return [];
    const { name, sizeBytes, contextLength, expiresAt } = loaded;
    return [{ name, sizeBytes, contextLength, expiresAt, vramBytes: 0 }];
  }

  async describe(model: string): Promise<ModelDescription> {
    const file = this.#find(model);
    const { metadata } = await readGgufFile(file.path).catch((): GgufHeader => {
      throw notFound(model);
    });
    const text = (key: string) => String(metadata.get(key) ?? '');
    return {
      template: defaultTemplate(file.digest) ?? text('tokenizer.chat_template'),
      parameters: defaultsText(file.digest),
      system: '',
      license: text('general.license'),
      modelInfo: Object.fromEntries([...metadata].filter(([key]) => key !== 'tokenizer.chat_template')),
    };
  }

  async *run(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent, void, undefined> {
    if (signal.aborted) throw reasonOf(signal);
    const file = this.#find(call.model);
    const { resume } = call;
    const input = { ...call.input, options: withDefaults(file.digest, call.input.options) };
    const keepAlive = keepAliveMs(input.keepAlive);
    checkSupported(file.name, input, file.embedsOnly);
    if (resume !== undefined) {
      checkResumable(file.name, input);
      if (isSpent(input, resume)) {
        yield ended('length');
        return;
      }
    }
    const unloads = input.kind === 'load' && keepAlive === 0;
    const abort = interrupted(signal);
    const phases = new Phases();
    let leave: (() => void) | undefined;
    let run: ProcessRun | undefined;
    let succeeded = false;
    try {
      if (!unloads) yield phases.begin(this.#isWarm(file) ? 'prefill' : 'loading');
      leave = await this.#lane.enter(signal);
      if (unloads) {
        if (this.#isWarm(file)) this.#memory.unload();
        yield ended('unload');
        return;
      }
      if (!this.#isWarm(file) && phases.isNew('loading')) yield phases.begin('loading');
      const process = await abort.orElse(this.#hold(file));
      const contextLength = contextTokens(input, file.contextLength);
      this.#memory.contextLength = contextLength;
      run = process.run({ input, resume, contextLength });
      for (;;) {
        const event = await abort.orElse(run.next());
        if (event.type === 'progress') {
          if (phases.isNew(event.phase)) yield phases.begin(event.phase);
          continue;
        }
        if (event.type === 'done') succeeded = true;
        if (event.type === 'done' && input.kind !== 'embed' && input.kind !== 'load') this.#prove(file);
        const { id: _, ...plain } = event;
        yield plain;
        if (succeeded) return;
      }
    } catch (thrown) {
      if (run === undefined && !signal.aborted) this.#lookAgain();
      throw signal.aborted ? reasonOf(signal) : toGoGridError(thrown);
    } finally {
      abort.done();
      if (leave !== undefined) this.#leave(leave, run, succeeded ? (keepAlive ?? 'as before') : undefined);
    }
  }

  /** In the background: what a call failed for may be a file that is no longer what it was. */
  #lookAgain(): void {
    this.refresh().catch((thrown: unknown) => {
      this.#log.warn({ reason: toGoGridError(thrown).message }, 'the models folder could not be looked at again');
    });
  }

  /**
   * Frees the engine for the next call, as soon as the process has left this one.
   * @param keepAlive undefined for a call that did not succeed
   */
  #leave(leave: () => void, run: ProcessRun | undefined, keepAlive: number | 'as before' | undefined): void {
    const free = () => {
      this.#memory.release(keepAlive === 'as before' ? undefined : keepAlive, keepAlive !== undefined);
      leave();
    };
    // Loading cannot be stopped but by ending the process.
    if (run === undefined && this.#memory.loads) this.#memory.unload();
    if (run === undefined || run.isOver) {
      free();
    } else {
      run.cancel();
      void run.over.then(free);
    }
  }

  #hold(file: KnownFile) {
    if (this.#stopped) throw new GoGridError({ code: 'shutting_down', message: 'the embedded engine is stopped' });
    const order: Omit<LoadOrder, 'type'> = {
      path: file.path,
      name: file.name,
      template: defaultTemplate(file.digest),
      threads: this.#threads,
      promptStep:
        file.parameterCount < EMBEDDED.largeParameterCount ? EMBEDDED.promptStepTokens : EMBEDDED.largePromptStepTokens,
    };
    return this.#memory.hold(file, order);
  }

  #isWarm(file: KnownFile): boolean {
    return this.#memory.loaded?.digest === file.digest;
  }

  #known(): readonly KnownFile[] {
    return this.#files.files.filter((file): file is KnownFile => file.digest !== undefined && this.#isOffered(file));
  }

  #isOffered(file: ModelFile): boolean {
    return !file.starter || this.#starterOffered;
  }

  #find(name: string): KnownFile {
    const file = this.#known().find((each) => each.name === name);
    if (file === undefined) throw notFound(name);
    return file;
  }

  #model(file: KnownFile, warm: string | undefined): EngineModel {
    const { name, digest, size, parameterCount, quantisation, family, contextLength, embedsOnly, mtimeMs } = file;
    return {
      name,
      digest,
      sizeBytes: size,
      parameterCount,
      quantisation,
      family,
      contextLength,
      capabilities: [embedsOnly ? 'embedding' : 'completion'],
      continues: embedsOnly ? 'no' : this.#proven.has(digest) ? 'yes' : 'unknown',
      warm: digest === warm,
      modifiedAt: Math.round(mtimeMs),
      format: 'gguf',
    };
  }

  #prove(file: KnownFile): void {
    if (this.#proven.has(file.digest)) return;
    this.#proven.add(file.digest);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The phase that a call is in, so that each is told once. */
class Phases {
  #last: Phase | undefined;

  isNew(phase: Phase): boolean {
    return this.#last !== phase;
  }

  begin(phase: Phase): EngineEvent {
    this.#last = phase;
    return { type: 'progress', phase };
  }
}

/** The end of a call that made nothing. */
function ended(reason: FinishReason): EngineEvent {
  const usage = { promptTokens: 0, outputTokens: 0, loadMs: 0, prefillMs: 0, decodeMs: 0 };
  return { type: 'done', reason, usage };
}

/**
 * Threads for a machine with so many logical cores, of which half are real ones on most: half of those, so that the machine
 * stays its owner's. Small machines get one: two threads are faster on an idle machine of two cores (365 to 185 tokens/s of
 * prompt, measured), but beside one busy process the starter fell from 20-45 tokens/s to 1-4.
 */
export function threadsFor(cores: number): number {
  if (cores <= EMBEDDED.singleThreadCores) return 1;
  return Math.min(EMBEDDED.maxThreads, Math.max(1, Math.floor(cores / 4)));
}
