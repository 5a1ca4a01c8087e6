import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMBEDDED } from '../../limits/engine.ts';
import { tinyGguf } from '../../testing/tiny-gguf.ts';
import { type ByteSource, readGguf } from './gguf.ts';

/** Bytes as a file, with an account of what was asked of them. */
function fileOf(bytes: Uint8Array, size = bytes.length): ByteSource & { largest: number; total: number } {
  return {
    size,
    largest: 0,
    total: 0,
    async read(into, position) {
      this.largest = Math.max(this.largest, into.length);
      const part = bytes.subarray(position, position + into.length);
      this.total += part.length;
      into.set(part);
      return part.length;
    },
  };
}

const tiny = tinyGguf();
const read = (bytes: Uint8Array, size?: number) => readGguf(fileOf(bytes, size));
const damaged = expect.objectContaining({ code: 'damaged', hint: expect.any(String) });

/** Reads whatever it is given to an end: a header, or a sentence that says why not. Anything else is a defect. */
async function survives(file: ReturnType<typeof fileOf>) {
  try {
    await readGguf(file);
  } catch (thrown) {
    expect(thrown).toEqual(damaged);
  }
  expect(file.largest).toBeLessThanOrEqual(Math.max(EMBEDDED.maxTextBytes, EMBEDDED.headerReadBytes));
  expect(file.total).toBeLessThanOrEqual(EMBEDDED.maxHeaderBytes + EMBEDDED.maxTextBytes);
}

describe('the header of a model file', () => {
  it('tells what the model is', async () => {
    const { metadata, parameterCount } = await read(tiny);
    expect(metadata.get('general.architecture')).toBe('llama');
    expect(metadata.get('llama.context_length')).toBe(4096);
    expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(false);
    expect(metadata.get('llama.attention.layer_norm_rms_epsilon')).toBeCloseTo(1e-5);
    expect(metadata.has('tokenizer.ggml.tokens')).toBe(false);
    expect(parameterCount).toBeGreaterThan(100_000);
    // Every number takes 4 bytes here, and they are nearly all of the file.
    expect(parameterCount * 4).toBeLessThan(tiny.length);
    expect(parameterCount * 4).toBeGreaterThan(tiny.length * 0.9);
  });

  it('of a part of a file is refused, wherever it was cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: tiny.length - 1 }), async (length) => {
        await expect(read(tiny.subarray(0, length))).rejects.toEqual(damaged);
      }),
    );
  });

  it('of rubbish is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 4096 }), async (bytes) => {
        await expect(read(bytes)).rejects.toEqual(damaged);
      }),
    );
  });

  it('with any bytes changed does no harm', async () => {
    const headerLength = tiny.length - (await read(tiny)).parameterCount * 4;
    const changes = fc.array(fc.tuple(fc.nat(headerLength - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const bytes = Buffer.from(tiny);
        for (const [at, value] of list) bytes[at] = value;
        await survives(fileOf(bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('with numbers as large as they get costs neither memory nor time', async () => {
    const places = [8, 16, 24, tiny.indexOf('tokenizer.ggml.tokens') + 29, tiny.indexOf('token_embd') + 22];
    const numbers = [
      2n ** 64n - 1n,
      2n ** 63n,
      2n ** 53n,
      2n ** 32n,
      2n ** 31n,
      2n ** 25n,
      2n ** 21n,
      BigInt(EMBEDDED.maxHeaderBytes),
    ];
    for (const place of places) {
      for (const number of numbers) {
        const bytes = Buffer.from(tiny);
        bytes.writeBigUInt64LE(number, place);
        // A file that claims to be as large as its numbers say.
        for (const size of [bytes.length, 2 ** 52]) await survives(fileOf(bytes, size));
      }
    }
  });
});
