import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOME } from '../limits/program.ts';
import { LogFile, type LogRecord, readTail } from './log-file.ts';

let folder: string;
let file: string;
let errors: Error[];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gogrid-log-'));
  file = path.join(folder, 'logs', 'gogrid.log');
  errors = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const openLog = (maxBytes = 1e6) => LogFile.open({ file, maxBytes, onError: (error) => errors.push(error) });
const line = (number: number, level = 'info') =>
  `${JSON.stringify({ level, time: number, message: `line ${number}` })}\n`;
const messages = (records: readonly LogRecord[]) => records.map((record) => record.message);

describe('writing', () => {
  it('keeps order, over restarts too, in a file for the user alone', async () => {
    for (const start of [0, 500]) {
      const log = await openLog();
      for (let number = start; number < start + 500; number++) log.write(line(number));
      await log.close();
    }
    const expected = Array.from({ length: 1000 }, (_, number) => line(number)).join('');
    expect(await readFile(file, 'utf8')).toBe(expected);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(errors).toEqual([]);
  });

  it('stays within twice its size, and keeps the newest lines (G77)', async () => {
    const maxBytes = 2000;
    const log = await openLog(maxBytes);
    for (let number = 0; number < 1000; number++) {
      log.write(line(number));
      // Some turns bring one line, some many.
      if (number % 7 === 0) await log.tail(1, 'info');
    }
    await log.close();
    for (const each of [file, `${file}.1`]) expect((await stat(each)).size).toBeLessThanOrEqual(maxBytes);
    const kept = messages(await readTail(file, 10_000, 'trace'));
    expect(kept.at(-1)).toBe('line 999');
    expect(kept.length).toBeGreaterThan(maxBytes / line(999).length - 1);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => `line ${1000 - kept.length + index}`));
  });

  it('drops lines that the disk cannot take in time, and says how many', async () => {
    const log = await openLog(1e9);
    const long = `${JSON.stringify({ level: 'info', time: 1, message: 'x'.repeat(HOME.maxLogBufferBytes / 4) })}\n`;
    for (let number = 0; number < 6; number++) log.write(long);
    expect((await log.tail(1, 'warn'))[0]).toMatchObject({ message: 'log lines were dropped', lines: 3 });
    await log.close();
  });

  it('tells of a disk that refuses once, and goes on when it takes lines again', async () => {
    const log = await openLog(10);
    log.write(line(0));
    // Nothing can be put aside while a folder is in the way.
    await mkdir(path.join(`${file}.1`, 'full'), { recursive: true });
    await log.tail(1, 'info');
    for (const number of [1, 2]) {
      log.write(line(number));
      await log.tail(1, 'info');
    }
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toContain(file);
    await rm(`${file}.1`, { recursive: true });
    log.write(line(3));
    expect(messages(await log.tail(1, 'info'))).toEqual(['line 3']);
    await log.close();
  });

  it('puts out what waits when the process ends at once', async () => {
    const log = await openLog();
    log.write(line(1));
    log.flushSync();
    expect(await readFile(file, 'utf8')).toBe(line(1));
    await log.close();
    expect(await readFile(file, 'utf8')).toBe(line(1));
  });

  it('fails clearly where there can be no log', async () => {
    await writeFile(path.join(folder, 'logs'), '');
    await expect(openLog()).rejects.toMatchObject({ code: 'home_unusable', message: expect.stringContaining(file) });
  });
});

describe('reading', () => {
  it('gives the last lines of a level and above, the newest last', async () => {
    const log = await openLog();
    const levels = ['debug', 'info', 'warn', 'error'];
    for (let number = 0; number < 40; number++) log.write(line(number, levels[number % 4]));
    expect(messages(await log.tail(3, 'warn'))).toEqual(['line 35', 'line 38', 'line 39']);
    expect(await log.tail(1000, 'trace')).toHaveLength(40);
    await log.close();
  });

  it('finds lines across its steps, whatever characters they have', async () => {
    const log = await openLog(1e8);
    const texts = Array.from({ length: 40 }, (_, index) => `${index} ${'🦆é'.repeat(9_000 + index)}`);
    for (const [time, message] of texts.entries()) log.write(`${JSON.stringify({ level: 'info', time, message })}\n`);
    expect(messages(await log.tail(100, 'info'))).toEqual(texts);
    expect((await stat(file)).size).toBeGreaterThan(HOME.logReadStepBytes * 4);
    await log.close();
  });

  it('leaves out what is no line of a log', async () => {
    await mkdir(path.dirname(file));
    await writeFile(file, `half a line"}\n${line(1)}\n[]\n{"level":"info"}\nnull\n${line(2)}{"level":"inf`);
    expect(messages(await readTail(file, 10, 'trace'))).toEqual(['line 1', 'line 2']);
    expect(await readTail(path.join(folder, 'none'), 10, 'trace')).toEqual([]);
  });
});

describe('following', () => {
  it('brings new lines of a level and above, until stopped', async () => {
    const log = await openLog();
    const seen: LogRecord[] = [];
    log.write(line(0, 'error'));
    const stop = log.follow('warn', (record) => seen.push(record));
    log.write(line(1, 'warn'));
    log.write(line(2, 'info'));
    log.write(line(3, 'error'));
    stop();
    log.write(line(4, 'error'));
    expect(messages(seen)).toEqual(['line 1', 'line 3']);
    await log.close();
  });
});
