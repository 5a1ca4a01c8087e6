/** The privacy tiers are written where each layer may read them; they are the same, in the same order. */

import { expect, it } from 'vitest';
import { PRIVACY_OPTION, TIERS } from '../cli/privacy-flag.ts';
import { privacyTier } from '../contract/control.ts';
import { PRIVACY_TIERS } from '../jobs/privacy.ts';
import { SCHEMA } from './schema.ts';

it('there is one list of privacy tiers', () => {
  expect(TIERS).toEqual(PRIVACY_TIERS);
  expect(privacyTier.options).toEqual(PRIVACY_TIERS);
  expect(SCHEMA.privacy.default.values).toEqual(PRIVACY_TIERS);
  for (const tier of PRIVACY_TIERS) expect(PRIVACY_OPTION.doc).toContain(tier);
});
