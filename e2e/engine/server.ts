/** Ollama's HTTP API as the fake engine speaks it, field by field as the daemon 0.24 does; and the control endpoint. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { fail, Gone, goesOn, refuse, sendJson } from './generation.ts';
import { type Body, Inference } from './inference.ts';
import { can, digestOf, findModel, listed, Memory, shown } from './models.ts';
import { DEFAULTS, type FakeCall, type FakeFault, type FakeReport, type FakeSettings } from './settings.ts';

/** Calls remembered; older ones only count in the totals. */
const MAX_CALLS = 1000;

export class FakeOllama {
  settings: FakeSettings;
  readonly memory = new Memory();
  readonly #inference: Inference;
  readonly #calls: FakeCall[] = [];
  readonly #totals = { calls: 0, tokens: 0, aborted: 0, open: 0 };
  #faults: { readonly fault: FakeFault; left: number }[] = [];

  constructor(settings: Partial<FakeSettings>) {
    this.settings = DEFAULTS;
    this.#inference = new Inference(() => this.settings, this.memory);
    this.change(settings);
  }

  /** Takes new settings over; an unknown name is an error, so that a test's slip shows. */
  change(settings: Partial<FakeSettings> & { unload?: boolean }): void {
    const { unload, ...changes } = settings;
    const unknown = Object.keys(changes).find((key) => !Object.hasOwn(DEFAULTS, key));
    if (unknown !== undefined) throw new Error(`the fake engine has no setting '${unknown}'`);
    this.settings = { ...this.settings, ...changes };
    if (changes.faults !== undefined) this.#faults = changes.faults.map((fault) => ({ fault, left: fault.times ?? 1 }));
    if (unload === true) this.memory.clear();
  }

  report(): FakeReport {
    const totals = { ...this.#totals, maxConcurrent: this.#inference.turns.most };
    return { pid: process.pid, calls: this.#calls, totals, settings: this.settings };
  }

  server(): Server {
    return createServer((request, response) => {
      this.#route(request, response).catch((error: unknown) => {
        if (error instanceof Gone) return;
        if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'application/json; charset=utf-8' });
        response.end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
      });
    });
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const body = request.method === 'POST' || request.method === 'DELETE' ? await text(request) : '';
    switch (`${request.method} ${path}`) {
      case 'GET /':
      case 'HEAD /':
        response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': 17 });
        response.end(request.method === 'HEAD' ? '' : 'Ollama is running');
        return;
      case 'GET /api/version':
        sendJson(response, 200, { version: this.settings.version });
        return;
      case 'GET /api/tags':
        sendJson(response, 200, { models: this.settings.models.map(listed) });
        return;
      case 'GET /api/ps':
        sendJson(response, 200, { models: this.memory.running(this.settings) });
        return;
      case 'POST /api/show':
        return this.#show(response, body);
      case 'POST /api/pull':
        return this.#pull(response, body);
      case 'POST /api/chat':
      case 'POST /api/generate':
      case 'POST /api/embed':
      case 'POST /api/embeddings':
        return this.#infer(path, body, response);
      case 'GET /_fake':
        sendJson(response, 200, this.report());
        return;
      case 'POST /_fake':
        this.change(JSON.parse(body));
        sendJson(response, 200, this.report());
        return;
      default:
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('404 page not found');
    }
  }

  #show(response: ServerResponse, body: string): void {
    const asked = parse(body);
    const name = asked?.model || asked?.name;
    const model = findModel(this.settings, name);
    if (model === undefined) sendJson(response, 404, { error: `model '${String(name)}' not found` });
    else sendJson(response, 200, shown(model));
  }

  /** There is no registry: only a model that it has can be pulled. */
  #pull(response: ServerResponse, body: string): void {
    const asked = parse(body);
    const model = findModel(this.settings, asked?.model || asked?.name);
    const error = { error: 'pull model manifest: file does not exist' };
    if (asked?.stream === false) {
      sendJson(response, model ? 200 : 500, model ? { status: 'success' } : error);
      return;
    }
    const lines: object[] = [{ status: 'pulling manifest' }];
    if (model === undefined) lines.push(error);
    else lines.push({ status: 'verifying sha256 digest' }, { status: 'writing manifest' }, { status: 'success' });
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  async #infer(path: string, text: string, response: ServerResponse): Promise<void> {
    const body = parse(text);
    const call = this.#record(path, body, response);
    if (body === undefined) return refuse(response, call, 400, 'missing request body');
    const model = findModel(this.settings, body.model);
    if (model === undefined) {
      const name = String(body.model);
      const wording = path.startsWith('/api/embed') ? `model "${name}" not found, try pulling it first` : undefined;
      return refuse(response, call, 404, wording ?? `model '${name}' not found`);
    }
    const work = { body, model, digest: digestOf(model), call, response };
    if (call.render && this.settings.renders && can(model, 'completion')) return this.#inference.render(path, work);
    const fault = call.render ? undefined : this.#nextFault(model.name);
    if (fault !== undefined && !goesOn(fault) && (fault.afterTokens ?? 0) === 0) await fail(response, call, fault);
    await this.#inference.run(path, { ...work, fault });
  }

  #record(path: string, body: Body | undefined, response: ServerResponse): FakeCall {
    const call: FakeCall = {
      id: this.#totals.calls,
      path,
      model: String(body?.model),
      render: body?._debug_render_only === true,
      startedAt: Date.now(),
      firstAt: null,
      endedAt: null,
      fromToken: 0,
      tokens: 0,
      bytes: 0,
      status: 200,
      aborted: false,
    };
    this.#calls.push(call);
    if (this.#calls.length > MAX_CALLS) this.#calls.shift();
    this.#totals.calls++;
    this.#totals.open++;
    response.once('close', () => {
      call.endedAt = Date.now();
      call.aborted = !response.writableFinished;
      this.#totals.open--;
      this.#totals.tokens += call.tokens;
      if (call.aborted) this.#totals.aborted++;
    });
    return call;
  }

  #nextFault(model: string): FakeFault | undefined {
    const found = this.#faults.find(
      ({ fault, left }) => left > 0 && (fault.model === undefined || fault.model === model),
    );
    if (found !== undefined) found.left--;
    return found?.fault;
  }
}

function parse(text: string): Body | undefined {
  return text === '' ? undefined : (JSON.parse(text) as Body);
}
