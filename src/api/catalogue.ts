/** Finding a model by the name that a client wrote. */

import type { Model } from '../contract/control.ts';
import { GoGridError } from '../errors.ts';
import { type ModelRef, parseModelRef } from '../protocol/model-name.ts';
import type { Catalogue } from './ports.ts';

/** The model that `text` names; undefined when the mesh has none, or it cannot be a name. */
export function findModel(catalogue: Catalogue, text: string): Model | undefined {
  const ref = tryParse(text);
  if (ref === undefined) return undefined;
  const model = catalogue.models().find(({ name }) => name === ref.name);
  return ref.digest === undefined || model?.digests.includes(ref.digest) ? model : undefined;
}

function tryParse(text: string): ModelRef | undefined {
  try {
    return parseModelRef(text);
  } catch (thrown) {
    if (thrown instanceof GoGridError) return undefined;
    throw thrown;
  }
}
