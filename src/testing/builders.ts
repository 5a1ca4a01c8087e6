/** Whole, valid values of which a test names only what matters to it. */

import type { Profile } from '../protocol/profile.ts';

export function profileWith(
  changes: Partial<Omit<Profile, 'models'>> & { models?: readonly string[] } = {},
): Omit<Profile, 'node'> {
  const { models = [], node: _, ...rest } = changes;
  return {
    number: 1,
    issuedAt: 1_800_000_000_000,
    name: 'desk',
    version: '0.1.0',
    region: '',
    addresses: ['/ip4/127.0.0.1/tcp/8443'],
    hardware: { cores: 2, memoryBytes: 8_000_000_000, gpu: '', vramBytes: 0 },
    features: [],
    ...rest,
    models: models.map((name) => ({
      name,
      digest: 'ab'.repeat(32),
      sizeBytes: 1_000,
      parameterCount: 135_000_000,
      quantisation: 'Q4_1',
      family: 'llama',
      contextLength: 8192,
      capabilities: ['completion'],
      continues: 'yes',
      warm: false,
      tokensPerSecond: 12.5,
      prefillTokensPerSecond: 250,
      loadMs: 1_500,
    })),
  };
}
