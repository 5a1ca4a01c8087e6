/**
 * One answer, token by token: read the prompt in small steps, go on behind the text so far if there is one, choose tokens
 * until the model, a stop sequence or a limit ends it. Every call begins with an empty context and reads its prompt in the
 * same steps, because the arithmetic depends on them: an answer that is gone on with is then the same answer.
 */

import type {
  LlamaContext,
  LlamaContextSequence,
  LlamaGrammarEvaluationState,
  SequenceEvaluateOptions,
  Token,
} from 'node-llama-cpp';
import { stopsOf } from '../../../jobs/bounds.ts';
import type { FinishReason, JobUsage } from '../../../protocol/job.ts';
import type { RunOrder } from '../messages.ts';
import { optionsOf, type TextInput } from '../requests.ts';
import { CANCELLED, failure } from './failure.ts';
import { grammarOf } from './grammar.ts';
import type { RunningModel } from './model.ts';
import type { Outbox } from './outbox.ts';
import { Pieces } from './pieces.ts';
import { promptTokens } from './prompt.ts';
import { isGreedy, type Sampling, samplingOf } from './sampling.ts';

export type Usage = Omit<JobUsage, 'type'>;

export interface Speech {
  readonly running: RunningModel;
  readonly order: RunOrder;
  readonly input: TextInput;
  readonly outbox: Outbox;
  readonly signal: AbortSignal;
  /** Called with every phase that begins. */
  readonly phase: (phase: 'prefill' | 'decoding') => void;
}

/** @throws GoGridError; `cancelled` when the signal was aborted */
export async function speak(speech: Speech): Promise<{ reason: FinishReason; usage: Usage }> {
  const { running, order, input, signal } = speech;
  const options = optionsOf(input);
  const context = await running.context(order.contextLength, options.threads ?? running.order.threads);
  const sampling = samplingOf(input.options, Math.random());
  const usage = { promptTokens: 0, outputTokens: 0, loadMs: running.loadMs, prefillMs: 0, decodeMs: 0 };
  running.loadMs = 0;
  // The library rounds contexts up; what was asked for holds.
  const room = Math.min(context.contextSize, order.contextLength);
  // At least one token must still fit behind the prompt.
  const prompt = promptTokens(running, input, room - 1);
  if (prompt.length === 0) return { reason: 'stop', usage };
  const before = running.tokensOf(order.resume?.text ?? '');
  const used = prompt.length + before.length;
  if (used > room - 1) {
    throw failure(
      'cannot_continue',
      'prompt and answer no longer fit its context',
      'ask for it again from the beginning',
    );
  }
  const wanted = options.numPredict - (order.resume?.tokens ?? 0);
  const limit = Math.min(wanted, room - used);
  usage.promptTokens = used;

  const sequence = context.getSequence();
  try {
    speech.phase('prefill');
    const startedAt = performance.now();
    const read = new PromptReader(sequence, running.order.promptStep, signal);
    await read.inSteps(prompt.slice(0, -1));
    const rest = [...prompt.slice(-1), ...before];
    // The answer so far was made token by token; read the same way it leaves the same state behind.
    if (isGreedy(sampling)) await read.oneByOne(rest.slice(0, -1));
    else await read.inSteps(rest.slice(0, -1));
    const prefilledAt = performance.now();
    usage.prefillMs = Math.round(prefilledAt - startedAt);

    const history = [...prompt, ...before];
    const grammar = await grammarOf(running, input.format);
    const chosen = sequence.evaluate(rest.slice(-1), evaluation(sampling, history, grammar));
    const { reason, tokens } = await decode(speech, chosen, { history, before, limit });
    usage.outputTokens = tokens;
    usage.decodeMs = Math.round(performance.now() - prefilledAt);
    return { reason, usage };
  } finally {
    await endSequence(context, sequence);
  }
}

interface Decoding {
  /** Tokens read and chosen so far; grows. */
  readonly history: Token[];
  /** Tokens of the answer that were there before. */
  readonly before: readonly Token[];
  /** Tokens that may still be chosen. */
  readonly limit: number;
}

async function decode(
  speech: Speech,
  chosen: AsyncGenerator<Token, void, void>,
  { history, before, limit }: Decoding,
): Promise<{ reason: FinishReason; tokens: number }> {
  const { running, input, outbox, signal } = speech;
  const { model } = running;
  const pieces = new Pieces({
    textOf: (tokens, earlier) => model.detokenize(tokens as Token[], false, earlier as Token[]),
    stops: stopsOf(input),
    trimEnd: hasFormat(input),
    before,
  });
  let tokens = 0;
  let reason: FinishReason = 'length';
  for await (const token of chosen) {
    if (signal.aborted) throw CANCELLED;
    if (model.isEogToken(token)) {
      reason = 'stop';
      break;
    }
    if (tokens === 0) speech.phase('decoding');
    tokens++;
    history.push(token);
    await outbox.text(pieces.add(token));
    if (signal.aborted) throw CANCELLED;
    if (pieces.stopped) {
      reason = 'stop';
      break;
    }
    if (tokens >= limit) break;
  }
  await outbox.text(pieces.end());
  return { reason: pieces.stopped ? 'stop' : reason, tokens };
}

function hasFormat({ format }: TextInput): boolean {
  return format !== undefined && format !== null && format !== '';
}

/** Reads tokens that are there already; between two steps it can be stopped. */
class PromptReader {
  readonly #sequence: LlamaContextSequence;
  readonly #step: number;
  readonly #signal: AbortSignal;

  constructor(sequence: LlamaContextSequence, step: number, signal: AbortSignal) {
    this.#sequence = sequence;
    this.#step = step;
    this.#signal = signal;
  }

  inSteps(tokens: readonly Token[]): Promise<void> {
    return this.#read(tokens, this.#step);
  }

  oneByOne(tokens: readonly Token[]): Promise<void> {
    return this.#read(tokens, 1);
  }

  async #read(tokens: readonly Token[], step: number): Promise<void> {
    for (let at = 0; at < tokens.length; at += step) {
      if (this.#signal.aborted) throw CANCELLED;
      await this.#sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(at, at + step));
    }
    if (this.#signal.aborted) throw CANCELLED;
  }
}

function evaluation(
  sampling: Sampling,
  history: readonly Token[],
  grammar: LlamaGrammarEvaluationState | undefined,
): SequenceEvaluateOptions {
  const { temperature, topK, topP, minP, seed, lastTokens } = sampling;
  const { penalty, frequencyPenalty, presencePenalty } = sampling;
  const punishes = lastTokens !== 0 && (penalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0);
  const lately = () => (lastTokens < 0 ? [...history] : history.slice(-lastTokens));
  return {
    temperature,
    topK,
    topP,
    minP,
    seed,
    yieldEogToken: true,
    ...(grammar !== undefined && { grammarEvaluationState: grammar }),
    ...(punishes && {
      repeatPenalty: {
        punishTokens: lately,
        ...(lastTokens > 0 && { maxPunishTokens: lastTokens }),
        penalty,
        frequencyPenalty,
        presencePenalty,
      },
    }),
  };
}

/** A context has room for one sequence: the next call gets it only when this one has given it back. */
async function endSequence(context: LlamaContext, sequence: LlamaContextSequence): Promise<void> {
  if (!sequence.disposed) await sequence.dispose();
  if (context.sequencesLeft < 1) throw failure('engine_failed', 'the embedded engine did not give its context back');
}
