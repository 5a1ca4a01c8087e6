/** Checks an exported ledger without a node: all that is asked for is the file. */

import { auditAnswer } from '../api/credit-answers.ts';
import type { LedgerAudit } from '../contract/credits.ts';
import { auditExport } from '../ledger/audit/audit-export.ts';
import { readFileParts } from '../storage/export-file.ts';

/** @throws GoGridError `usage` when the file cannot be read */
export async function auditFile(file: string): Promise<LedgerAudit> {
  return auditAnswer(await auditExport(() => readFileParts(file)));
}
