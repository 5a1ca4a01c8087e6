import { describe, expect, it } from 'vitest';
import type { News } from '../contract/news.ts';
import { NEWS } from '../limits/program.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { followNews, type Look, newsBetween } from './news.ts';

const nothing: Look = {
  engine: { kind: 'ollama', state: 'ready', version: '1' },
  models: ['a'],
  peers: [],
  waiting: [],
};
const peer = (id: string, models: readonly string[] = []) => ({ id, name: id, models });

describe('news', () => {
  it('is nothing when nothing changed', () => {
    expect(newsBetween(nothing, structuredClone(nothing))).toEqual([]);
  });

  it('is an engine that came back, and models that are new', () => {
    const gone = { ...nothing, engine: { ...nothing.engine, state: 'unreachable' }, models: [] };
    expect(newsBetween(gone, nothing)).toEqual([
      { type: 'engine-ready', kind: 'ollama', version: '1' },
      { type: 'models', names: ['a'] },
    ]);
    expect(newsBetween(nothing, gone)).toEqual([]);
  });

  it('is peers that come and go, the first and the last told as such', () => {
    const two = { ...nothing, peers: [peer('x', ['m']), peer('y')] };
    expect(newsBetween(nothing, two)).toEqual([
      { type: 'peer-joined', name: 'x', models: ['m'], first: true },
      { type: 'peer-joined', name: 'y', models: [], first: false },
    ]);
    expect(newsBetween(two, nothing)).toEqual([
      { type: 'peer-left', name: 'x', last: false },
      { type: 'peer-left', name: 'y', last: true },
    ]);
  });

  it('is no single peer of a large mesh', () => {
    const many = Array.from({ length: NEWS.maxPeersToName + 1 }, (_, index) => peer(`p${index}`));
    expect(newsBetween({ ...nothing, peers: many }, { ...nothing, peers: [...many, peer('z')] })).toEqual([]);
  });

  it('is a peer that waits, once, and as soon as its words are there', () => {
    const waiting = (words?: string) => ({ ...nothing, waiting: [{ id: 'x', name: 'x', words }] });
    expect(newsBetween(nothing, waiting())).toEqual([]);
    const said = [{ type: 'peer-waiting', id: 'x', name: 'x', words: 'a b c d' }];
    expect(newsBetween(nothing, waiting('a b c d'))).toEqual(said);
    expect(newsBetween(waiting(), waiting('a b c d'))).toEqual(said);
    expect(newsBetween(waiting('a b c d'), waiting('a b c d'))).toEqual([]);
  });

  it('is told from the moment on that somebody listens, until he stops', async () => {
    const clock = new VirtualClock();
    const heard: News[] = [];
    let now = nothing;
    const stop = followNews(
      () => now,
      clock,
      (news) => heard.push(news),
    );
    await clock.advance(NEWS.lookEveryMs);
    expect(heard).toEqual([]);
    now = { ...nothing, models: ['a', 'b'] };
    await clock.advance(3 * NEWS.lookEveryMs);
    expect(heard).toEqual([{ type: 'models', names: ['b'] }]);
    stop();
    now = nothing;
    await clock.advance(NEWS.lookEveryMs);
    expect(clock.pending).toBe(0);
  });
});
