/** Follows the log for one client: one JSON object a line, until either side ends it. */

import type { LogLine } from '../contract/control.ts';
import { API } from '../limits/api.ts';
import type { Exchange } from './exchange.ts';

/**
 * Sends `tail`, then every line that `follow` brings. A client that reads more slowly than the log grows misses lines, and
 * is told how many: the log waits for nobody.
 */
export function followLog(
  exchange: Exchange,
  tail: readonly LogLine[],
  follow: (listener: (line: LogLine) => void) => () => void,
): void {
  const { response, signal } = exchange;
  let left = 0;
  const write = (line: LogLine) => response.write(`${JSON.stringify(line)}\n`);

  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-cache' });
  response.flushHeaders();
  for (const line of tail) write(line);

  const stop = follow((line) => {
    if (response.writableLength > API.maxLogBacklogBytes) {
      left++;
      return;
    }
    if (left > 0) {
      write({ time: line.time, level: 'warn', part: 'api', message: `${left} lines left out: the reader is too slow` });
      left = 0;
    }
    write(line);
  });
  const end = () => {
    stop();
    response.end();
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
}
