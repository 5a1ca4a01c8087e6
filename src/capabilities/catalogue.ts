/** The models of the mesh: one line a canonical name, this machine's own first. Pure. */

import type { NodeId } from '../protocol/ids.ts';
import type { ModelProfile } from '../protocol/profile.ts';

/** A model of this machine, or a peer's as its profile tells it. */
export interface Offer {
  readonly node: NodeId;
  readonly local: boolean;
  readonly model: ModelProfile;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Such as `gguf`; empty when not known. */
  readonly format: string;
}

export interface MeshModel {
  readonly name: string;
  readonly local: boolean;
  readonly providers: NodeId[];
  readonly digests: string[];
  readonly sizeBytes: number;
  readonly parameterCount: number;
  readonly quantisation: string;
  readonly family: string;
  readonly contextLength: number;
  readonly capabilities: string[];
  readonly warm: boolean;
  readonly modifiedAt: number;
  readonly format: string;
}

/**
 * Merges offers by name. Facts of a model come from this machine when it has it, else from the digest that most nodes have:
 * the one a request without a pinned digest is likeliest to meet.
 */
export function mergeOffers(offers: Iterable<Offer>): MeshModel[] {
  const byName = Map.groupBy(offers, (offer) => offer.model.name);
  return [...byName.values()].map(merge).toSorted(byLocalThenName);
}

function merge(offers: Offer[]): MeshModel {
  const byDigest = [...Map.groupBy(offers, (offer) => offer.model.digest)].toSorted(
    ([, a], [, b]) => Number(b.some(isLocal)) - Number(a.some(isLocal)) || b.length - a.length,
  );
  const first = byDigest[0]?.[1];
  const chosen = first?.find(isLocal) ?? first?.[0];
  if (chosen === undefined) throw new Error('a model without an offer');
  const { model, local, modifiedAt, format } = chosen;
  return {
    name: model.name,
    local,
    providers: offers.toSorted((a, b) => Number(b.local) - Number(a.local)).map((offer) => offer.node),
    digests: byDigest.map(([digest]) => digest),
    sizeBytes: model.sizeBytes,
    parameterCount: model.parameterCount,
    quantisation: model.quantisation,
    family: model.family,
    contextLength: model.contextLength,
    capabilities: [...model.capabilities],
    warm: offers.some((offer) => offer.model.warm),
    modifiedAt,
    format,
  };
}

function isLocal(offer: Offer): boolean {
  return offer.local;
}

function byLocalThenName(a: MeshModel, b: MeshModel): number {
  return Number(b.local) - Number(a.local) || (a.name < b.name ? -1 : 1);
}
