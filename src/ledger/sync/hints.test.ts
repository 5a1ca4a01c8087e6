import { describe, expect, it } from 'vitest';
import { LEDGER } from '../../limits/ledger.ts';
import { decode } from '../../protocol/cbor.ts';
import { ledgerHint } from '../../protocol/ledger.ts';
import { attest, FOUNDER, meshOf, Writer } from '../../testing/ledger/authors.ts';
import { VirtualClock } from '../../testing/virtual-clock.ts';
import type { News } from '../intake/ingest.ts';
import { Hints, hintsOf } from './hints.ts';

const mesh = meshOf({ witnesses: 1 });
const founder = new Writer(mesh, FOUNDER);
const read = (hint: Uint8Array) => ledgerHint.parse(decode(hint, 'a hint'));

function stage() {
  const clock = new VirtualClock();
  const sent: Uint8Array[] = [];
  let listener: (news: News) => void = () => {};
  const hints = new Hints({
    ingest: {
      onTaken(to) {
        listener = to;
        return () => {
          listener = () => {};
        };
      },
    },
    link: { publish: (hint) => sent.push(hint) },
    clock,
  });
  hints.start();
  const news = (changes: Partial<News>) =>
    listener({ entries: [], attestations: [], forks: [], from: undefined, hinted: false, ...changes });
  return { clock, hints, sent, news };
}

describe('hints', () => {
  it('carry what this node signed, gathered for a moment', async () => {
    const { clock, sent, news } = stage();
    const entries = [founder.transfer('A', 1n), founder.transfer('A', 2n)];
    const attestations = [attest(mesh, 'W1', entries[0]!)];
    news({ entries: [entries[0]!] });
    news({ entries: [entries[1]!], attestations });
    expect(sent).toEqual([]);
    await clock.advance(LEDGER.hintGatherMs);
    expect(sent.map(read)).toEqual([[entries.map(({ sealed }) => sealed), attestations.map(({ sealed }) => sealed)]]);
  });

  it('do not repeat what others sent, but for the proof of a fork that no gossip carried', async () => {
    const { clock, sent, news } = stage();
    const first = founder.transfer('A', 1n);
    const other = founder.behind(undefined).transfer('B', 1n);
    news({ entries: [first], from: 'peer' });
    news({ entries: [other], forks: [[first, other]], from: 'peer', hinted: true });
    await clock.advance(LEDGER.hintGatherMs);
    expect(sent).toEqual([]);
    news({ entries: [other], forks: [[first, other]], from: 'peer' });
    await clock.advance(LEDGER.hintGatherMs);
    expect(sent.map(read)).toEqual([[[first.sealed, other.sealed], []]]);
  });

  it('go out before the node stops', () => {
    const { hints, sent, news } = stage();
    news({ entries: [founder.transfer('A', 1n)] });
    hints.stop();
    news({ entries: [founder.transfer('A', 1n)] });
    expect(sent).toHaveLength(1);
  });

  it('are cut into messages of bounded size, in order', () => {
    const entries = Array.from({ length: 300 }, (_, index) => new Uint8Array(LEDGER.maxEntryBytes).fill(index));
    const attestations = Array.from({ length: 300 }, (_, index) => new Uint8Array(200).fill(index));
    const hints = hintsOf(entries, attestations);
    for (const hint of hints) expect(hint.length).toBeLessThanOrEqual(LEDGER.maxHintBytes);
    expect(hints.flatMap((hint) => read(hint)[0])).toEqual(entries);
    expect(hints.flatMap((hint) => read(hint)[1])).toEqual(attestations);
    expect(hintsOf([], [])).toEqual([]);
  });
});
