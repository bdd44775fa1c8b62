/**
 * `when`, `each`, `while`, `of`: a word, a list of words, or bounds of a number.
 */
import * as z from 'zod';
import type { Condition } from '../core/condition.ts';
import { wrong } from './kinds.ts';
import { isNoReading, trimmed } from '../core/payload.ts';

const HINT = 'write a word or number, a list of them, {above: n}, {below: n} or {between: [a, b]}';

const word = z.union(
  [
    z.string().refine((text) => !isNoReading(trimmed(text)), {
      error: 'can never hold: payloads that say this are no readings; write another word',
    }),
    z.number(),
    z.boolean(),
  ],
  wrong('is no condition', HINT),
);

const bounds = z.strictObject({
  above: z.number().optional().describe('Numbers greater than this.'),
  below: z.number().optional().describe('Numbers less than this.'),
  between: z
    .tuple([z.number(), z.number()], wrong('is not a range', 'write [a, b]'))
    .optional()
    .describe('Numbers from the first to the second, both included.'),
  hysteresis: z
    .number()
    .min(0, 'is negative; write 0 or more')
    .optional()
    .describe(
      'With `above` or `below`: once the condition holds, it ends only when the number is this far back over the limit.',
    ),
});

/** A condition as the core knows it. */
export function condition() {
  return z
    .union(
      [
        word,
        z.array(word).min(1, `is empty; ${HINT}`).max(100, 'is too long; write at most 100 words'),
        bounds,
      ],
      wrong('is no condition', HINT),
    )
    .transform((given, context): Condition => {
      if (Array.isArray(given)) return { kind: 'oneOf', values: given };
      if (typeof given !== 'object') return { kind: 'oneOf', values: [given] };
      const { above, below, between, hysteresis } = given;
      const limits = [above, below, between].filter((limit) => limit !== undefined);
      if (limits.length !== 1) {
        const message = `needs exactly one of above, below and between; ${HINT}`;
        context.addIssue({ code: 'custom', message });
      } else if (above !== undefined) return { kind: 'above', limit: above, hysteresis: hysteresis ?? 0 };
      else if (below !== undefined) return { kind: 'below', limit: below, hysteresis: hysteresis ?? 0 };
      else if (hysteresis !== undefined) {
        const message = 'goes with above or below only; take it out';
        context.addIssue({ code: 'custom', path: ['hysteresis'], message });
      } else if (between !== undefined && between[0] > between[1]) {
        const message = 'can never hold: the first number is larger than the second; swap them';
        context.addIssue({ code: 'custom', path: ['between'], message });
      } else if (between !== undefined) return { kind: 'between', low: between[0], high: between[1] };
      return z.NEVER;
    })
    .meta({ title: 'condition' });
}
