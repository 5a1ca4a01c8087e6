/** Who announces which model: every job asks it, and a walk through a thousand profiles would take 0.2 ms of it. */

import type { NodeId } from '../protocol/ids.ts';
import type { ModelProfile } from '../protocol/profile.ts';

export class ModelIndex {
  readonly #byModel = new Map<string, Map<NodeId, ModelProfile>>();

  /** A node announces other models than before; either list may be empty. */
  replace(node: NodeId, before: readonly ModelProfile[], after: readonly ModelProfile[]): void {
    for (const { name } of before) {
      const nodes = this.#byModel.get(name);
      nodes?.delete(node);
      if (nodes?.size === 0) this.#byModel.delete(name);
    }
    for (const model of after) {
      const nodes = this.#byModel.get(model.name) ?? new Map<NodeId, ModelProfile>();
      // Of two models of one name the first one counts.
      if (!nodes.has(node)) nodes.set(node, model);
      this.#byModel.set(model.name, nodes);
    }
  }

  /** @param model canonical name */
  nodesOf(model: string): Iterable<readonly [NodeId, ModelProfile]> {
    return this.#byModel.get(model) ?? [];
  }
}
