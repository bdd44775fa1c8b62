/**
 * `attributes`: what the bridge owns in Exist.
 */
import * as z from 'zod';
import { VALUE_TYPES } from '../core/attribute.ts';
import { GROUPS } from '../core/templates.ts';
import { section, text, wrong } from './kinds.ts';

/** `time_of_day_midday` exists in Exist's templates only. */
const TYPES = VALUE_TYPES.filter((type) => type !== 'time_of_day_midday');

export const attribute = section({
  template: text(100)
    .optional()
    .describe(
      'One of Exist’s templates, where the attribute is to have another name here. Type, label and group are Exist’s.',
    )
    .meta({ title: 'template name', examples: ['water'] }),
  label: text(100)
    .optional()
    .describe(
      'What Exist shows. Without it, the name in words: `fridge_opens` becomes “Fridge opens”. An attribute that is at Exist already is found by its label.',
    )
    .meta({ examples: ['Fridge opens'] }),
  group: z
    .enum(GROUPS)
    .optional()
    .describe(
      'Where Exist files it; default `custom`. The token needs the read and write scope of this group.',
    ),
  type: z.enum(TYPES).optional().describe('What its values are; needed unless a template tells it.'),
  mode: z
    .enum(['strict', 'guarded', 'shared'])
    .optional()
    .describe(
      'How far the bridge trusts its own ledger where Exist shows another total. `strict`: nobody else writes the attribute, the ledger wins. `guarded`: raise freely, lower only what the bridge itself may have doubled, adopt the rest. `shared`: others write it too, never overwrite. Without it: strict for attributes the bridge has made, guarded for others it owns, shared where Exist lets the user write it by hand.',
    ),
});

export const attributes = z
  .record(
    z
      .string()
      .regex(
        /^[A-Za-z][A-Za-z0-9_-]{0,63}$/,
        'is no name for an attribute; write letters, digits and _, a letter first',
      )
      .meta({ title: 'name' }),
    attribute,
    wrong('is not a section of attributes', 'write a name and what it is: `fridge_opens: { type: integer }`'),
  )
  .prefault({})
  .describe(
    'What the bridge owns in Exist, by the name mappings use. An attribute that has the name of one of Exist’s templates needs no entry.',
  );
