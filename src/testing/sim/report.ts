/** A history as a table that a person reads. */

import type { Plan } from './plan.ts';
import type { Result } from './simulate.ts';
import type { TraceLine } from './trace.ts';

export function describePlan({ seed, theme, nodes, jobs, faults, delayMs }: Plan): string {
  const serving = nodes.filter(({ models }) => models.length > 0).length;
  return `seed ${seed}: ${theme}, ${nodes.length} nodes (${serving} serve), ${jobs.length} jobs, ${faults.length} faults, up to ${delayMs[1].toFixed(1)} ms away`;
}

/** @param ids of the nodes, to be called by their short names */
export function tableOf({ plan, lines, violation, outcomes }: Result, ids: readonly string[]): string {
  const short = (text: string) => ids.reduce((all, id, index) => all.replaceAll(id, `n${index}`), text);
  const nodes = plan.nodes.map(({ models, slots, room, gapMs, friends, loadMs, prefillMs, maxJobMs }, index) =>
    models.length === 0
      ? `  n${index}: asks only${friends.length > 0 ? `; friends ${friends.map((n) => `n${n}`).join(' ')}` : ''}`
      : `  n${index}: ${models.join(' ')}; ${slots} slots, room ${room}, ${gapMs.toFixed(0)} ms a token, load ${loadMs.toFixed(0)}, prefill ${prefillMs.toFixed(0)}, longest job ${maxJobMs.toFixed(0)} ms${friends.length > 0 ? `; friends ${friends.map((n) => `n${n}`).join(' ')}` : ''}`,
  );
  return [
    describePlan(plan),
    ...nodes,
    '',
    ...rowsOf(lines, 'job', short),
    '',
    `jobs: ${[...outcomes].map(([name, count]) => `${count} ${name}`).join(', ')}`,
    violation === undefined
      ? 'every law held'
      : `VIOLATED ${violation.law} at ${violation.at.toFixed(1)} ms: ${short(violation.text)}`,
  ].join('\n');
}

/**
 * The lines of a history under their headings.
 * @param what the second column is about; its numbers begin with the same letter
 * @param short makes a text readable
 */
export function rowsOf(lines: readonly TraceLine[], what: string, short: (text: string) => string): string[] {
  const rows = lines.map(({ at, node, job, text }) =>
    [
      at.toFixed(1).padStart(10),
      (node === undefined ? '' : `n${node}`).padStart(4),
      (job === undefined ? '' : `${what[0]}${job}`).padStart(what.length + 2),
      short(text),
    ].join('  '),
  );
  return [`${'ms'.padStart(10)}  ${'node'.padStart(4)}  ${what.padStart(what.length + 2)}  what`, ...rows];
}
