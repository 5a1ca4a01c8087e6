/** The engine `ollama`: the models of the Ollama daemon at one address. */

import type { Clock } from '../../clock.ts';
import { type GoGridError, reasonOf, toGoGridError } from '../../errors.ts';
import type { Engine, EngineCall, EngineEvent, LoadedModel, ModelDescription } from '../../jobs/ports.ts';
import { ENGINE } from '../../limits/engine.ts';
import { JOB } from '../../limits/jobs.ts';
import type { ChatInput, ChatMessage, EmbedInput, Phase } from '../../protocol/job.ts';
import { canonicalModelName } from '../../protocol/model-name.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { AnswerReader, parseLine, readUsage, readVectors } from './answers.ts';
import { Catalogue, type KnownModel } from './catalogue.ts';
import { type Control, createControl, type Running } from './control.ts';
import { failed } from './failures.ts';
import { LineStream, openWire, type Wire } from './line-stream.ts';
import { ContinueProbe, type ProbeLike } from './probe.ts';
import { type NativeRequest, nativeRequest, unloads } from './requests.ts';
import {
  cannotContinue,
  checkResumable,
  isRaw,
  type Resume,
  renderedPrompt,
  renderRequest,
  resumeRequest,
  tokensLeft,
} from './resume.ts';

export interface OllamaOptions {
  /** Such as `http://127.0.0.1:11434`. */
  readonly url: string;
}

export interface OllamaDeps {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface OllamaEngine extends Engine {
  /** Looks for the daemon once, and from then on again and again; resolves whether it is there or not. */
  start(): Promise<void>;
  /** Looks now. */
  refresh(): Promise<void>;
  /** Stops looking and cuts off what still runs. */
  stop(): void;
}

/** @throws GoGridError `invalid_config` for an address that is none */
export function createOllamaEngine(options: OllamaOptions, deps: OllamaDeps): OllamaEngine {
  return new Ollama(openWire(options.url, deps.clock), deps);
}

/** Longer than this is how Ollama writes "never": its longest duration is 292 years. */
const NEVER_MS = 50 * 365 * 24 * 3_600_000;
const PROBE_MESSAGE: ChatMessage = { role: 'user', content: 'ping' };

class Ollama implements OllamaEngine {
  readonly kind = 'ollama';
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #control: Control;
  readonly #catalogue: Catalogue;
  readonly #probe: ContinueProbe;

