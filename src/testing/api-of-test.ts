/** For tests of what a client package sees: APIs that are stopped behind the test that started them. */

import { afterEach } from 'vitest';
import type { ApiDeps, ApiOptions } from '../api/server.ts';
import { type Answer, ask, type SmallApi, smallApi } from './small-api.ts';

export interface ApiOfTest {
  /** Starts an API on a free port. */
  start(deps: Partial<ApiDeps>, options?: Partial<ApiOptions>): Promise<SmallApi>;
  /** One request to the last that was started, without any client. */
  post(path: string, body: unknown): Promise<Answer>;
}

/** To be called at the top of a test file. */
export function apiOfTest(): ApiOfTest {
  const started: SmallApi[] = [];
  afterEach(async () => {
    for (const { api } of started.splice(0)) await api.stop(0);
  });
  return {
    async start(deps, options) {
      const small = await smallApi(options, deps);
      started.push(small);
      return small;
    },
    async post(path, body) {
      const last = started.at(-1);
      if (last === undefined) throw new Error('no API was started');
      return ask(last.port, path, { method: 'POST', body: JSON.stringify(body) });
    },
  };
}
