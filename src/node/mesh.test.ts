import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../config/resolve.ts';
import { LiveDescriptor } from '../network/descriptor.ts';
import { type AdmissionRule, createDescriptor, reissue, sealDescriptor } from '../protocol/descriptor.ts';
import { signerFromSeed } from '../protocol/signature.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { followAdmission } from './mesh.ts';

const founder = signerFromSeed(new Uint8Array(32).fill(1));

/** A node of a mesh with this rule, and what it warns of. */
function start(admission: AdmissionRule, accept: '' | 'all' | 'confirm') {
  const first = createDescriptor({ name: 'home', genesisMicrocredits: 0n, createdAt: 1 }, { admission }, founder);
  const descriptor = new LiveDescriptor(first, { signer: founder, save: async () => {}, log: silentLogger });
  const warned: [object, string][] = [];
  const { config } = resolveConfig({ flags: new Map([['network.accept', accept]]) });
  const followed = followAdmission(config, { descriptor }, { warn: (facts, text) => warned.push([facts, text]) });
  return { descriptor, followed, warned, first };
}

describe('a reissue that changes whom the mesh lets in', () => {
  it('holds from the next start on, and the log says so once a revision', () => {
    const { descriptor, followed, warned, first } = start('all', '');
    expect([followed.rule, followed.waitsForRestart()]).toEqual(['all', false]);
    const narrow = reissue(first, { admission: 'confirm' }, founder);
    for (let times = 0; times < 3; times++) descriptor.take(sealDescriptor(narrow));
    expect([followed.rule, followed.waitsForRestart()]).toEqual(['all', true]);
    expect(warned).toEqual([[{ revision: 2 }, expect.stringContaining("goes by 'all'")]]);
    const back = reissue(narrow, { admission: 'all' }, founder);
    descriptor.take(sealDescriptor(back));
    expect(followed.waitsForRestart()).toBe(false);
    expect(warned).toHaveLength(1);
  });

  it('is nothing to a node whose user has narrowed it already', () => {
    const { descriptor, followed, warned, first } = start('all', 'confirm');
    descriptor.take(sealDescriptor(reissue(first, { admission: 'confirm' }, founder)));
    expect([followed.rule, followed.waitsForRestart(), warned]).toEqual(['confirm', false, []]);
  });
});
