/** Who plays: the names of the nodes, and what each is there for. Pure. */

import { GoGridError } from '../../errors.ts';
import { DEMO } from '../../limits/program.ts';
import type { Style } from '../text.ts';

/** `asks`: where the question is put; `runs`: holds the model; `watches`: belongs to the mesh, and no more. */
export type Role = 'asks' | 'runs' | 'watches';

export interface Part {
  readonly name: string;
  readonly role: Role;
}

const NAMES = ['laptop', 'desktop', 'attic', 'kitchen', 'office', 'cellar', 'garage', 'studio', 'tablet'] as const;
/** Red is for death. */
const STYLES: readonly Style[] = ['bold', 'cyan', 'magenta', 'yellow', 'green', 'blue'];

/** The widest name. */
export const NAME_COLUMNS = Math.max(...NAMES.map((name) => name.length));

/** @param nodes 3 to 9; @param providers how many hold the model, at least 2 */
export function castOf(nodes: number, providers: number): Part[] {
  return NAMES.slice(0, nodes).map((name, index) => ({
    name,
    role: index === 0 ? 'asks' : index <= providers ? 'runs' : 'watches',
  }));
}

/** Each node has its colour. */
export function styleOf(name: string): Style {
  const index = (NAMES as readonly string[]).indexOf(name);
  return STYLES[index % STYLES.length] ?? 'bold';
}

/** What one node that runs the model takes of the memory; `shared` when it runs in one engine for all of them. */
export interface ModelSize {
  readonly name: string;
  readonly bytes: number;
  readonly shared: boolean;
}

/**
 * How many nodes get the model: as many as the story has room for, and the memory.
 * @param free bytes that may still be taken, one engine not yet counted
 * @throws GoGridError `engine_out_of_memory` when not even two fit
 */
export function providersFor(nodes: number, model: ModelSize, free: number): number {
  const most = Math.min(DEMO.providers, nodes - 1);
  if (model.shared) return most;
  const engine = model.bytes * DEMO.engineFactor + DEMO.engineBytes;
  const fit = Math.floor((free - nodes * DEMO.nodeBytes) / engine);
  if (fit >= DEMO.minProviders) return Math.min(most, fit);
  const need = DEMO.minProviders * engine + nodes * DEMO.nodeBytes;
  throw new GoGridError({
    code: 'engine_out_of_memory',
    message: `not enough memory: ${gigabytes(free)} are free, and two nodes with ${model.name} need ${gigabytes(need)}`,
    hint: 'close other programs, or choose a smaller model with --model',
  });
}

function gigabytes(bytes: number): string {
  return `${(Math.max(0, bytes) / 1e9).toFixed(1)} GB`;
}
