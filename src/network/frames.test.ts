import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { FRAME } from '../limits/mesh.ts';
import { toRequester } from '../protocol/job.ts';
import { decodeFrame, encodeFrame, FrameReader } from './frames.ts';

const note = z.object({ type: z.literal('note'), text: z.string() });

/** Cuts bytes at the given places, wherever those fall. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (thrown) {
    return thrown instanceof GoGridError ? thrown.code : `${thrown}`;
  }
  return 'nothing thrown';
}

describe('FrameReader', () => {
  it('gives the same frames however the bytes are split', () => {
    const texts = fc.array(fc.string({ maxLength: 400 }), { maxLength: 8 });
    const cuts = fc.array(fc.nat(), { maxLength: 30 });
    fc.assert(
      fc.property(texts, cuts, fc.boolean(), (messages, places, asBuffer) => {
        const sent = Buffer.concat(messages.map((text) => encodeFrame({ type: 'note', text })));
        const reader = new FrameReader(FRAME.maxBytes);
        const read = split(asBuffer ? sent : new Uint8Array(sent), places)
          .flatMap((piece) => reader.push(piece).map((body) => decodeFrame(note, body, 'a note')))
          .map(({ text }) => text);
        expect(read).toEqual(messages);
        expect(reader.buffered).toBe(0);
      }),
    );
  });

  it('reads a frame of the greatest length byte by byte', () => {
    const frame = encodeFrame({ type: 'note', text: 'x'.repeat(5000) });
    const reader = new FrameReader(frame.length);
    const bodies = [...frame].flatMap((byte) => reader.push(Uint8Array.of(byte)));
    expect(bodies.map((body) => decodeFrame(note, body, 'a note').text.length)).toEqual([5000]);
  });

  it('never throws anything but a protocol violation, and never keeps more than came in', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (pieces) => {
        const reader = new FrameReader(1000);
        let received = 0;
        for (const piece of pieces) {
          received += piece.length;
          const outcome = codeOf(() => {
            for (const body of reader.push(piece)) decodeFrame(toRequester, body, 'a job frame');
          });
          expect(['nothing thrown', 'protocol_violation']).toContain(outcome);
          expect(reader.buffered).toBeLessThanOrEqual(Math.min(received, 1000));
        }
      }),
    );
  });

  it.each([
    ['longer than the bound', [0x81, 0x08]],
    ['of no bytes', [0x00]],
    ['with a length of five bytes', [0x80, 0x80, 0x80, 0x80, 0x01]],
  ])('refuses a frame %s, and everything after it', (_what, bytes) => {
    const reader = new FrameReader(1024);
    expect(codeOf(() => reader.push(Uint8Array.from(bytes)))).toBe('protocol_violation');
    expect(codeOf(() => reader.push(encodeFrame({ type: 'note', text: '' })))).toBe('protocol_violation');
    expect(reader.buffered).toBe(0);
  });

  it('takes a frame of exactly the bound', () => {
    const frame = encodeFrame({ type: 'note', text: 'y'.repeat(200) });
    expect(new FrameReader(frame.length - 2).push(frame)).toHaveLength(1);
    expect(codeOf(() => new FrameReader(frame.length - 3).push(frame))).toBe('protocol_violation');
  });
});

describe('a frame', () => {
  it('comes back as it went, without what its schema does not know or what is undefined', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (text, extra) => {
        const [body] = new FrameReader(FRAME.maxBytes).push(
          encodeFrame({ type: 'note', text, later: extra, nothing: undefined }),
        );
        expect(decodeFrame(note, body!, 'a note')).toEqual({ type: 'note', text });
      }),
    );
  });

  it('of an unknown type is refused', () => {
    const [body] = new FrameReader(1024).push(encodeFrame({ type: 'song', text: 'la' }));
    expect(() => decodeFrame(toRequester, body!, 'a job frame')).toThrow("a job frame is malformed at 'type'");
  });

  it('names the field that is wrong, and no key that the peer chose', () => {
    const schema = z.object({ input: z.object({ options: z.record(z.string(), z.number()) }) });
    const [body] = new FrameReader(1024).push(encodeFrame({ input: { options: { secret: 'text' } } }));
    expect(() => decodeFrame(schema, body!, 'a frame')).toThrow("a frame is malformed at 'input.options'");
  });

  it('that nests deeper than the bound is refused, and one just as deep is not', () => {
    const nested = (depth: number) => {
      let value: unknown = 1;
      for (let i = 0; i < depth; i++) value = [value];
      const [body] = new FrameReader(FRAME.maxBytes).push(encodeFrame(value));
      return codeOf(() => decodeFrame(z.unknown(), body!, 'a frame'));
    };
    expect(nested(FRAME.maxDepth)).toBe('nothing thrown');
    expect(nested(FRAME.maxDepth + 1)).toBe('protocol_violation');
  });

  it('that nests a hundred thousand deep does not break the reader', () => {
    const body = new Uint8Array(100_000).fill(0x81);
    expect(codeOf(() => decodeFrame(z.unknown(), body, 'a frame'))).toBe('protocol_violation');
  });

  it('over the bound is not sent', () => {
    expect(codeOf(() => encodeFrame({ text: 'x'.repeat(FRAME.maxBytes) }))).toBe('payload_too_large');
  });
});
