/** The mesh's descriptor on the control surface. */

import type { FastifyInstance } from 'fastify';
import { networkChanges } from '../contract/network.ts';
import { readBody, readJson } from './body.ts';
import type { Descriptor } from './ports.ts';

export function networkRoutes(app: FastifyInstance, { descriptor }: { readonly descriptor: Descriptor }): void {
  app.get('/network', () => descriptor.show());
  app.post('/network/reissue', async (request) =>
    descriptor.reissue(readBody(networkChanges, await readJson(request.raw))),
  );
}
