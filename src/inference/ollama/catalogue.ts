/** What the daemon has: its models, which of them are in memory, and whether it is there at all; looked at in a loop. */

import type { Clock, Timer } from '../../clock.ts';
import { type GoGridError, toGoGridError } from '../../errors.ts';
import type { EngineModel, EngineState } from '../../jobs/ports.ts';
import { ENGINE } from '../../limits/engine.ts';
import { canonicalModelName } from '../../protocol/model-name.ts';
import type { Continues } from '../../protocol/profile.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Control, Running, Shown, Tag } from './control.ts';
import { startHint } from './failures.ts';

/** What `/api/show` says of a model that the list does not; asked once per digest. */
interface Traits {
  readonly capabilities: readonly string[];
  readonly contextLength: number;
  readonly parameterCount: number;
  /** `num_predict` among the model's own parameters. */
  readonly numPredict: number | undefined;
}

/** A model with what only the adapter needs to know of it. */
export interface KnownModel {
  readonly model: EngineModel;
  /** The name as Ollama spells it. */
  readonly native: string;
  readonly numPredict: number | undefined;
}

export interface Status {
  readonly state: EngineState;
  readonly version: string;
  readonly hint: string | undefined;
}

export interface CatalogueDeps {
  readonly control: Control;
  readonly clock: Clock;
  readonly log: Logger;
}

const DIGEST = /^[0-9a-f]{64}$/;
/** Families whose models only embed, for daemons that do not tell capabilities yet. */
const EMBEDDING_FAMILY = /bert|embed/i;

export class Catalogue {
  readonly #url: string;
  readonly #deps: CatalogueDeps;
  readonly #listeners = new Set<() => void>();
  readonly #traits = new Map<string, Traits>();
  /** Whether a model continues, by digest, for the daemon's present version. */
  readonly #continues = new Map<string, Exclude<Continues, 'unknown'>>();
  readonly #stopped = new AbortController();
  #status: Status = { state: 'starting', version: '', hint: undefined };
  #known: ReadonlyMap<string, KnownModel> = new Map();
  #shownBefore = '';
  #failures = 0;
  #timer: Timer | undefined;
  #refreshing: Promise<void> | undefined;
  #again = false;

  constructor(url: string, deps: CatalogueDeps) {
    this.#url = url;
    this.#deps = deps;
  }

  /** Looks once, whatever comes of it, and from then on again and again. */
  start(): Promise<void> {
    return this.refresh();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#stopped.abort();
    this.#listeners.clear();
  }

  get status(): Status {
    return this.#status;
  }

  models(): readonly EngineModel[] {
    return this.#status.state === 'ready' ? [...this.#known.values()].map(({ model }) => model) : [];
  }

  /** By canonical name, also while the daemon is away. */
  find(name: string): KnownModel | undefined {
    return this.#known.get(name);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Remembers whether the model with `digest` continues. */
  learn(digest: string, continues: Exclude<Continues, 'unknown'>): void {
    this.#continues.set(digest, continues);
    this.#update(digest, { continues });
  }

  /** The model with `digest` was told to leave the memory, which takes the daemon a moment. */
  unloaded(digest: string): void {
    this.#update(digest, { warm: false });
  }

  #update(digest: string, change: Partial<EngineModel>): void {
    const changed = ([name, known]: [string, KnownModel]): [string, KnownModel] =>
      known.model.digest === digest ? [name, { ...known, model: { ...known.model, ...change } }] : [name, known];
    this.#known = new Map([...this.#known].map(changed));
    this.#tellWhenChanged();
  }

  /** Looks now. A call while one is under way waits for a fresh look behind it. */
  async refresh(): Promise<void> {
    if (this.#refreshing !== undefined) {
      this.#again = true;
      return this.#refreshing;
    }
    this.#refreshing = this.#lookUntilFresh();
    await this.#refreshing;
    this.#refreshing = undefined;
    this.#schedule();
  }

