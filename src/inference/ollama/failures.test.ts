import { describe, expect, it } from 'vitest';
import { fromConnection, fromOllama } from './failures.ts';

describe("Ollama's own words", () => {
  // Seen with 0.24 unless the line says otherwise.
  it.each([
    [404, "model 'x' not found", 'model_not_found'],
    [404, 'model "x" not found, try pulling it first', 'model_not_found'],
    [404, '404 page not found', 'engine_failed'],
    [400, 'registry.ollama.ai/library/x does not support tools', 'unsupported'],
    [400, '"x" does not support thinking', 'unsupported'],
    [
      400,
      'json: cannot unmarshal number into Go struct field ChatRequest.messages.content of type string',
      'invalid_request',
    ],
    [500, 'option "temperature" must be of type float32', 'invalid_request'],
    [500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object', 'invalid_request'],
    [400, 'the input length exceeds the context length', 'prompt_too_long'],
    [400, 'prompt is too long: 9000 tokens > 4096', 'prompt_too_long'],
    [503, 'server busy, please try again.  maximum pending requests exceeded', 'overloaded'],
    // Read in its source.
    [500, 'model requires more system memory (48.5 GiB) than is available (11.2 GiB)', 'engine_out_of_memory'],
    [500, 'llama runner process has terminated: cudaMalloc failed: out of memory', 'engine_out_of_memory'],
    [500, 'llama runner process has terminated: signal: killed', 'engine_out_of_memory'],
    [500, 'llama runner process has terminated: exit status 2', 'engine_out_of_memory'],
    [500, 'llama runner process has terminated', 'engine_out_of_memory'],
    [undefined, 'an error was encountered while running the model: CUDA error: out of memory', 'engine_out_of_memory'],
    [500, 'llama runner process has terminated: error loading model: unknown model architecture', 'engine_failed'],
    [undefined, 'an error was encountered while running the model: unexpected EOF', 'engine_failed'],
    // The runner was killed in the middle of an answer.
    [undefined, 'llama runner process no longer running: -1 ', 'engine_failed'],
    [500, 'unable to load model: /models/blobs/sha256-b179', 'engine_failed'],
    [401, 'unauthorized', 'engine_unavailable'],
    [500, '', 'engine_failed'],
  ] as const)('%s %s', (status, text, code) => {
    const error = fromOllama(status, text, 'x');
    expect(error.code).toBe(code);
    expect(error.message).not.toBe('');
    expect(error.message).not.toContain('undefined');
  });

  it('are cut when they are long', () => {
    expect(fromOllama(500, 'x'.repeat(10_000), 'm').message.length).toBeLessThan(400);
  });
});

describe('a connection', () => {
  const broken = (code: string) => Object.assign(new Error('broken'), { code });

  it('that is refused says how to start Ollama, and where it was looked for', () => {
    const error = fromConnection('http://127.0.0.1:11434', broken('ECONNREFUSED'), false);
    expect(error).toMatchObject({ code: 'engine_unavailable', message: expect.stringContaining('127.0.0.1:11434') });
    expect(error.hint).toContain('ollama serve');
  });

  it.each([
    ['ECONNRESET', false],
    ['EPIPE', false],
    ['ECONNRESET', true],
  ])('that breaks with %s has failed (answered: %s)', (code, answered) => {
    expect(fromConnection('http://x', broken(code), answered).code).toBe('engine_failed');
  });
});
