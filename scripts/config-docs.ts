/** Writes docs/configuration.md from the schema of the settings. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { configReference } from '../src/config/reference.ts';

await writeFile(fileURLToPath(new URL('../docs/configuration.md', import.meta.url)), configReference());
