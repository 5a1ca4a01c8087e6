/**
 * Ends what a dead test run left behind; a process of its own, started by `children.ts`.
 *
 * It reads `+PID` and `-PID` lines, and at the end of its input, which comes however the run ends (also by SIGKILL, when no
 * handler of the run itself would be called), it kills the process groups that are still on its list.
 */

import { createInterface } from 'node:readline';

const living = new Set<number>();

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const pid = Number(line.slice(1));
    if (line.startsWith('+')) living.add(pid);
    else living.delete(pid);
  })
  .on('close', () => {
    for (const pid of living) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    process.exit(0);
  });

// Ctrl-C in a terminal reaches the whole foreground group; the run ends by it, and this process after the run.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