  constructor(wire: Wire, { logger, clock }: OllamaDeps) {
    this.#wire = wire;
    this.#clock = clock;
    this.#log = logger.child({ part: 'engine' });
    this.#control = createControl(wire.url);
    this.#catalogue = new Catalogue(wire.url, { control: this.#control, clock, log: this.#log });
    this.#probe = new ContinueProbe({
      clock,
      wanted: (model) => this.#catalogue.find(model)?.model.continues === 'unknown',
      ask: (model, like, signal) => this.#askWhetherItContinues(model, like, signal),
    });
  }

  start(): Promise<void> {
    return this.#catalogue.start();
  }

  refresh(): Promise<void> {
    return this.#catalogue.refresh();
  }

  stop(): void {
    this.#probe.stop();
    this.#catalogue.stop();
    this.#wire.close();
  }

  status() {
    return this.#catalogue.status;
  }

  models() {
    return this.#catalogue.models();
  }

  onChange(listener: () => void): () => void {
    return this.#catalogue.onChange(listener);
  }

  async loaded(signal: AbortSignal): Promise<readonly LoadedModel[]> {
    const running = await this.#control.running(signal);
    return running.map((model) => this.#readLoaded(model));
  }

  async describe(model: string, signal: AbortSignal): Promise<ModelDescription> {
    const shown = await this.#control.show(this.#catalogue.find(model)?.native ?? model, signal);
    const { template, parameters, system, license, model_info } = shown;
    return { template, parameters, system, license, modelInfo: model_info };
  }

  run(call: EngineCall, signal: AbortSignal): AsyncIterable<EngineEvent> {
    return call.input.kind === 'embed' ? this.#embed(call, call.input, signal) : this.#speak(call, signal);
  }

  /** Chat, generate and load; a token's whole way through this adapter is the loop in the middle. */
  async *#speak(call: EngineCall, signal: AbortSignal): AsyncGenerator<EngineEvent, void, undefined> {
    this.#begin(signal);
    let stream: LineStream | undefined;
    let complete = false;
    try {
      const known = this.#catalogue.find(call.model);
      let request = this.#native(call, known);
      if (call.resume !== undefined) {
        yield { type: 'progress', phase: phaseOf(known) };
        const resumed = await this.#resume(call, request, call.resume, known, signal);
        if (resumed === undefined) {
          yield spent();
          return;
        }
        request = resumed;
      }
      stream = this.#open(request, call, signal);
      if (call.resume === undefined) yield { type: 'progress', phase: phaseOf(known) };
      const reader = new AnswerReader(request.path, call.model);
      let warm = known?.model.warm ?? false;
      let asked = known?.model.continues !== 'unknown';
      while (!complete) {
        const lines = await stream.next();
        const events = lines === undefined ? [reader.endWithoutLastLine()] : reader.read(lines);
        if (!warm) void this.#catalogue.refresh();
        warm = true;
        complete = reader.done;
        if (!asked) this.#probe.jobWrites(call.model, call.input);
        asked = true;
        if (complete) this.#succeeded(call, known, stream);
        for (const event of events) yield event;
        if (reader.failure !== undefined) throw reader.failure;
      }
    } catch (thrown) {
      throw this.#failed(thrown, call);
    } finally {
      stream?.close(complete);
      this.#probe.jobEnds();
    }
  }

  /** Vectors come all at once: one line of any length. */
  async *#embed(
    call: EngineCall,
    input: EmbedInput,
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent, void, undefined> {
    this.#begin(signal);
    let stream: LineStream | undefined;
    let complete = false;
    try {
      if (call.resume !== undefined) throw cannotContinue(call.model, 'vectors have no text to go on with');
      const known = this.#catalogue.find(call.model);
      stream = this.#open(this.#native(call, known), call, signal);
      yield { type: 'progress', phase: phaseOf(known) };
      const answer = parseLine((await stream.next())?.[0] ?? '');
      complete = true;
      this.#succeeded(call, known, stream);
      if (known?.model.warm !== true) void this.#catalogue.refresh();
      const { dimensions, vectors } = readVectors(answer, input.inputs.length);
      yield* inParts(dimensions, vectors);
      yield { type: 'done', reason: 'stop', usage: readUsage(answer, 0) };
    } catch (thrown) {
      throw this.#failed(thrown, call);
    } finally {
      stream?.close(complete);
      this.#probe.jobEnds();
    }
  }

  /* ---- the beginning and the end of every call ---- */

  #begin(signal: AbortSignal): void {
    if (signal.aborted) throw reasonOf(signal);
    this.#probe.jobStarts();
  }

  #succeeded(call: EngineCall, known: KnownModel | undefined, stream: LineStream): void {
    stream.close(true);
    const { input, model } = call;
    if (unloads(input.keepAlive)) {
      if (known !== undefined) this.#catalogue.unloaded(known.model.digest);
      return;
    }
    if (input.kind === 'load') void this.#catalogue.refresh();
    if (input.kind !== 'embed') this.#probe.consider(model, input);
  }

  #failed(thrown: unknown, call: EngineCall): GoGridError {
    const error = toGoGridError(thrown);
    // Whether the daemon is still there decides what this node offers.
    if (error.code === 'engine_unavailable' || error.code === 'engine_failed') void this.#catalogue.refresh();
    // The prompt was short enough when the answer began; with the answer behind it, it is not.
    if (error.code === 'prompt_too_long' && call.resume !== undefined) {
      return cannotContinue(call.model, 'prompt and answer no longer fit its context');
    }
    return error;
  }

  #native(call: EngineCall, known: KnownModel | undefined): NativeRequest {
    const capabilities = known?.model.capabilities ?? [];
    const embedsOnly = capabilities.includes('embedding') && !capabilities.includes('completion');
    return nativeRequest(known?.native ?? call.model, call.input, embedsOnly);
  }

  #open({ path, body }: NativeRequest, call: Pick<EngineCall, 'model' | 'input'>, signal: AbortSignal): LineStream {
    const tools = call.input.kind === 'chat' && (call.input.tools?.length ?? 0) > 0;
    const options = {
      path,
      body: JSON.stringify(body),
      model: call.model,
      maxLineBytes: path === '/api/embed' ? ENGINE.maxAnswerBytes : ENGINE.maxLineBytes,
      stallMs: tools ? ENGINE.toolStallMs : JOB.engineStallMs,
      firstLineMs: ENGINE.loadTimeoutMs,
    };
    return new LineStream(this.#wire, options, signal);
  }

  /* ---- going on in the middle ---- */

  /** The request that goes on behind `resume.text`; undefined when the answer has all its tokens. */
  async #resume(
    call: EngineCall,
    native: NativeRequest,
    resume: Resume,
    known: KnownModel | undefined,
    signal: AbortSignal,
  ): Promise<NativeRequest | undefined> {
    const { input, model } = call;
    const thinks = known?.model.capabilities.includes('thinking') ?? false;
    const traits = { thinks, numPredict: known?.numPredict };
    checkResumable(model, input, traits);
    if (tokensLeft(native, resume, traits) === 0) return undefined;
    if (isRaw(input)) return resumeRequest(native, String(native.body.prompt), resume, traits);
    if (known?.model.continues === 'no') throw cannotContinue(model, 'its engine does not show the rendered prompt');
    const prompt = await this.#render(call, native, signal);
    if (known !== undefined) this.#catalogue.learn(known.model.digest, prompt === undefined ? 'no' : 'yes');
    if (prompt === undefined) throw cannotContinue(model, 'its engine does not show the rendered prompt');
    return resumeRequest(native, prompt, resume, traits);
  }

  /** The prompt as the model sees it, or undefined from a daemon that began to answer instead; it is stopped at once. */
  async #render(
    call: Pick<EngineCall, 'model' | 'input'>,
    native: NativeRequest,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const stream = this.#open(renderRequest(native), call, signal);
    let prompt: string | undefined;
    try {
      const [line] = (await stream.next()) ?? [];
      if (line === undefined) throw failed('Ollama sent an empty answer');
      prompt = renderedPrompt(parseLine(line));
    } finally {
      stream.close(prompt !== undefined);
    }
    return prompt;
  }

  async #askWhetherItContinues(model: string, like: ProbeLike, signal: AbortSignal): Promise<void> {
    try {
      await this.#catalogue.refresh();
      const known = this.#catalogue.find(model);
      // Loading it only to ask would cost more than the answer is worth.
      if (known === undefined || !known.model.warm || signal.aborted) return;
      const { stop: _text, ...options } = like.options ?? {};
      const input: ChatInput = { ...like, kind: 'chat', messages: [PROBE_MESSAGE], options };
      const prompt = await this.#render(
        { model, input },
        this.#native({ model, input, resume: undefined }, known),
        signal,
      );
      this.#catalogue.learn(known.model.digest, prompt?.includes(PROBE_MESSAGE.content) === true ? 'yes' : 'no');
    } catch (thrown) {
      this.#log.debug({ code: toGoGridError(thrown).code }, 'asking whether a model continues failed');
    }
  }

  #readLoaded(model: Running): LoadedModel {
    const expiresAt = model.expires_at ?? 0;
    const never = expiresAt <= 0 || expiresAt - this.#clock.now() > NEVER_MS;
    const known = this.#catalogue.models().find(({ digest }) => digest === model.digest);
    return {
      name: canonicalModelName(model.name) ?? known?.name ?? model.name,
      vramBytes: model.size_vram,
      sizeBytes: model.size,
      expiresAt: never ? undefined : expiresAt,
      contextLength: model.context_length,
    };
  }
}

function phaseOf(known: KnownModel | undefined): Phase {
  return known?.model.warm === true ? 'prefill' : 'loading';
}

/** The end of an answer that was cut off with its very last token. */
function spent(): EngineEvent {
  const usage = { promptTokens: 0, outputTokens: 0, loadMs: 0, prefillMs: 0, decodeMs: 0 };
  return { type: 'done', reason: 'length', usage };
}

/** Whole vectors in events that fit into one frame each. */
function* inParts(dimensions: number, vectors: readonly Float32Array[]): Generator<EngineEvent> {
  const perPart = Math.max(1, Math.floor(JOB.maxChunkBytes / (dimensions * Float32Array.BYTES_PER_ELEMENT)));
  for (let from = 0; from < vectors.length; from += perPart) {
    const part = vectors.slice(from, from + perPart);
    const data = new Uint8Array(Buffer.concat(part.map((vector) => new Uint8Array(vector.buffer))));
    yield { type: 'vectors', dimensions, data };
  }
}
