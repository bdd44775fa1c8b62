/**
 * One entry of `mappings`: what messages it takes, what it reads from them, and what that contributes.
 */
import * as z from 'zod';
import { filterProblem } from '../core/topic.ts';
import { duration, expression, text, wrong } from './kinds.ts';
import { add, count, minutes, OPERATIONS, type OperationName, rise, set, time } from './operations.ts';

const FILTER_HINT = 'write a topic filter such as home/+/door';

const filter = z
  .string(wrong('is not a topic filter', FILTER_HINT))
  .superRefine((given, context) => {
    const message = filterComplaint(given);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  })
  .meta({ title: 'topic filter' });

function filterComplaint(given: string): string | undefined {
  const problem = filterProblem(given);
  if (problem !== undefined) return `${problem}; ${FILTER_HINT}`;
  const [first] = given.split('/');
  if (first === '$share')
    return 'shared subscriptions are not used here; write the filter alone, without $share and the group';
  if (first === '$SYS')
    return 'topics below $SYS tell of a broker, they are no readings; name the topic of a device';
  if (first === 'mqtt2exist')
    return 'topics below mqtt2exist are the bridge’s own; name the topic of a device';
  return undefined;
}

/** The operations that `given` names, whatever they say. */
export function operationsIn(given: unknown): OperationName[] {
  if (typeof given !== 'object' || given === null) return [];
  return OPERATIONS.filter((name) => Object.hasOwn(given, name));
}

function operationComplaint(given: unknown): string | undefined {
  const named = operationsIn(given);
  const all = 'count, add, rise, duration, set or time';
  if (named.length === 0) return `has no operation; write one of ${all}, as in count: { when: open }`;
  if (named.length > 1)
    return `has ${named.length} operations (${named.join(', ')}); write a mapping for each`;
  return undefined;
}

export const mapping = z
  .strictObject({
    topic: z
      .union(
        [filter.transform((one) => [one]), z.array(filter).min(1, `is empty; ${FILTER_HINT}`).max(100)],
        wrong('is not a topic filter or a list of them', FILTER_HINT),
      )
      .describe(
        'The messages it takes. `+` stands for one level, `#` at the end for all that follow. State is kept per topic.',
      )
      .meta({ title: 'topic filter, or a list of them', examples: ['kitchen/fridge/door', 'home/+/door'] }),
    attribute: text(64)
      .describe('A name from `attributes`, or one of Exist’s templates.')
      .meta({ title: 'name', examples: ['fridge_opens', 'coffees'] }),
    value: expression()
      .optional()
      .describe('Finds the value in the JSON payload. Without it the whole payload is the value.')
      .meta({ examples: ['contact', 'ENERGY.Power', 'params.events[event="single_push"].event'] }),
    if: expression()
      .optional()
      .describe('Messages for which this is false are ignored.')
      .meta({ examples: ['id = 1544391234'] }),
    id: expression()
      .optional()
      .describe('The message’s own identity. One that was seen before on this topic counts nothing.')
      .meta({ examples: ['inst & "/" & boot & "/" & seq'] }),
    at: expression()
      .optional()
      .describe(
        'When it happened: ISO 8601 (without a zone: local time), or seconds or milliseconds since 1970. Default: on receipt. More than 5 minutes in the future or 31 days ago is refused.',
      ),
    age: expression()
      .optional()
      .describe(
        'How many seconds ago it happened, for devices without a clock. Where `at` gives a time too, that one holds.',
      ),
    scale: z
      .number()
      .refine((factor) => factor !== 0, 'would make every value 0; write another number')
      .default(1)
      .describe('Numbers are multiplied by this.'),
    offset: z.number().default(0).describe('This is added, after `scale`.'),
    range: z
      .tuple([z.number(), z.number()], wrong('is not a range', 'write [min, max]'))
      .refine(
        ([least, most]) => least <= most,
        'is empty: the first number is larger than the second; swap them',
      )
      .optional()
      .describe(
        '`[min, max]`, both included, after `scale` and `offset`. Readings outside are refused and shown, not counted.',
      )
      .meta({ title: 'two numbers' }),
    debounce: duration()
      .prefault('0s')
      .describe(
        'After an event that counted, further ones within this time count nothing. For `count`, `add`, `set` and `time`; a meter (`rise`) and minutes (`duration`) have no events to bounce.',
      ),
    silent_after: duration('1m', '366d')
      .optional()
      .describe(
        'Where no message came for longer, the status and the metrics say so; of a topic with wildcards each one that was heard of counts by itself. No value is made up for the day.',
      )
      .meta({ examples: ['24h'] }),
    count,
    add,
    rise,
    duration: minutes,
    set,
    time,
  })
  .refine((given) => operationComplaint(given) === undefined, {
    // Also where other keys are wrong: all problems are told at once.
    when: ({ value }) => typeof value === 'object' && value !== null,
    error: ({ input }) => operationComplaint(input) ?? '',
  })
  .meta({ oneOf: OPERATIONS.map((name) => ({ required: [name] })) });
