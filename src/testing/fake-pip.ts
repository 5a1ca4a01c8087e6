/**
 * Stands in for pip: `fake-pip.ts MODE WHEEL LOG …`, then pip's own arguments. It downloads as pip does, in pieces into a
 * folder of its own, then copied to where it was asked for; LOG gets every call.
 */

import { appendFileSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [mode = '', wheel = '', log = '', ...args] = process.argv.slice(2);
appendFileSync(log, `${JSON.stringify({ args, requireVenv: process.env.PIP_REQUIRE_VIRTUALENV, pid: process.pid })}\n`);
if (args.includes('--version')) {
  process.stdout.write('pip 99\n');
  process.exit(mode === 'absent' ? 1 : 0);
}
if (mode === 'fails') {
  process.stderr.write('WARNING: Retrying\nERROR: No matching distribution found for it\n\n');
  process.exit(1);
}
if (mode === 'hangs' || mode === 'stubborn') {
  if (mode === 'stubborn') process.on('SIGTERM', () => {});
  setInterval(() => {}, 60_000);
} else {
  const scratch = path.join(process.env.TMPDIR ?? '', 'pip-unpack-x');
  mkdirSync(scratch);
  const content = readFileSync(wheel);
  const half = path.join(scratch, 'tiny.whl');
  for (let at = 0; at < content.length; at += 50_000) {
    writeFileSync(half, content.subarray(0, at + 50_000));
    await new Promise((resolve) => setTimeout(resolve, mode === 'slow' ? 150 : 1));
  }
  const dest = args[args.indexOf('--dest') + 1] ?? '';
  copyFileSync(half, path.join(dest, path.basename(wheel)));
}
