/** A history of ledgers as a table that a person reads. */

import { rowsOf } from '../sim/report.ts';
import { shortNames } from './accounts.ts';
import type { Plan } from './plan.ts';
import type { Result } from './simulate.ts';

export function describePlan(plan: Plan): string {
  const { seed, theme, nodes, accounts, witnesses, liars, moves, cheats, faults, delayMs } = plan;
  const cheating = accounts.filter((account) => account.cheats).length;
  return [
    `seed ${seed}: ${theme}, ${nodes.length} nodes, ${accounts.length} accounts (${cheating} cheat)`,
    `${witnesses.length} witnesses (${liars.length} lie)`,
    `${moves.length} moves, ${cheats.length} cheats, ${faults.length} faults`,
    `up to ${delayMs[1].toFixed(1)} ms away`,
  ].join(', ');
}

export function tableOf({ plan, lines, violation }: Result): string {
  const short = shortNames(plan);
  const { witnesses, liars, hintLoss, loneReleaseMs, capMicrocredits } = plan;
  const facts = [
    `witnesses ${witnesses.map((node) => `n${node}${liars.includes(node) ? ' (lies)' : ''}`).join(' ')}`,
    `${Math.round(100 * hintLoss)} % of the hints are lost`,
    `release alone after ${loneReleaseMs} ms`,
    `cap ${capMicrocredits}`,
  ];
  const homes = plan.accounts.flatMap(({ home, cheats }, index) =>
    index < plan.nodes.length ? [] : [`${cheats ? 'x' : 'a'}${index}@n${home}`],
  );
  return [
    describePlan(plan),
    `  ${facts.join(', ')}`,
    `  ${homes.join(' ')}`,
    '',
    ...rowsOf(lines, 'account', short),
    '',
    violation === undefined
      ? 'every law held'
      : `VIOLATED ${violation.law} at ${violation.at.toFixed(1)} ms: ${short(violation.text)}`,
  ].join('\n');
}
