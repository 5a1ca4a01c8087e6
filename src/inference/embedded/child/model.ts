/** The one model that a process runs: loaded once, with a context that is made anew when a call wants another size. */

import type {
  JinjaTemplateChatWrapper,
  Llama,
  LlamaContext,
  LlamaEmbeddingContext,
  LlamaModel,
  Token,
} from 'node-llama-cpp';
import type { LoadOrder } from '../messages.ts';
import { fromLibrary } from './failure.ts';

/** The library, loaded: only the process itself imports it, and in a way that can fail with a sentence. */
export type Library = typeof import('node-llama-cpp');

export class RunningModel {
  readonly library: Library;
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly order: LoadOrder;
  /** Milliseconds that loading took, until the first run has taken them into its usage. */
  loadMs: number;
  readonly #template: JinjaTemplateChatWrapper | undefined;
  #context: LlamaContext | undefined;
  #contextFor = '';
  #embedder: LlamaEmbeddingContext | undefined;

  constructor(library: Library, llama: Llama, model: LlamaModel, order: LoadOrder, loadMs: number) {
    this.library = library;
    this.llama = llama;
    this.model = model;
    this.order = order;
    this.loadMs = loadMs;
    const template = order.template ?? model.fileInfo.metadata.tokenizer?.chat_template;
    this.#template =
      typeof template === 'string' && template.trim() !== ''
        ? // Tools are not supported here, and finding out how a template writes them takes long. Nor is reasoning: a model
          // that can is told not to.
          new library.JinjaTemplateChatWrapper({ template, reasoning: false, functionCallMessageTemplate: 'noJinja' })
        : undefined;
  }

  /** The model's chat template; undefined for a model that has none. */
  get template(): JinjaTemplateChatWrapper | undefined {
    return this.#template;
  }

  /** Text as the model reads it, after what stands before it. Nothing in the text is taken for a special token. */
  tokensOf(text: string): Token[] {
    return text === '' ? [] : this.model.tokenize(text, false, 'trimLeadingSpace');
  }

  /** A context of at least `tokens` tokens, empty. @throws GoGridError `engine_out_of_memory`, `engine_failed` */
  async context(tokens: number, threads: number): Promise<LlamaContext> {
    const wanted = `${tokens} ${threads}`;
    if (this.#context !== undefined && this.#contextFor === wanted) return this.#context;
    await this.#context?.dispose();
    this.#context = undefined;
    try {
      this.#context = await this.model.createContext({
        contextSize: tokens,
        sequences: 1,
        threads,
        // A smaller context than asked for would cut answers short without a word.
        failedCreationRemedy: false,
      });
    } catch (thrown) {
      throw fromLibrary(`could not make a context of ${tokens} tokens`, this.order.name, thrown);
    }
    this.#contextFor = wanted;
    return this.#context;
  }

  /** Makes vectors of texts up to the model's own context length. */
  async embedder(tokens: number): Promise<LlamaEmbeddingContext> {
    try {
      this.#embedder ??= await this.model.createEmbeddingContext({
        contextSize: tokens,
        batchSize: tokens,
        threads: this.order.threads,
      });
    } catch (thrown) {
      throw fromLibrary('could not prepare for embeddings', this.order.name, thrown);
    }
    return this.#embedder;
  }
}

/** @throws GoGridError `engine_out_of_memory`, `engine_failed` */
export async function loadModel(library: Library, llama: Llama, order: LoadOrder): Promise<RunningModel> {
  const startedAt = performance.now();
  try {
    const model = await llama.loadModel({ modelPath: order.path, gpuLayers: 0 });
    return new RunningModel(library, llama, model, order, Math.round(performance.now() - startedAt));
  } catch (thrown) {
    throw fromLibrary('could not load the model', order.name, thrown);
  }
}
