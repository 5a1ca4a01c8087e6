/** What `GET /doctor` answers, and `gogrid doctor --json` prints. */

import { z } from 'zod';

export const finding = z.object({
  check: z.string().describe('what was looked at, such as `engine` or `disk`'),
  level: z.enum(['ok', 'warn', 'error']),
  message: z.string().describe('what was found, in a sentence'),
  fix: z.string().optional().describe('what to do about it'),
});

export const diagnosis = z.object({
  running: z.boolean().describe('whether a node runs in this home'),
  healthy: z.boolean().describe('no finding is an error'),
  findings: z.array(finding),
});

export type Finding = z.infer<typeof finding>;
export type Diagnosis = z.infer<typeof diagnosis>;
