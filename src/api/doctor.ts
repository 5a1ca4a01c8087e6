/** `GET /doctor`. */

import type { FastifyInstance } from 'fastify';
import type { Doctor } from './ports.ts';

export function doctorRoutes(app: FastifyInstance, { doctor }: { readonly doctor: Doctor }): void {
  app.get('/doctor', () => doctor());
}
