/** Ollama's own way to get and to delete models; what its registry does not have, it does not get. */

import { Ollama } from 'ollama/browser';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { GoGridError } from '../../errors.ts';
import { ENGINE, STORE } from '../../limits/engine.ts';
import { canonicalModelName } from '../../protocol/model-name.ts';
import { parseLine } from './answers.ts';
import { boundedFetch, createControl } from './control.ts';
import { failed, fromOllama } from './failures.ts';
import { LineStream, openWire } from './line-stream.ts';

/** A line of `/api/pull`. */
const line = z.object({
  status: z.string().max(ENGINE.maxErrorChars).catch(''),
  digest: z.string().max(100).optional().catch(undefined),
  total: z.number().nonnegative().optional().catch(undefined),
  completed: z.number().nonnegative().optional().catch(undefined),
  error: z.string().optional(),
});

/** One step of a pull: of a layer when it has a digest. */
export interface OllamaStep {
  /** Ollama's words, such as `pulling manifest`. */
  readonly status: string;
  readonly digest: string | undefined;
  readonly totalBytes: number | undefined;
  readonly bytes: number | undefined;
}

export interface OllamaModels {
  /** Whether the daemon answers now. */
  isThere(signal: AbortSignal): Promise<boolean>;
  /** Whether the daemon has a model of this name. @throws GoGridError `engine_unavailable`, `engine_failed` */
  has(name: string, signal: AbortSignal): Promise<boolean>;
  /**
   * Gets a model. Ends when it is there; leaving the loop, or `signal`, ends the daemon's work, which keeps what it has.
   * @throws GoGridError `model_not_found`, `download_failed`, `disk_full`, `engine_unavailable`, `engine_failed`, `cancelled`
   */
  pull(name: string, signal: AbortSignal): AsyncIterable<OllamaStep>;
  /** @throws GoGridError `model_not_found`, `engine_unavailable`, `engine_failed` */
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** Closes every connection. */
  stop(): void;
}

/** @throws GoGridError `invalid_config` for an address that is none */
export function createOllamaModels(address: string, clock: Clock): OllamaModels {
  const wire = openWire(address, clock);
  const control = createControl(wire.url);
  return {
    async isThere(signal) {
      try {
        await control.version(signal);
        return true;
      } catch {
        return false;
      }
    },
    async has(name, signal) {
      const wanted = canonicalModelName(name);
      const tags = await control.tags(signal);
      return tags.some((tag) => canonicalModelName(tag.name) === wanted);
    },
    async *pull(name, signal) {
      const options = {
        path: '/api/pull',
        body: JSON.stringify({ model: name, stream: true }),
        model: name,
        maxLineBytes: ENGINE.maxErrorBytes,
        stallMs: STORE.ollamaSilenceMs,
        firstLineMs: STORE.ollamaSilenceMs,
      };
      const stream = new LineStream(wire, options, signal);
      let complete = false;
      try {
        while (!complete) {
          const lines = await stream.next();
          if (lines === undefined) throw failed('Ollama ended a pull without a word');
          for (const text of lines) {
            if (text === '') continue;
            const step = line.parse(parseLine(text));
            if (step.error !== undefined) throw pullError(step.error, name);
            complete = step.status === 'success';
            if (complete) break;
            yield { status: step.status, digest: step.digest, totalBytes: step.total, bytes: step.completed };
          }
        }
      } catch (thrown) {
        throw thrown instanceof GoGridError ? readable(thrown, name) : thrown;
      } finally {
        stream.close(complete);
      }
    },
    async remove(name, signal) {
      const client = new Ollama({ host: wire.url, fetch: boundedFetch(wire.url, signal) });
      try {
        await client.delete({ model: name });
      } catch (thrown) {
        if (thrown instanceof GoGridError) throw thrown.code === 'model_not_found' ? notThere(name) : thrown;
        throw failed("Ollama's answer to /api/delete is not what it should be", thrown);
      }
    },
    stop: () => wire.close(),
  };
}

function notThere(name: string): GoGridError {
  const hint = '`gogrid models` lists what is here';
  return new GoGridError({ code: 'model_not_found', message: `model '${name}' not found`, hint });
}

/** What the registry says of a name that it does not have. */
const UNKNOWN = /file does not exist|manifest unknown|not found|pull model manifest: 404/i;
const NO_NETWORK =
  /dial tcp|lookup |no such host|connection refused|i\/o timeout|network is unreachable|TLS handshake|EOF/i;
const NO_SPACE = /no space left|disk quota/i;
const TOO_OLD = /newer version of Ollama/i;

/** A pull fails for reasons of its own, which Ollama tells in an error line or with status 500. */
function pullError(said: string, name: string): GoGridError {
  const text = said.trim().slice(0, ENGINE.maxErrorChars);
  if (NO_SPACE.test(text)) {
    const hint = 'free some space; OLLAMA_MODELS says where Ollama keeps its models';
    return new GoGridError({ code: 'disk_full', message: `Ollama's disk is too full for ${name}`, hint });
  }
  if (TOO_OLD.test(text)) {
    const hint = 'get the newest Ollama from https://ollama.com/download';
    return new GoGridError({ code: 'unsupported', message: `${name} needs a newer version of Ollama`, hint });
  }
  if (UNKNOWN.test(text)) {
    const hint =
      'https://ollama.com/library lists the names there are; hf.co/USER/REPO gets GGUF models of Hugging Face';
    return new GoGridError({
      code: 'model_not_found',
      message: `model '${name}' not found: Ollama's library has no such model`,
      hint,
    });
  }
  if (NO_NETWORK.test(text)) {
    const hint = 'is this machine offline? When the network is there, pull it again: what came already is kept';
    return new GoGridError({ code: 'download_failed', message: `Ollama could not fetch ${name}: ${text}`, hint });
  }
  return fromOllama(undefined, text, name);
}

/** The errors of the connection were made for jobs. */
function readable(error: GoGridError, name: string): GoGridError {
  if (error.code !== 'engine_failed' && error.code !== 'model_not_found') return error;
  if (error.code === 'model_not_found') return pullError('file does not exist', name);
  const said = /^Ollama failed (?:with status \d+|in the middle of the answer): (.*)$/s.exec(error.message)?.[1];
  if (said === undefined) return error;
  const better = pullError(said, name);
  return better.code === 'engine_failed' ? error : better;
}
