/** What the acceptance suite of the engine adapters stands on: the engine under test, and ways to listen to it. */

import type { Clock } from '../../clock.ts';
import { systemClock } from '../../clock.ts';
import { type GoGridError, toGoGridError } from '../../errors.ts';
import type { Engine, EngineCall, EngineEvent } from '../../jobs/ports.ts';
import type { Options, ToolCall } from '../../protocol/job.ts';

export interface StartableEngine extends Engine {
  start(): Promise<void>;
  stop(): void;
}

/** What the engine behind the adapter saw of one call. */
export interface SeenCall {
  /** Milliseconds since 1970 at which it ended there; null while it runs. */
  readonly endedAt: number | null;
  readonly aborted: boolean;
  /** Tokens made, and bytes sent. */
  readonly tokens: number;
  readonly bytes: number;
}

/** An engine that can be told what to do. */
export interface EngineControl {
  /** Fast, without faults, nothing in memory, there. */
  reset(): Promise<void>;
  set(how: { tokensPerSecond?: number; loadMs?: number; prefillMs?: number; renders?: boolean }): Promise<void>;
  /** In the next call, once `afterTokens` tokens are out. */
  fail(kind: 'stall' | 'die' | 'garbage' | 'error' | '503' | 'oom' | 'slow', afterTokens: number): Promise<void>;
  /** Generations so far, oldest first; what is asked beside them is not one. */
  calls(): Promise<readonly SeenCall[]>;
  /** The engine ends, and begins again at the same address. */
  vanish(): Promise<void>;
  comeBack(): Promise<void>;
}

export interface EngineSubject {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A fresh adapter of the one engine. */
  engine(clock: Clock): StartableEngine;
  readonly models: {
    readonly chat: string;
    /** As `chat`, but its template closes the assistant's turn. */
    readonly closing: string;
    readonly embedding: string;
    readonly tools: string | undefined;
    readonly thinking: string | undefined;
  };
  /** A prompt whose answer is about so many tokens long. */
  prompt(tokens: number): string;
  /** Sampling options of every call: the answer must be a function of the prompt. */
  readonly options: Options;
  readonly control: EngineControl | undefined;
}

/** Time that passes faster for the adapter than for the engine, so that no test waits for a long timeout. */
export function fastClock(factor: number): Clock {
  return {
    now: () => Date.now(),
    elapsed: () => performance.now() * factor,
    after: (ms, action) => systemClock.after(ms / factor, action),
  };
}

/** Time that passes as it does, until it is told to hurry: for what must have happened in good time before. */
export function clockInNoHurry(): Clock & { hurry(factor: number): void } {
  let pace = { factor: 1, from: performance.now(), elapsed: 0 };
  const elapsed = () => pace.elapsed + (performance.now() - pace.from) * pace.factor;
  return {
    now: () => Date.now(),
    elapsed,
    after: (ms, action) => systemClock.after(ms / pace.factor, action),
    hurry(factor) {
      pace = { factor, from: performance.now(), elapsed: elapsed() };
    },
  };
}

export interface Heard {
  readonly text: string;
  readonly thinking: string;
  readonly toolCalls: readonly ToolCall[];
  readonly tokens: number;
  readonly events: readonly EngineEvent[];
  readonly done: Extract<EngineEvent, { type: 'done' }> | undefined;
}

/** For calls that nobody cancels. */
export const never = new AbortController().signal;

export async function hear(events: AsyncIterable<EngineEvent>): Promise<Heard> {
  const all: EngineEvent[] = [];
  for await (const event of events) all.push(event);
  return summary(all);
}

export function summary(events: readonly EngineEvent[]): Heard {
  const chunks = events.filter((event) => event.type === 'chunk');
  return {
    text: chunks.map((chunk) => chunk.text ?? '').join(''),
    thinking: chunks.map((chunk) => chunk.thinking ?? '').join(''),
    toolCalls: chunks.flatMap((chunk) => chunk.toolCalls ?? []),
    tokens: chunks.reduce((sum, chunk) => sum + chunk.tokens, 0),
    events,
    done: events.find((event) => event.type === 'done'),
  };
}

/** What was heard before it failed, and how it failed. */
export async function hearFailure(events: AsyncIterable<EngineEvent>): Promise<{ heard: Heard; error: GoGridError }> {
  const all: EngineEvent[] = [];
  try {
    for await (const event of events) all.push(event);
  } catch (thrown) {
    return { heard: summary(all), error: toGoGridError(thrown) };
  }
  throw new Error('it did not fail');
}

/** Everything a group of tests uses. */
export interface Stage {
  readonly subject: EngineSubject;
  /** The adapter of the test that runs, started. */
  readonly engine: () => StartableEngine;
  /** Another one, for a test with a clock of its own. */
  readonly start: (clock: Clock) => Promise<StartableEngine>;
  readonly chat: (tokens: number, more?: Partial<ChatCall>) => EngineCall;
}
export interface ChatCall {
  readonly model: string;
  readonly options: Options;
  readonly resume: EngineCall['resume'];
}

/** A part of the subject that only some have. */
export function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('this test needs what its subject does not have');
  return value;
}
