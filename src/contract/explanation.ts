/** What `POST /route/explain` answers: the decision that a question of now would get, with what a reader wants beside the ids. */

import { z } from 'zod';
import { decision, privacyTier } from './control.ts';

const name = z.string().describe('of that node, or empty when it is not known');
const { candidates, excluded } = decision.shape;

export const explanation = decision.extend({
  model: z.string().describe('canonical model name, with tag'),
  privacy: privacyTier.describe('how far the prompt may go'),
  candidates: z.array(candidates.element.extend({ name })).describe('in the order in which they would be asked'),
  excluded: z.array(excluded.element.extend({ name, status: z.string().describe('of that node, or empty') })),
  waiting: z
    .object({ ahead: z.int().positive(), estimateMs: z.number().nonnegative() })
    .optional()
    .describe('jobs of this node that wait here for the same, and how long it would wait behind them'),
  priceMicrocredits: z.string().describe('what the first candidate would cost'),
});

/** The body is that of `POST /v1/chat/completions`, whose other fields are read too: tools, images, `max_tokens`. */
export const explainRequest = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })).min(1),
});

export type Explanation = z.infer<typeof explanation>;