  async #lookUntilFresh(): Promise<void> {
    do {
      this.#again = false;
      await this.#look();
    } while (this.#again && !this.#stopped.signal.aborted);
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      await this.#read(signal);
      this.#failures = 0;
    } catch (thrown) {
      if (signal.aborted) return;
      this.#failures++;
      const error = toGoGridError(thrown);
      const certain = error.code === 'engine_unavailable' || this.#status.state !== 'ready';
      if (certain || this.#failures >= ENGINE.maxRefreshFailures) this.#lost(error);
    }
    this.#tellWhenChanged();
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { control, log } = this.#deps;
    const [version, tags, running] = await Promise.all([
      control.version(signal),
      control.tags(signal),
      control.running(signal),
    ]);
    // Another version may render, or continue, differently.
    if (version !== this.#status.version) this.#continues.clear();
    const local = tags.filter((tag) => !tag.remote_host && DIGEST.test(tag.digest)).slice(0, ENGINE.maxModels);
    await this.#describe(local, signal);
    this.#known = this.#assemble(local, running);
    if (this.#status.state !== 'ready') log.info({ models: this.#known.size }, 'Ollama answers');
    this.#status = { state: 'ready', version, hint: undefined };
  }

  #lost(error: GoGridError): void {
    const hint = error.code === 'engine_unavailable' ? startHint(this.#url) : (error.hint ?? startHint(this.#url));
    // One that never answered was perhaps never wanted: whoever looks at the node is told all the same.
    const { log } = this.#deps;
    if (this.#status.state === 'ready') log.warn({ code: error.code }, 'Ollama does not answer any more');
    if (this.#status.state === 'starting') log.info({ code: error.code }, 'Ollama does not answer');
    this.#status = { state: 'unreachable', version: this.#status.version, hint };
  }

  /** Asks for the traits of models not seen before, some at a time, and forgets those of models that are gone. */
  async #describe(tags: readonly Tag[], signal: AbortSignal): Promise<void> {
    const present = new Set(tags.map((tag) => tag.digest));
    for (const map of [this.#traits, this.#continues]) {
      for (const digest of map.keys()) if (!present.has(digest)) map.delete(digest);
    }
    const unseen = tags.filter((tag) => !this.#traits.has(tag.digest));
    const ask = async () => {
      for (let tag = unseen.shift(); tag !== undefined; tag = unseen.shift()) await this.#ask(tag, signal);
    };
    await Promise.all(Array.from({ length: ENGINE.describeAtOnce }, ask));
  }

  async #ask(tag: Tag, signal: AbortSignal): Promise<void> {
    try {
      const shown = await this.#deps.control.show(tag.name, signal);
      this.#traits.set(tag.digest, readTraits(tag, shown));
    } catch (thrown) {
      // A model that is just being removed, or a damaged one; it is asked again at the next look.
      const { code } = toGoGridError(thrown);
      if (code === 'engine_unavailable') throw thrown;
      this.#deps.log.debug({ code }, 'a model could not be described');
    }
  }

  #assemble(tags: readonly Tag[], running: readonly Running[]): Map<string, KnownModel> {
    const warm = new Set(running.map((model) => model.digest));
    const known = new Map<string, KnownModel>();
    for (const tag of tags) {
      const name = canonicalModelName(tag.name);
      const traits = this.#traits.get(tag.digest);
      if (name === undefined || traits === undefined || known.has(name)) continue;
      known.set(name, { native: tag.name, numPredict: traits.numPredict, model: this.#model(name, tag, traits, warm) });
    }
    return new Map([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #model(name: string, tag: Tag, traits: Traits, warm: ReadonlySet<string>): EngineModel {
    const { digest, size, modified_at, details } = tag;
    const { capabilities, contextLength, parameterCount, numPredict = 0 } = traits;
    return {
      name,
      digest,
      sizeBytes: size,
      parameterCount,
      quantisation: details.quantization_level,
      family: details.family,
      contextLength,
      capabilities,
      continues: capabilities.includes('completion') ? (this.#continues.get(digest) ?? 'unknown') : 'no',
      warm: warm.has(digest),
      modifiedAt: modified_at,
      format: details.format,
      ...(numPredict > 0 && { outputLimit: numPredict }),
    };
  }

  #tellWhenChanged(): void {
    const shown = JSON.stringify([this.#status, this.models()]);
    if (shown === this.#shownBefore) return;
    this.#shownBefore = shown;
    for (const listener of this.#listeners) listener();
  }

  /** The next look; how soon depends on what the last one found, whoever asked for it. */
  #schedule(): void {
    if (this.#stopped.signal.aborted) return;
    this.#timer?.cancel();
    const everyMs =
      this.#status.state === 'ready' && this.#failures === 0 ? ENGINE.refreshEveryMs : ENGINE.retryEveryMs;
    this.#timer = this.#deps.clock.after(everyMs, () => void this.refresh());
  }
}

function readTraits(tag: Tag, shown: Shown): Traits {
  const info = shown.model_info;
  const architecture = String(info['general.architecture'] ?? tag.details.family);
  const numPredict = /^num_predict\s+(-?\d+)\s*$/m.exec(shown.parameters)?.[1];
  const guess = EMBEDDING_FAMILY.test(tag.details.family) ? ['embedding'] : ['completion'];
  return {
    capabilities: shown.capabilities ?? guess,
    contextLength: whole(info[`${architecture}.context_length`]),
    parameterCount: whole(info['general.parameter_count']) || parseParameterSize(tag.details.parameter_size),
    numPredict: numPredict === undefined ? undefined : Number(numPredict),
  };
}

/** `134.52M`, `8.0B`: as Ollama shows how many parameters a model has. */
function parseParameterSize(text: string): number {
  const [, count = '', unit = ''] = /^([\d.]+)\s*([KMBT]?)$/i.exec(text.trim()) ?? [];
  const scale = { '': 1, K: 1e3, M: 1e6, B: 1e9, T: 1e12 }[unit.toUpperCase()] ?? 1;
  return Math.round(Number(count) * scale) || 0;
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
