import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configReference } from './reference.ts';

it('docs/configuration.md is what the schema says; if not: npx tsx scripts/config-docs.ts', () => {
  const committed = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  expect(committed).toBe(configReference());
});
