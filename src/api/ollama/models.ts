/** Ollama's lists and descriptions of models: `/api/tags`, `/api/ps`, `/api/show`, mesh-wide. */

import type { Model } from '../../contract/control.ts';
import type { LoadedModel, ModelDescription } from '../../jobs/ports.ts';
import { timestamp } from './answers.ts';

const BILLION = 1e9;
const MILLION = 1e6;
const THOUSAND = 1e3;
/** Ollama's own way to say never: its command line shows a date this far as `Forever`. */
const NEVER = '2318-01-01T00:00:00Z';

export function tagEntry(model: Model): object {
  return {
    name: model.name,
    model: model.name,
    modified_at: timestamp(model.modifiedAt),
    size: model.sizeBytes,
    digest: model.digests[0] ?? '',
    details: detailsOf(model),
    capabilities: model.capabilities,
    x_gogrid: meshOf(model),
  };
}

/** Models in memory: this machine's as its engine says, then those that only peers have loaded. */
export function loadedEntries(models: readonly Model[], loaded: readonly LoadedModel[]): object[] {
  const byName = new Map(models.map((model) => [model.name, model]));
  const here = loaded.flatMap((entry) => {
    const model = byName.get(entry.name);
    if (model === undefined) return [];
    const { sizeBytes, vramBytes, expiresAt, contextLength } = entry;
    return [loadedEntry(model, sizeBytes, vramBytes, expiresAt, contextLength)];
  });
  const names = new Set(loaded.map(({ name }) => name));
  const elsewhere = models
    .filter(({ name, warm, local }) => warm && !local && !names.has(name))
    .map((model) => loadedEntry(model, model.sizeBytes, 0, undefined, model.contextLength));
  return [...here, ...elsewhere];
}

function loadedEntry(
  model: Model,
  size: number,
  vramBytes: number,
  expiresAt: number | undefined,
  contextLength: number,
): object {
  return {
    name: model.name,
    model: model.name,
    size,
    digest: model.digests[0] ?? '',
    details: detailsOf(model),
    expires_at: expiresAt === undefined ? NEVER : timestamp(expiresAt),
    size_vram: vramBytes,
    context_length: contextLength,
    x_gogrid: meshOf(model),
  };
}

/** What `/api/show` answers; a model that only peers have is described from what they announce. */
export function showAnswer(model: Model, description: ModelDescription | undefined): object {
  const { template = '', parameters = '', system = '', license = '' } = description ?? {};
  return {
    ...(license !== '' && { license }),
    modelfile: modelfileOf(model.name, template, parameters, system),
    parameters,
    template,
    ...(system !== '' && { system }),
    details: detailsOf(model),
    model_info: description?.modelInfo ?? announcedInfo(model),
    capabilities: model.capabilities,
    modified_at: timestamp(model.modifiedAt),
    x_gogrid: meshOf(model),
  };
}

function announcedInfo({ family, parameterCount, contextLength }: Model): Record<string, unknown> {
  const architecture = family === '' ? 'unknown' : family;
  return {
    'general.architecture': architecture,
    ...(parameterCount > 0 && { 'general.parameter_count': parameterCount }),
    ...(contextLength > 0 && { [`${architecture}.context_length`]: contextLength }),
  };
}

function modelfileOf(name: string, template: string, parameters: string, system: string): string {
  const lines = [`FROM ${name}`];
  if (template !== '') lines.push(`TEMPLATE """${template}"""`);
  if (system !== '') lines.push(`SYSTEM """${system}"""`);
  for (const line of parameters.split('\n')) if (line.trim() !== '') lines.push(`PARAMETER ${line.trim()}`);
  return `${lines.join('\n')}\n`;
}

function detailsOf({ format, family, parameterCount, quantisation }: Model): object {
  return {
    parent_model: '',
    format,
    family,
    families: family === '' ? [] : [family],
    parameter_size: parameterSize(parameterCount),
    quantization_level: quantisation,
  };
}

function meshOf({ providers, local, digests }: Model): object {
  return { providers, local, digests };
}

/** As Ollama writes it: `8.0B`, `134.52M`, `158K`; empty when not known. */
export function parameterSize(count: number): string {
  if (count >= BILLION) return `${(count / BILLION).toFixed(1)}B`;
  if (count >= MILLION) return `${(count / MILLION).toFixed(2)}M`;
  if (count >= THOUSAND) return `${(count / THOUSAND).toFixed(0)}K`;
  return count > 0 ? String(count) : '';
}
