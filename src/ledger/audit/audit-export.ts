/** Checks an exported ledger, with nothing but the export: no node, no network, no clock. */

import { toGoGridError } from '../../errors.ts';
import { LEDGER } from '../../limits/ledger.ts';
import type { Ledger } from '../books/ledger.ts';
import type { Entry, EntryName, LedgerMesh } from '../entries/entry.ts';
import { meshOf } from '../mesh.ts';
import { Audit, type AuditResult, type Problem } from './audit.ts';
import { type ExportHead, readHead, readLine, saidIn } from './export-lines.ts';

export interface ExportAudit extends AuditResult {
  /** Undefined when the first line cannot be read. */
  readonly head: ExportHead | undefined;
  readonly ledger: Ledger | undefined;
}

/** The bytes of an export from its beginning; may be asked for more than once. */
export type OpenExport = () => AsyncIterable<Uint8Array>;

/** Stops at the first line that does not hold: nothing behind it says anything any more. */
export async function auditExport(open: OpenExport): Promise<ExportAudit> {
  const { result, contradiction } = await goOver(open, true);
  if (contradiction === undefined || !result.valid) return result;
  const again = await goOver(open, false);
  return { ...again.result, valid: false, problems: [...again.result.problems, { what: contradiction }] };
}

interface GoneOver {
  readonly result: ExportAudit;
  readonly contradiction?: string | undefined;
}

async function goOver(open: OpenExport, finalise: boolean): Promise<GoneOver> {
  let head: ExportHead | undefined;
  let audit: Audit | undefined;
  let mesh: LedgerMesh | undefined;
  const counts = { entries: 0, attestations: 0 };
  let line = 0;
  for await (const bytes of linesOf(open())) {
    line++;
    const text = textOf(bytes);
    if (typeof text !== 'string') {
      const what = line === 1 ? `this is not a GoGrid ledger export: ${text.problem}` : text.problem;
      return broken(audit, head, { line, what });
    }
    try {
      if (audit === undefined || mesh === undefined) {
        head = readHead(text);
        mesh = meshOf(head.descriptor);
        audit = new Audit(mesh, lookupIn(open, mesh), finalise);
        continue;
      }
      const read = readLine(mesh, line - 1, text);
      const kind = read.kind === 'entry' ? 'entries' : 'attestations';
      counts[kind]++;
      if (head !== undefined && counts[kind] > head[kind]) {
        return broken(
          audit,
          head,
          named(line, text, `the first line says that there are ${head[kind]} ${kind}, and here is one more`),
        );
      }
      const why = read.kind === 'entry' ? await audit.entry(read.entry) : audit.attestation(read.attestation);
      if (why !== undefined) return broken(audit, head, named(line, text, why));
    } catch (thrown) {
      return broken(audit, head, named(line, text, toGoGridError(thrown).message));
    }
  }
  if (audit === undefined || head === undefined) return broken(audit, head, { line: 1, what: 'this file is empty' });
  for (const kind of ['entries', 'attestations'] as const) {
    if (counts[kind] === head[kind]) continue;
    const what = `it ends here with ${counts[kind]} ${kind}, and the first line says that there are ${head[kind]}`;
    return broken(audit, head, { line: line + 1, what });
  }
  const { contradiction } = audit;
  const claimed = finalise && contradiction !== undefined ? undefined : head.digest;
  return { result: { ...audit.finish(claimed), head, ledger: audit.ledger }, contradiction };
}

function named(line: number, text: string, what: string): Problem {
  const { witness, ...name } = saidIn(text) ?? {};
  return { line, what, ...name, ...(witness !== undefined && { witness }) };
}

function broken(audit: Audit | undefined, head: ExportHead | undefined, problem: Problem): GoneOver {
  const nothing = { entries: 0, attestations: 0, authors: 0, final: 0, digest: '', forks: [] };
  const soFar = audit?.finish(undefined) ?? nothing;
  return { result: { ...soFar, valid: false, problems: [problem], head, ledger: audit?.ledger } };
}

/** Reads the export once more for one entry: only a first entry that books what is dead asks for it. */
function lookupIn(open: OpenExport, mesh: LedgerMesh) {
  return async ({ id }: EntryName): Promise<Entry | undefined> => {
    let n = -1;
    for await (const bytes of linesOf(open())) {
      n++;
      const text = textOf(bytes);
      if (n === 0 || typeof text !== 'string' || saidIn(text)?.id !== id) continue;
      const read = readLine(mesh, n, text);
      if (read.kind === 'entry') return read.entry;
    }
    return undefined;
  };
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf({ bytes, ended }: Line): string | { readonly problem: string } {
  if (!ended) return { problem: 'it is longer than a line can be, or cut off' };
  try {
    return UTF8.decode(bytes);
  } catch {
    return { problem: 'it is not text in UTF-8' };
  }
}

interface Line {
  readonly bytes: Uint8Array;
  /** By a line end. */
  readonly ended: boolean;
}

const LINE_END = 0x0a;

/** Never holds more than one line, and gives up on one that is too long. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let held = 0;
  let first = true;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, start)) {
      yield { bytes: Buffer.concat([...parts, chunk.subarray(start, end)]), ended: true };
      parts = [];
      held = 0;
      first = false;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.slice(start));
    held += chunk.length - start;
    if (held > (first ? LEDGER.maxExportHeadBytes : LEDGER.maxExportLineBytes)) {
      yield { bytes: Buffer.concat(parts), ended: false };
      return;
    }
  }
  if (held > 0) yield { bytes: Buffer.concat(parts), ended: false };
}
