/** Pulls and deletions over the wire, on both surfaces. */

import { Ollama } from 'ollama';
import { afterEach, describe, expect, it } from 'vitest';
import { type PullState, pullLine, pullList } from '../contract/pulls.ts';
import { GoGridError } from '../errors.ts';
import { ask, catalogueOf, noPulls, pullState, type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import type { Pulls } from './ports.ts';

const withKey = { authorization: `Bearer ${testKey}` };
let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

async function apiWith(pulls: Partial<Pulls>): Promise<SmallApi> {
  running = await smallApi({}, { catalogue: catalogueOf([]), pulls: { ...noPulls, ...pulls } });
  return running;
}

/** Tells these states, then ends or fails. */
function telling(states: readonly Partial<PullState>[], thenThrow?: Error): Pulls['pull'] {
  return async function* pull(model) {
    for (const state of states) yield pullState({ model, ...state });
    if (thenThrow !== undefined) throw thenThrow;
  };
}

const START = { state: 'starting', status: 'looking for a source', source: '', totalBytes: 0, bytes: 0 } as const;
const DONE = { state: 'done', status: 'done', bytes: 1000 } as const;
const HALF = { bytes: 500 } as const;
const FAILED = new GoGridError({ code: 'download_failed', message: 'Hugging Face: it is away', hint: 'wait' });

async function lines(port: number, path: string, body: object, headers = withKey) {
  const answer = await ask(port, path, { method: 'POST', headers, body: JSON.stringify(body) });
  return {
    ...answer,
    lines: answer.text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
}

describe('POST /model/pull', () => {
  it('streams a line a step, each as the contract says, and ends with success', async () => {
    const { port } = await apiWith({ pull: telling([START, {}, HALF, DONE]) });
    const answer = await lines(port, '/model/pull', { model: 'hf.co/a/b:Q4' });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/x-ndjson' } });
    expect(answer.lines).toMatchObject([
      { model: 'hf.co/a/b:Q4', state: 'downloading', bytes: 250, totalBytes: 1000 },
      { bytes: 500, bytesPerSecond: 50, secondsLeft: 15 },
      { status: 'success', model: 'hf.co/a/b:Q4', source: 'Hugging Face' },
    ]);
    for (const line of answer.lines) expect(pullLine.safeParse(line)).toMatchObject({ success: true, data: line });
  });

  it('fails with a status of its own while nothing was found', async () => {
    const { port } = await apiWith({ pull: telling([START], FAILED) });
    const answer = await lines(port, '/model/pull', { model: 'x' });
    expect(answer.status).toBe(502);
    expect(answer.lines).toEqual([{ error: { code: 'download_failed', message: FAILED.message, hint: 'wait' } }]);
  });

  it('ends with an error line, and a cut, in the middle', async () => {
    const { url } = await apiWith({ pull: telling([{}], FAILED) });
    const response = await fetch(`${url}/model/pull`, { method: 'POST', headers: withKey, body: '{"model":"x"}' });
    let text = '';
    const read = async () => {
      for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) text += piece;
    };
    await expect(read()).rejects.toThrow();
    expect(JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ error: { code: 'download_failed' } });
  });

  it('without a stream gives one answer, or one error', async () => {
    const { port } = await apiWith({ pull: telling([START, {}, DONE]) });
    const body = { model: 'x', stream: false };
    expect(await lines(port, '/model/pull', body)).toMatchObject({ status: 200, lines: [{ status: 'success' }] });
    await running?.api.stop(0);
    const failing = await apiWith({ pull: telling([{}], FAILED) });
    expect(await lines(failing.port, '/model/pull', body)).toMatchObject({
      status: 502,
      lines: [{ error: { code: 'download_failed' } }],
    });
  });

  it('stops when its client leaves, and when the node does', async () => {
    const ended: string[] = [];
    const pull: Pulls['pull'] = async function* pull(model, signal) {
      yield pullState({ model });
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      ended.push(model);
    };
    const { url, api } = await apiWith({ pull });
    const post = (model: string, signal?: AbortSignal) =>
      fetch(`${url}/model/pull`, {
        method: 'POST',
        headers: withKey,
        body: JSON.stringify({ model }),
        ...(signal && { signal }),
      });
    const abort = new AbortController();
    await (await post('left', abort.signal)).body?.getReader().read();
    abort.abort();
    await expect.poll(() => ended).toEqual(['left']);

    const stayed = (await post('stayed')).body?.pipeThrough(new TextDecoderStream()).getReader();
    await stayed?.read();
    // Far less than this time: the stop waits for answers, and a pull is none.
    const stopping = api.stop(60_000);
    expect((await stayed?.read())?.value).toContain('shutting_down');
    await stopping;
    expect(ended).toEqual(['left', 'stayed']);
  });

  it.each([
    ['{}', 'model: expected a string, got nothing'],
    ['{"model":7}', 'model: expected a string, got the number 7'],
  ])('says what is wrong with %s', async (body, message) => {
    const { port } = await apiWith({});
    const answer = await ask(port, '/model/pull', { method: 'POST', headers: withKey, body });
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'invalid_request', message } });
  });

  it('and the rest want the key', async () => {
    const { port } = await apiWith({});
    for (const [method, path] of [
      ['POST', '/model/pull'],
      ['GET', '/model/pull/progress'],
      ['DELETE', '/model/x'],
    ] as const) {
      expect((await ask(port, path, { method })).status).toBe(401);
    }
  });
});

