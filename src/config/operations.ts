/**
 * What mappings do: exactly one operation each.
 */
import * as z from 'zod';
import { toUnits } from '../core/units.ts';
import { condition } from './condition.ts';
import { duration, expression, section, wholeNumber, wrong } from './kinds.ts';

export const OPERATIONS = ['count', 'add', 'rise', 'duration', 'set', 'time'] as const;

/** Which of a day's values is the day's value. */
export const PICKS = ['last', 'first', 'min', 'max', 'mean'] as const;

export type OperationName = (typeof OPERATIONS)[number];

const by = z
  .number()
  .transform((step, context) => {
    const units = toUnits(step);
    if (units !== undefined && units !== 0) return units;
    const message =
      step === 0 ? 'would count nothing; write another number than 0' : 'is too large to be exact';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .prefault(1)
  .describe('What one event counts.')
  .meta({ title: 'number' });

export const count = section({
  when: condition()
    .optional()
    .describe(
      'Counts each change **into** this condition; the same state again counts nothing. For doors, plugs, relays.',
    ),
  each: z
    .union(
      [z.literal('any'), condition()],
      wrong('is no condition', 'write a word or number, a list of them, or any'),
    )
    .optional()
    .describe('Counts **every** message that matches; `any` for all. For buttons and events.')
    .meta({ title: 'condition, or `any`' }),
  hold: duration()
    .prefault('0s')
    .describe('With `when`: counts only once the condition has lasted this long.'),
  by,
})
  .refine(({ when, each }) => (when === undefined) !== (each === undefined), {
    error:
      'needs exactly one of when and each; write { when: open } for changes into a state, or { each: single } for every such message',
  })
  .refine(({ each, hold }) => each === undefined || hold === 0, {
    path: ['hold'],
    error: 'goes with when only; take it out',
  })
  .optional()
  .describe('Counts events: changes into a condition, or messages.');

export const add = section({}).optional().describe('The payload is an amount: adds the number itself.');

export const rise = section({
  reset: z
    .enum(['zero', 'ignore'])
    .default('zero')
    .describe(
      'A reading below nine tenths of the last one is a restart of the meter. `zero`: it started at 0, so the new reading counts. `ignore`: the new reading is only the new base line. A smaller dip counts nothing and leaves the last reading in place.',
    ),
  max_step: z
    .number()
    .gt(0, 'must be more than 0; write the largest rise between two readings that can be true')
    .optional()
    .describe(
      'Largest rise from one reading to the next that is believed, after `scale`. A larger one is refused and shown.',
    ),
  instance: expression()
    .optional()
    .describe('Names the meter’s life (a boot id): another one than before is a restart too.'),
})
  .optional()
  .describe('How much a cumulative meter rose. The first reading is only the base line.');

export const minutes = section({
  while: condition().describe('Counts the minutes in this condition.'),
  max: duration('1s')
    .optional()
    .describe('Longest interval that is believed; caps one whose end never came.')
    .meta({ examples: ['4h'] }),
})
  .optional()
  .describe('Minutes in a condition, the part so far included, split at midnight.');

export const set = section({
  pick: z.enum(PICKS).default('last').describe('Which of the day’s values is the day’s value.'),
  round: wholeNumber(0, 6)
    .optional()
    .describe('Decimal places that are kept; for types that take fractions.'),
})
  .optional()
  .describe('The value itself is the day’s value: it is written, not added.');

export const time = section({
  of: condition().describe('The change into this condition is what is timed.'),
  pick: z.enum(['first', 'last']).default('first').describe('Which change of the day.'),
})
  .optional()
  .describe('The time of day of the day’s first or last change into a condition.');
