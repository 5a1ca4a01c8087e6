/** Models and embeddings of the Ollama surface as the real `ollama` package sees them. */

import { Ollama } from 'ollama';
import { describe, expect, it } from 'vitest';
import { apiOfTest } from '../testing/api-of-test.ts';
import { collected } from '../testing/collected.ts';
import { catalogueOf, done, placed, recording, testModel, vectorsOf, yields } from '../testing/small-api.ts';
import type { ApiDeps } from './server.ts';

const api = apiOfTest();
const { post } = api;

async function client(deps: Partial<ApiDeps>): Promise<Ollama> {
  const { url } = await api.start(deps);
  return new Ollama({ host: url });
}

describe('models', () => {
  const far = testModel({
    name: 'big:70b',
    local: false,
    providers: ['p1'],
    parameterCount: 70_553_706_496,
    family: 'qwen2',
    modifiedAt: 0,
  });

  it('are listed for the whole mesh', async () => {
    const ollama = await client({ catalogue: catalogueOf([testModel(), far]) });
    const { models } = await ollama.list();
    expect(models).toMatchObject([
      {
        name: 'tiny:latest',
        model: 'tiny:latest',
        modified_at: '2023-11-14T22:13:20.123Z',
        size: 650_000,
        digest: 'd'.repeat(64),
        details: {
          format: 'gguf',
          family: 'llama',
          families: ['llama'],
          parameter_size: '134.52M',
          quantization_level: 'Q4_K_M',
        },
        x_gogrid: { local: true },
      },
      { name: 'big:70b', details: { parameter_size: '70.6B' }, x_gogrid: { local: false, providers: ['p1'] } },
    ]);
  });

  it('are described, from afar by what peers announce', async () => {
    const ollama = await client({ catalogue: catalogueOf([testModel(), far]) });
    expect(await ollama.show({ model: 'Tiny' })).toMatchObject({
      template: '{{ .Prompt }}',
      parameters: 'stop "###"',
      capabilities: ['completion', 'tools'],
      model_info: { 'general.architecture': 'llama', 'llama.context_length': 2048 },
      details: { family: 'llama' },
    });
    const shown = await post('/api/show', { name: 'big:70b', verbose: true });
    expect(JSON.parse(shown.text)).toMatchObject({
      template: '',
      parameters: '',
      capabilities: ['completion', 'tools'],
      model_info: { 'general.architecture': 'qwen2', 'qwen2.context_length': 2048 },
    });
    await expect(ollama.show({ model: 'nope' })).rejects.toMatchObject({
      status_code: 404,
      error: "model 'nope' not found",
    });
  });

  it('in memory are listed, here and elsewhere', async () => {
    const ollama = await client({
      catalogue: catalogueOf([testModel(), far, testModel({ name: 'cold:1b', local: false, warm: false })]),
    });
    const { models } = await ollama.ps();
    expect(models).toMatchObject([
      {
        name: 'tiny:latest',
        size: 20,
        size_vram: 10,
        context_length: 1024,
        expires_at: '2027-01-15T08:00:00.000Z',
        digest: 'd'.repeat(64),
      },
      { name: 'big:70b', size_vram: 0, expires_at: expect.stringMatching(/^23/) },
    ]);
  });

  it('that the mesh has count as pulled', async () => {
    const ollama = await client({});
    expect(await ollama.pull({ model: 'tiny' })).toEqual({ status: 'success' });
    expect(await collected(await ollama.pull({ model: 'tiny', stream: true }))).toEqual([{ status: 'success' }]);
    await expect(ollama.pull({ model: 'nope' })).rejects.toThrow(
      /^no machine of the mesh has the model 'nope', and .* its key \(run `gogrid models pull nope`/,
    );
  });
});

describe('embeddings', () => {
  const vectors = [
    [0.1, -2.5],
    [1, 0.33333334],
  ];

  it('are given in both forms', async () => {
    const { run, specs } = recording((spec) =>
      yields([
        placed,
        vectorsOf(spec.input.kind === 'embed' && spec.input.inputs.length === 1 ? [[0.1, -2.5]] : vectors),
        done,
      ])(spec, new AbortController().signal),
    );
    const ollama = await client({ runJob: run });
    expect(await ollama.embed({ model: 'tiny', input: ['a', 'b'], truncate: true })).toMatchObject({
      model: 'tiny',
      embeddings: vectors,
      prompt_eval_count: 7,
      load_duration: 1_000_000,
    });
    expect((await ollama.embed({ model: 'tiny', input: 'a' })).embeddings).toEqual([[0.1, -2.5]]);
    expect(await ollama.embeddings({ model: 'tiny', prompt: 'a' })).toEqual({ embedding: [0.1, -2.5] });
    expect(specs[0]?.input).toEqual({ kind: 'embed', inputs: ['a', 'b'], truncate: true });
  });

  it('of nothing only load the model', async () => {
    const { run, specs } = recording(yields([placed, { ...done, reason: 'load' }]));
    const ollama = await client({ runJob: run });
    expect((await ollama.embed({ model: 'tiny', input: [] })).embeddings).toEqual([]);
    expect(await ollama.embeddings({ model: 'tiny', prompt: '' })).toEqual({ embedding: [] });
    expect(specs.map((spec) => spec.input.kind)).toEqual(['load', 'load']);
  });
});