it('GET /model/pull/progress tells of every pull', async () => {
  const { port } = await apiWith({ states: () => [pullState(), pullState({ ...DONE, endedAt: 5 })] });
  const body = JSON.parse((await ask(port, '/model/pull/progress', { headers: withKey })).text);
  expect(pullList.safeParse(body)).toMatchObject({ success: true, data: body });
  expect(body.pulls).toHaveLength(2);
});

describe('DELETE /model', () => {
  it.each(['/model/hf.co%2Fa%2Fb%3AQ4', '/model/hf.co/a/b:Q4'])('%s removes that model', async (path) => {
    const removed: string[] = [];
    const { port } = await apiWith({ remove: async (name) => void removed.push(name) });
    const answer = await ask(port, path, { method: 'DELETE', headers: withKey });
    expect(JSON.parse(answer.text)).toEqual({ status: 'removed', model: 'hf.co/a/b:Q4' });
    expect(removed).toEqual(['hf.co/a/b:Q4']);
  });
});

describe("Ollama's pull", () => {
  const ollamaClient = ({ url }: SmallApi, headers: Record<string, string> = withKey) =>
    new Ollama({ host: url, headers });

  it('with the key speaks the words by which its command line draws bars', async () => {
    const small = await apiWith({ pull: telling([START, { bytes: 0 }, HALF, { state: 'checking' }, DONE]) });
    const digest = `sha256:${'e'.repeat(64)}`;
    const answer = await lines(small.port, '/api/pull', { model: 'new' });
    expect(answer.lines).toEqual([
      { status: 'pulling eeeeeeeeeeee', digest, total: 1000 },
      { status: 'pulling eeeeeeeeeeee', digest, total: 1000, completed: 500 },
      { status: 'verifying sha256 digest' },
      { status: 'success' },
    ]);
    expect(await ollamaClient(small).pull({ model: 'new' })).toEqual({ status: 'success' });
  });

  it('fails as Ollama does, with one text', async () => {
    const small = await apiWith({ pull: telling([{}], FAILED) });
    await expect(ollamaClient(small).pull({ model: 'new' })).rejects.toThrow('Hugging Face: it is away (wait)');
    const stream = await ollamaClient(small).pull({ model: 'new', stream: true });
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toThrow('Hugging Face: it is away (wait)');
  });

  it('without the key, or with a wrong one, says in a sentence how', async () => {
    let pulled = 0;
    const small = await apiWith({
      async *pull(model) {
        pulled++;
        yield pullState({ model });
      },
      remove: async () => void pulled++,
    });
    for (const headers of [{}, { authorization: 'Bearer wrong' }]) {
      const answer = await lines(small.port, '/api/pull', { name: 'new' }, headers as typeof withKey);
      expect(answer.status).toBe(403);
      expect(answer.lines).toEqual([
        {
          error:
            "no machine of the mesh has the model 'new', and what changes this machine needs its key " +
            '(run `gogrid models pull new`, or send `Authorization: Bearer <the line in api.key>`)',
        },
      ]);
      await expect(ollamaClient(small, headers).delete({ model: 'new' })).rejects.toThrow('gogrid models rm new');
    }
    expect(pulled).toBe(0);
  });
});

it.each([
  ["x'; reboot; '", "gogrid models pull 'x'\\''; reboot; '\\'''`"],
  ['$(reboot)', "gogrid models pull '$(reboot)'`"],
  ['--yes', "gogrid models pull '--yes'`"],
  ['hf.co/a/b:Q4_K_M', 'gogrid models pull hf.co/a/b:Q4_K_M`'],
])('makes no command of what a client calls a model: %s', async (name, command) => {
  const { port } = await apiWith({});
  const { text } = await ask(port, '/api/pull', {
    method: 'POST',
    body: JSON.stringify({ model: name, stream: false }),
  });
  expect(JSON.parse(text).error).toContain(command);
});

describe("Ollama's delete", () => {
  it('with the key deletes, and says nothing', async () => {
    const removed: string[] = [];
    const { port } = await apiWith({ remove: async (name) => void removed.push(name) });
    for (const body of ['{"model":"a"}', '{"name":"b"}']) {
      const headers = { ...withKey, 'content-type': 'application/json', 'content-length': `${body.length}` };
      expect(await ask(port, '/api/delete', { method: 'DELETE', headers, body })).toMatchObject({
        status: 200,
        text: '',
      });
    }
    expect(removed).toEqual(['a', 'b']);
  });

  it('of what is not here answers 404', async () => {
    const small = await apiWith({
      remove: async (name) => {
        throw new GoGridError({ code: 'model_not_found', message: `model '${name}' not found` });
      },
    });
    const client = new Ollama({ host: small.url, headers: withKey });
    await expect(client.delete({ model: 'nope' })).rejects.toMatchObject({
      status_code: 404,
      message: "model 'nope' not found",
    });
  });
});
