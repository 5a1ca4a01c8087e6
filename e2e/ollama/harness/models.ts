/** Models for a real Ollama: tiny ones, made on the spot. */

import { readFile } from 'node:fs/promises';
import { NEVER_ENDS, type TinyGgufOptions, tinyGguf } from '../../../src/testing/tiny-gguf.ts';

export interface OllamaModel {
  readonly name: string;
  readonly gguf: Buffer;
  /** In Go's template language; without one Ollama takes the one that it knows from the file's. */
  readonly template?: string;
  readonly parameters?: Readonly<Record<string, number>>;
}

/**
 * One thread, because more of them fight with whatever else a small machine does; temperature 0, so that an answer is a
 * function of its prompt, also for clients that say nothing of either.
 */
const PARAMETERS = { num_thread: 1, temperature: 0, seed: 1 };

/** Leaves the turn of a trailing assistant message open; what Ollama takes for ChatML by itself closes it. */
const OPEN_TEMPLATE =
  '{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}<|im_start|>{{ .Role }}\n' +
  '{{ .Content }}{{ if not (and $last (eq .Role "assistant")) }}<|im_end|>\n{{ end }}' +
  '{{ if and $last (ne .Role "assistant") }}<|im_start|>assistant\n{{ end }}{{ end }}';

function tiny(name: string, options: TinyGgufOptions, more: Partial<OllamaModel> = {}): OllamaModel {
  return { name, gguf: tinyGguf({ name, ...options }), parameters: PARAMETERS, ...more };
}

/** Speaks some words, and comes to an end. */
export const tinyModel = () => tiny('tiny', {});
export const openModel = () => tiny('tiny-open', {}, { template: OPEN_TEMPLATE });

/**
 * Speaks until it is stopped, 800 words a second. With more layers it would be slower, but would slip single characters in,
 * which do not become the same tokens again, so that nobody could go on with its answers exactly.
 */
const ENDLESS = { end: NEVER_ENDS, layers: 3 };
export const endlessModel = () => tiny('endless', ENDLESS);
export const endlessOpenModel = () => tiny('endless-open', ENDLESS, { template: OPEN_TEMPLATE });

/** A real one, which speaks in sentences: 40 words a second. @param file of the starter model, in GGUF */
export async function starterModels(file: string): Promise<{ closing: OllamaModel; open: OllamaModel }> {
  const model = { gguf: await readFile(file), parameters: PARAMETERS };
  return {
    closing: { ...model, name: 'starter' },
    open: { ...model, name: 'starter-open', template: OPEN_TEMPLATE },
  };
}
