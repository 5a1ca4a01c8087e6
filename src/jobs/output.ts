/** What the requester flow gives to the surface that asked: the answer as it comes, in the order it comes. */

import type { NodeId } from '../protocol/ids.ts';
import type { FinishReason, JobInput, JobUsage, ToolCall } from '../protocol/job.ts';
import type { Route } from './ports.ts';
import type { PrivacyTier } from './privacy.ts';
import type { JobRecord, JobWait } from './record.ts';

/** What a surface asks the mesh to do. */
export interface JobSpec {
  /** As the client wrote it: tag optional, `@sha256:…` pins. */
  readonly model: string;
  readonly input: JobInput;
  /** Milliseconds from now after which nobody wants the answer; undefined when the client set none. */
  readonly deadlineMs: number | undefined;
  /** How far the prompt may go. Never widened. */
  readonly privacy: PrivacyTier;
  /**
   * The client gets the answer in one piece when it is complete. Then all of its text comes in one chunk at the end, and a
   * provider may fail in the midst of an answer that no other can continue: nobody has seen any of it.
   */
  readonly whole?: boolean;
}

export type JobOutput =
  /** Still waiting: here, in a provider's queue, or for a model to load. Surfaces keep their client's connection alive with it. */
  | { readonly type: 'waiting'; readonly wait: JobWait }
  /** A provider took it. Comes once per provider, before anything that it delivers. */
  | {
      readonly type: 'placed';
      readonly job: string;
      readonly provider: NodeId;
      readonly route: Route;
      readonly digest: string;
    }
  | {
      readonly type: 'chunk';
      readonly tokens: number;
      readonly text?: string | undefined;
      readonly thinking?: string | undefined;
      readonly toolCalls?: readonly ToolCall[] | undefined;
    }
  /** Whole vectors of `dimensions` float32, little endian. */
  | { readonly type: 'vectors'; readonly dimensions: number; readonly data: Uint8Array }
  | {
      readonly type: 'done';
      readonly reason: FinishReason;
      readonly usage: Omit<JobUsage, 'type'> & { readonly estimated: boolean };
      /** The finished job, with every provider's part. */
      readonly job: JobRecord;
    };

/**
 * Runs a job to its end. Leaving the loop, or aborting `signal`, cancels it on its provider's engine.
 * Errors are `GoGridError`s: before the first `chunk` or `vectors` nothing was delivered.
 */
export type RunJob = (spec: JobSpec, signal: AbortSignal) => AsyncIterable<JobOutput>;
