/** `GET /v1/models` and `GET /v1/models/:id`. */

import type { Model } from '../../contract/control.ts';

/** As OpenAI lists it, with what only a mesh has beside it. */
export function modelEntry({ name, modifiedAt, providers, local, digests }: Model): object {
  return {
    id: name,
    object: 'model',
    created: Math.floor(modifiedAt / 1000),
    owned_by: ownerOf(name),
    x_gogrid: { providers, local, digests },
  };
}

/** The namespace in the name, `library` where there is none, as Ollama has it. */
function ownerOf(name: string): string {
  const parts = name.split('/');
  return parts.at(-2) ?? 'library';
}
