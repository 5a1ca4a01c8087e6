import { expect, it } from 'vitest';
import { GoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import { account, meshOf } from '../../testing/ledger/authors.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import { askHead } from './own-head.ts';

it('tells whoever it no longer waits for why', async () => {
  const clock = new VirtualClock();
  const reasons: unknown[] = [];
  const deps = {
    peers: () => ['one', 'two'],
    head: (_peer: string, _author: string, signal: AbortSignal) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return new Promise<never>(() => {});
    },
    clock,
    random: () => 0,
  };
  const end = new AbortController();
  const late = askHead(meshOf({ witnesses: 1 }), account('W1').id, deps, end.signal);
  await clock.advance(LEDGER.askHeadMs);
  expect(await late).toEqual({ answers: 0, heads: [] });
  const ended = askHead(meshOf({ witnesses: 1 }), account('W1').id, deps, end.signal);
  const why = new GoGridError({ code: 'shutting_down', message: 'the node stops' });
  end.abort(why);
  expect(await ended).toEqual({ answers: 0, heads: [] });
  const silent = expect.objectContaining({ code: 'peer_unreachable' });
  expect(reasons).toEqual([silent, silent, why, why]);
  expect(reasons.every((reason) => reason instanceof GoGridError)).toBe(true);
});
