/**
 * The log file: lines of JSON, written in the background, put aside as `<file>.1` when it is full, read back for
 * `GET /logs`.
 */

import { appendFileSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { HOME } from '../limits/program.ts';
import { LOG_LEVELS, type LogLevel } from '../telemetry/logger.ts';
import { makeFolder, unusable } from './home.ts';

/** A line as `telemetry/create-logger.ts` writes it. */
export interface LogRecord {
  readonly [field: string]: unknown;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: string;
  readonly part?: string;
  readonly message: string;
}

export interface LogFileOptions {
  readonly file: string;
  /** Size at which it is put aside; with the one put aside it takes at most twice as much on disk. */
  readonly maxBytes: number;
  /** Called when the disk refuses a line, once until a line goes through again. */
  readonly onError: (error: Error) => void;
}

interface Follower {
  readonly level: LogLevel;
  readonly listener: (line: LogRecord) => void;
}

export class LogFile {
  readonly #options: LogFileOptions;
  readonly #followers = new Set<Follower>();
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #failing = false;
  #writing: Promise<void> | undefined;
  #handle: FileHandle | undefined;
  #size = 0;

  private constructor(options: LogFileOptions) {
    this.#options = options;
  }

  /**
   * Opens the file for appending, and makes it and its folder when they are missing.
   * @throws GoGridError `home_unusable`
   */
  static async open(options: LogFileOptions): Promise<LogFile> {
    const log = new LogFile(options);
    try {
      await makeFolder(path.dirname(options.file));
      await log.#openFile();
    } catch (thrown) {
      throw unusable(options.file, thrown);
    }
    return log;
  }

  /** Takes one line that ends in a newline. Returns at once; a disk that cannot keep up costs lines, never memory. */
  write(line: string): void {
    this.#tell(line);
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > HOME.maxLogBufferBytes) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    this.#writing ??= this.#writeAll();
  }

  /** The last `count` lines of `level` and above, oldest first. */
  async tail(count: number, level: LogLevel): Promise<LogRecord[]> {
    await this.#writing;
    return readTail(this.#options.file, count, level);
  }

  /** Calls back with every new line of `level` and above; returns the way to stop it. */
  follow(level: LogLevel, listener: (line: LogRecord) => void): () => void {
    const follower: Follower = { level, listener };
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Writes what still waits, and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#handle?.close().catch(() => undefined);
    this.#handle = undefined;
  }

  /** Writes what still waits before the process ends without time for `close`. */
  flushSync(): void {
    const text = this.#waiting.join('');
    this.#waiting = [];
    this.#waitingBytes = 0;
    try {
      if (text !== '') appendFileSync(this.#options.file, text, { mode: HOME.secretFileMode });
    } catch {
      // The process is ending, and standard error has the lines that matter.
    }
  }

  #tell(line: string): void {
    if (this.#followers.size === 0) return;
    const record = parseLine(line);
    if (record === undefined) return;
    for (const { level, listener } of this.#followers) if (reaches(record, level)) listener(record);
  }

  async #writeAll(): Promise<void> {
    // The lines of one turn of the event loop go out together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      if (this.#dropped > 0) lines.push(droppedLine(this.#dropped));
      this.#dropped = 0;
      try {
        await this.#append(lines);
        this.#failing = false;
      } catch (thrown) {
        if (!this.#failing) this.#options.onError(unusable(this.#options.file, thrown));
        this.#failing = true;
      }
    }
    this.#writing = undefined;
  }

  async #append(lines: readonly string[]): Promise<void> {
    let batch: string[] = [];
    let batchBytes = 0;
    for (const line of lines) {
      const bytes = Buffer.byteLength(line);
      const full = this.#size + batchBytes + bytes > this.#options.maxBytes;
      if (full && this.#size + batchBytes > 0) {
        await this.#writeBatch(batch, batchBytes);
        await this.#putAside();
        batch = [];
        batchBytes = 0;
      }
      batch.push(line);
      batchBytes += bytes;
    }
    await this.#writeBatch(batch, batchBytes);
  }

  async #writeBatch(batch: readonly string[], bytes: number): Promise<void> {
    if (batch.length === 0) return;
    if (this.#handle === undefined) await this.#openFile();
    await this.#handle?.appendFile(batch.join(''));
    this.#size += bytes;
  }

  async #putAside(): Promise<void> {
    const { file } = this.#options;
    await this.#handle?.close();
    this.#handle = undefined;
    await rename(file, `${file}.1`);
    await this.#openFile();
  }

  async #openFile(): Promise<void> {
    this.#handle = await open(this.#options.file, 'a', HOME.secretFileMode);
    this.#size = (await this.#handle.stat()).size;
  }
}

function droppedLine(count: number): string {
  const record = { level: 'warn', time: Date.now(), part: 'logging', lines: count, message: 'log lines were dropped' };
  return `${JSON.stringify(record)}\n`;
}

/**
 * The last `count` lines of `level` and above in `file` and the one put aside before it, oldest first; reads at most
 * `HOME.maxLogReadBytes`. What is not a line of ours is left out. No file is an empty log.
 */
export async function readTail(file: string, count: number, level: LogLevel): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  let budget: number = HOME.maxLogReadBytes;
  for (const each of [file, `${file}.1`]) {
    if (budget <= 0 || found.length >= count) break;
    const handle = await open(each, 'r').catch(() => undefined);
    if (handle === undefined) continue;
    try {
      const { size } = await handle.stat();
      budget -= await readBackwards(handle, size, budget, (line) => {
        const record = parseLine(line);
        if (record !== undefined && reaches(record, level)) found.push(record);
        return found.length < count;
      });
    } finally {
      await handle.close();
    }
  }
  return found.reverse();
}

/**
 * Gives the lines of a file from the last to the first, until `take` returns false.
 * @returns how many bytes it read
 */
async function readBackwards(
  handle: FileHandle,
  size: number,
  budget: number,
  take: (line: string) => boolean,
): Promise<number> {
  let end = size;
  let rest: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  while (end > 0 && size - end < budget) {
    const start = Math.max(0, end - HOME.logReadStepBytes);
    const chunk = Buffer.alloc(end - start);
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, start);
    // Cut in bytes, not in text: a step may end inside of a character.
    const lines = splitLines(Buffer.concat([chunk.subarray(0, bytesRead), rest]));
    end = start;
    const first = lines.shift() ?? Buffer.alloc(0);
    for (const line of lines.reverse()) if (!take(line.toString('utf8'))) return size - end;
    rest = first;
  }
  if (end === 0) take(Buffer.from(rest).toString('utf8'));
  return size - end;
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  lines.push(bytes.subarray(from));
  return lines;
}

function parseLine(line: string): LogRecord | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const record = JSON.parse(line) as Partial<LogRecord>;
    const ours =
      typeof record.time === 'number' && typeof record.level === 'string' && typeof record.message === 'string';
    return ours ? (record as LogRecord) : undefined;
  } catch {
    return undefined;
  }
}

function reaches(record: LogRecord, level: LogLevel): boolean {
  return LOG_LEVELS.indexOf(record.level as LogLevel) >= LOG_LEVELS.indexOf(level);
}
