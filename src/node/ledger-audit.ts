/** Checks an exported ledger without a node: all that is asked for is the file. */

import { accountAnswers, auditAnswer } from '../api/credit-answers.ts';
import type { LedgerAudit } from '../contract/credits.ts';
import { auditExport } from '../ledger/audit/audit-export.ts';
import { meshOf } from '../ledger/mesh.ts';
import { readFileParts } from '../storage/export-file.ts';

/** @throws GoGridError `usage` when the file cannot be read */
export async function auditFile(file: string): Promise<LedgerAudit> {
  const result = await auditExport(() => readFileParts(file));
  const { ledger, head } = result;
  const isReadable = ledger !== undefined && head !== undefined;
  return {
    ...auditAnswer(result),
    accounts: isReadable ? accountAnswers(ledger, meshOf(head.descriptor).founder) : [],
  };
}
