/**
 * Stands in for pip: `fake-pip.ts MODE WHEEL LOG …`, then pip's own arguments. It downloads as pip does, in pieces into a
 * folder of its own, then copied to where it was asked for; LOG gets every call.
 */

import { spawn } from 'node:child_process';
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [mode = '', wheel = '', log = '', ...args] = process.argv.slice(2);
// Before it is in the log, where its caller looks.
if (mode === 'stubborn') process.on('SIGTERM', () => {});
const call = {
  args,
  requireVenv: process.env.PIP_REQUIRE_VIRTUALENV,
  safePath: process.env.PYTHONSAFEPATH,
  cwd: process.cwd(),
  beside: readdirSync('.'),
};
if (mode === 'leaves-child' && !args.includes('--version')) {
  // It has our error output, hears no polite word, and is only written down when that is so.
  const deaf = `process.on('SIGTERM', () => {});
    require('node:fs').appendFileSync(${JSON.stringify(log)}, JSON.stringify({ args: ['child'], pid: process.pid }) + '\\n');
    setTimeout(() => {}, 60_000);`;
  spawn(process.execPath, ['-e', deaf], { stdio: ['ignore', 'ignore', 'inherit'] });
}
appendFileSync(log, `${JSON.stringify({ ...call, pid: process.pid })}\n`);
if (args.includes('--version')) {
  process.stdout.write('pip 99\n');
  process.exit(mode === 'absent' ? 1 : 0);
}
if (mode === 'fails') {
  process.stderr.write('WARNING: Retrying\nERROR: No matching distribution found for it\n\n');
  process.exit(1);
}
if (mode === 'hangs' || mode === 'stubborn' || mode === 'leaves-child') {
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
