/** Whether a provider takes a job at all, before it is asked where it waits. */

import { GoGridError } from '../errors.ts';
import { JOB } from '../limits/jobs.ts';
import type { NodeId } from '../protocol/ids.ts';
import type { JobRequest } from '../protocol/job.ts';
import { checkRequest } from './bounds.ts';
import type { EngineModel } from './ports.ts';
import { RecentMap } from './recent-map.ts';

export class Admission {
  /** No new jobs. */
  closed = false;
  readonly #self: NodeId;
  readonly #openPerPeer = new Map<NodeId, number>();
  /** Jobs that this machine's owner cancelled here: their requesters may not bring them back. */
  readonly #sentAway = new RecentMap<string, true>(JOB.maxRecent);

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** A stream of this peer has come. */
  opened(from: NodeId): void {
    this.#openPerPeer.set(from, (this.#openPerPeer.get(from) ?? 0) + 1);
  }

  /** It has left. */
  left(from: NodeId): void {
    const open = (this.#openPerPeer.get(from) ?? 1) - 1;
    if (open > 0) this.#openPerPeer.set(from, open);
    else this.#openPerPeer.delete(from);
  }

  /** The owner of this machine does not want the job here, now or later. */
  sendAway(key: string): void {
    this.#sentAway.set(key, true);
  }

  /**
   * @returns the model it asks for
   * @throws GoGridError `shutting_down`, `overloaded`, `engine_failed`, `invalid_request`, `model_not_found`, `cannot_continue`
   */
  admit(key: string, from: NodeId, request: JobRequest, models: readonly EngineModel[]): EngineModel {
    if (this.closed) throw new GoGridError({ code: 'shutting_down', message: 'the provider is shutting down' });
    if ((this.#openPerPeer.get(from) ?? 0) > JOB.maxOpenPerPeer && from !== this.#self) {
      throw new GoGridError({ code: 'overloaded', message: `more than ${JOB.maxOpenPerPeer} jobs of one peer` });
    }
    if (this.#sentAway.has(key)) {
      throw new GoGridError({ code: 'engine_failed', message: 'the owner of that machine cancelled the job there' });
    }
    checkRequest(request);
    const model = models.find(({ name }) => name === request.model);
    if (model === undefined || (request.digest !== undefined && request.digest !== model.digest)) {
      throw new GoGridError({ code: 'model_not_found', message: `model '${request.model}' not found` });
    }
    if (request.resume !== undefined && model.continues === 'no') {
      throw new GoGridError({ code: 'cannot_continue', message: `${request.model} cannot continue an answer here` });
    }
    return model;
  }
}
