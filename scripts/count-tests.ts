/**
 * Adds up vitest's JSON reports, given as arguments, and ends with one line: `N passed, N failed`.
 * Exits 1 when a test failed, when a file could not even be loaded, and when no test ran at all.
 */
import { existsSync, readFileSync } from 'node:fs';

/** The parts of a vitest JSON report that count. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly success: boolean;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of process.argv.slice(2)) {
  if (!existsSync(file)) {
    process.stdout.write(`No report at ${file}: its tests did not run to the end.\n`);
    failed += 1;
    continue;
  }
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  passed += report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  // A file that throws while it loads fails the run without failing a test: it counts as one.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failures = report.numFailedTests + broken.length;
  failed += failures === 0 && !report.success ? 1 : failures;
}
if (passed + failed === 0) process.stdout.write('No test ran, which counts as a failure.\n');
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
