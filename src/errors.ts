/**
 * Every error that a user, a client or a peer can meet, as one registry of codes.
 *
 * A code is stable: programs branch on it, `docs/errors.md` documents it, and a test keeps the two lists equal.
 */

/** What a code means to the surfaces that render it. */
interface ErrorKind {
  /** HTTP status of an answer that fails with this code. */
  readonly status: number;
  /** Exit code of a command that fails with it (`docs/cli.md`): 1 failed, 2 usage, 3 no node, 4 home in use, 5 policy. */
  readonly exit: number;
  /** Whether the same request may succeed when it is sent again later, unchanged. */
  readonly retry: boolean;
}

const kind = (status: number, exit: number, retry = false): ErrorKind => ({ status, exit, retry });

export const ERRORS = {
  // The request is not understood.
  invalid_request: kind(400, 2),
  unsupported: kind(400, 2),
  prompt_too_long: kind(400, 1),
  payload_too_large: kind(413, 1),
  headers_too_large: kind(431, 1),
  request_timeout: kind(408, 1, true),

  // Who may ask.
  unauthorized: kind(401, 1),
  forbidden_host: kind(403, 1),
  forbidden_origin: kind(403, 1),
  key_required: kind(403, 1),
  privacy_unserved: kind(403, 5),

  // What was asked for is not there.
  not_found: kind(404, 1),
  model_not_found: kind(404, 1),
  job_not_found: kind(404, 1),
  peer_not_found: kind(404, 1),

  // The job cannot run now, or broke.
  overloaded: kind(503, 1, true),
  engine_unavailable: kind(503, 1, true),
  engine_out_of_memory: kind(503, 1, true),
  engine_failed: kind(502, 1, true),
  provider_lost: kind(502, 1, true),
  preempted: kind(503, 1, true),
  cannot_continue: kind(502, 1),
  deadline_exceeded: kind(504, 1),
  cancelled: kind(499, 1),
  shutting_down: kind(503, 1, true),

  // Credits.
  insufficient_credits: kind(402, 5),
  no_credits: kind(409, 1),
  ledger_not_ready: kind(503, 1, true),
  ledger_stopped: kind(409, 1),

  // A model could not be fetched.
  download_failed: kind(502, 1, true),
  disk_full: kind(507, 1),

  // The node itself.
  invalid_config: kind(400, 2),
  invalid_descriptor: kind(400, 2),
  not_founder: kind(403, 5),
  not_built: kind(400, 2),
  usage: kind(400, 2),
  node_not_running: kind(503, 3, true),
  home_in_use: kind(409, 4),
  home_unusable: kind(500, 1),
  port_in_use: kind(409, 1),
  damaged: kind(500, 1),

  // Between nodes.
  protocol_violation: kind(502, 1),
  wrong_network: kind(502, 1),
  peer_unreachable: kind(502, 1, true),

  internal: kind(500, 1),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** Facts that travel with an error: never text of a prompt, an answer, or a secret. */
export type ErrorData = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface ErrorInfo {
  readonly code: ErrorCode;
  /** What went wrong, naming the field and the value. */
  readonly message: string;
  /** What the reader can do about it. */
  readonly hint?: string;
  /** Seconds after which trying again makes sense, for codes with `retry`. */
  readonly retryAfterSecs?: number;
  readonly data?: ErrorData;
  readonly cause?: unknown;
}

/** The one error type of the program; anything else that is thrown is a defect and surfaces as `internal`. */
export class GoGridError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterSecs: number | undefined;
  readonly data: ErrorData;

  constructor(info: ErrorInfo) {
    super(info.message, info.cause === undefined ? undefined : { cause: info.cause });
    this.name = 'GoGridError';
    this.code = info.code;
    this.hint = info.hint;
    this.retryAfterSecs = info.retryAfterSecs;
    this.data = info.data ?? {};
  }

  /** The same error with more facts. */
  with(data: ErrorData): GoGridError {
    const { code, message, hint, retryAfterSecs } = this;
    return new GoGridError({
      code,
      message,
      ...(hint !== undefined && { hint }),
      ...(retryAfterSecs !== undefined && { retryAfterSecs }),
      data: { ...this.data, ...data },
      cause: this.cause ?? this,
    });
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get exit(): number {
    return ERRORS[this.code].exit;
  }

  get retry(): boolean {
    return ERRORS[this.code].retry;
  }
}

/** Whether `text` is a code of this version; a peer of another version may send one that is not. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** Turns whatever was thrown into a `GoGridError`; what is not one already becomes `internal` and keeps its cause. */
export function toGoGridError(thrown: unknown): GoGridError {
  if (thrown instanceof GoGridError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new GoGridError({ code: 'internal', message: `unexpected error: ${message}`, cause: thrown });
}

/**
 * Why an aborted signal was aborted: the caller's own reason where it is one of ours, else `cancelled`.
 * @param what was cancelled, as a message begins with it
 */
export function reasonOf(signal: AbortSignal, what = 'the call'): GoGridError {
  const reason: unknown = signal.reason;
  if (reason instanceof GoGridError) return reason;
  return new GoGridError({ code: 'cancelled', message: `${what} was cancelled`, cause: reason });
}

/** The `code` of a Node.js system error such as `ECONNREFUSED`, or undefined; looks into the `cause` chain. */
export function systemCode(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    if ('code' in error && typeof error.code === 'string') return error.code;
  }
  return undefined;
}
