/** The story as it stands on the screen. */

import { describe, expect, it } from 'vitest';
import { smallWorld } from '../../testing/small-world.ts';
import { painter } from '../text.ts';
import type { DemoEvent } from './events.ts';
import { Screen } from './screen.ts';

const started = (node: string, role: 'asks' | 'runs' | 'watches'): DemoEvent => ({
  event: 'node',
  node,
  role,
  pid: 4711,
  peerId: '12D3KooW',
  api: 'http://127.0.0.1:5000',
  startedMs: 812,
});

const STORY: readonly DemoEvent[] = [
  { event: 'begin', nodes: ['laptop', 'desktop', 'attic'], folder: '/tmp/x' },
  { event: 'starting', node: 'laptop' },
  started('laptop', 'asks'),
  { event: 'starting', node: 'desktop' },
  started('desktop', 'runs'),
  { event: 'starting', node: 'attic' },
  { event: 'loading', node: 'desktop', model: 'tiny:latest' },
  started('attic', 'runs'),
  { event: 'loaded', node: 'desktop', model: 'tiny:latest', shared: false, loadedMs: 2100 },
  { event: 'loading', node: 'attic', model: 'tiny:latest' },
  { event: 'loaded', node: 'attic', model: 'tiny:latest', shared: true, loadedMs: 1900 },
  { event: 'mesh', node: 'laptop', peers: 2 },
  { event: 'asked', node: 'laptop', model: 'tiny:latest', question: 'Why is the sea salty?' },
  { event: 'answering', node: 'attic', route: 'direct', job: 'j', firstTextMs: 310 },
  { event: 'text', node: 'attic', text: 'The sea ' },
  { event: 'killed', node: 'attic', pid: 4711, afterWords: 2 },
  { event: 'text', node: 'attic', text: 'is ' },
  { event: 'silent', node: 'attic', pid: 4711 },
  { event: 'continued', node: 'desktop', route: 'direct' },
  { event: 'text', node: 'desktop', text: 'salty\u001b[2J.' },
  { event: 'comparing', full: true },
  {
    event: 'done',
    text: 'The sea is salty.',
    parts: [
      { node: 'attic', fromToken: 0, toToken: 3, text: 'The sea is ' },
      { node: 'desktop', fromToken: 3, toToken: 5, text: 'salty.' },
    ],
    tokens: 5,
    contiguous: true,
    killed: { node: 'attic', pid: 4711 },
    standstillMs: 214,
    firstTextMs: 310,
    reference: { node: 'desktop', text: 'The sea is salty.', equal: true, sameWords: 4 },
  },
  { event: 'ended', processes: 3, tookMs: 9_400 },
];

function show(events: readonly DemoEvent[], columns?: number): string {
  const small = smallWorld([], columns === undefined ? {} : { columns });
  const screen = new Screen(small.world, painter(small.world, small.world.stdout));
  for (const event of events) screen.tell(event);
  return small.stdout();
}

describe('the screen', () => {
  it('tells the story in plain text where it is no terminal', () => {
    expect(show(STORY)).toMatchInlineSnapshot(`
      "
        Three nodes on this machine, and one of them will die.

        laptop    ready in 0.81 s  has no model: it will ask
        desktop   ready in 0.81 s  has tiny:latest, loaded in 2.1 s
        attic     ready in 0.81 s  has tiny:latest in Ollama, loaded in 1.9 s

        laptop asks: Why is the sea salty?
        attic answers over a direct connection; the first word took 0.31 s.

        attic   │ The sea is ✖ killed
        desktop │            salty[2J.…

        attic     wrote tokens 1 to 3  (3 words)
        desktop   wrote tokens 4 to 5  (1 word)

        attic (process 4711) was killed; the text stood still for 0.21 s.
        No word is missing or there twice: the parts join at token 3 of 5.
        Asked again, undisturbed, desktop gave the same answer to the letter.

        9.4 s in all. Every process has ended, and their folders are removed.
      "
    `);
  });

  it('says so when the parts do not join, or the answers differ', () => {
    const events = STORY.map((event) =>
      event.event === 'done'
        ? { ...event, contiguous: false, reference: { ...event.reference, equal: false, sameWords: 2 } }
        : event,
    );
    const text = show(events).replace(/\s+/g, ' ');
    expect(text).toContain('The parts do NOT join: tokens 1-3, 4-5 of 5.');
    expect(text).toContain('the same first 2 of 4 words, and then others');
    expect(text).not.toContain('No word is missing');
  });

  it('moves nothing but the lines of the nodes, and takes control characters out', () => {
    const lines = show(STORY, 80);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what steers the terminal is what is looked for
    const controls = new Set(lines.replace(/\u001b\[\d+m/g, '').match(/\u001b\[\d*[A-Z]/g));
    // Up, down and "this line anew" come with the nodes alone; nothing of an answer clears the screen.
    expect([...controls].sort()).toEqual([
      '\u001b[1A',
      '\u001b[1B',
      '\u001b[2A',
      '\u001b[2B',
      '\u001b[2K',
      '\u001b[3A',
      '\u001b[3B',
    ]);
    // The line that stands while the answer is asked for once more goes as it came.
    const waiting = '  \u001b[2masking the same again, with nobody killed…\u001b[0m\r\u001b[2K\u001b[1A';
    expect(lines).toContain(waiting);
    const story = lines.replace(waiting, '').slice(lines.indexOf('asks:'));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the same
    expect(story.replace(/\u001b\[\d+m/g, '')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  it('finishes the line before an error', () => {
    const small = smallWorld([]);
    const screen = new Screen(small.world, (_, text) => text);
    for (const event of STORY.slice(0, 15)) screen.tell(event);
    screen.breakOff();
    expect(small.stdout().endsWith('\n')).toBe(true);
    screen.breakOff();
    expect(small.stdout().endsWith('\n\n')).toBe(false);
  });
});
