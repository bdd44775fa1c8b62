/**
 * Exist's answers, one schema each: strict on what the bridge relies on, blind to everything else, since Exist may
 * add keys at any time. Rules: Exist's reference, "object types" and the pages of the single calls.
 */
import * as z from 'zod';
import { isLocalDate, isTimeZone } from '../core/time.ts';

const date = z.string().refine(isLocalDate, 'not a date');

/**
 * What an answer tells about an item besides its name helps to match and to check it. Where that cannot be read it
 * is taken as not told: the item is then read back, and the rest of the answer still counts.
 */
const optionalDate = date.nullish().catch(undefined);
const optionalText = z.string().nullish().catch(undefined);

export const profileAnswer = z.object({
  username: z.string().optional(),
  timezone: z.string().refine(isTimeZone, 'a time zone this machine does not know'),
  local_time: z.string().nullish(),
});

const group = z.object({ name: z.string(), label: z.string().optional() });

const template = z.object({
  name: z.string().min(1),
  label: z.string(),
  group,
  value_type: z.number().int(),
});

const attribute = z.object({
  template: z.string().nullish(),
  name: z.string().min(1),
  label: z.string(),
  group: group.nullish(),
  service: z.object({ name: z.string() }).nullish().catch(undefined),
  active: z.boolean().optional(),
  manual: z.boolean().nullish(),
  value_type: z.number().int(),
});

const value = z.union([z.number(), z.string(), z.boolean(), z.null()]);
const dayValue = z.object({ date, value });

const attributeWithValues = z.object({ name: z.string().min(1), values: z.array(dayValue) });

function paged<T extends z.ZodType>(item: T) {
  return z.object({
    count: z.number().int().optional(),
    next: z.string().nullish(),
    results: z.array(item),
  });
}

export const templatesAnswer = paged(template);
export const attributesAnswer = paged(attribute);
export const withValuesAnswer = paged(attributeWithValues);
export const valuesAnswer = paged(dayValue);

const failedItem = z.object({
  name: optionalText,
  template: optionalText,
  label: optionalText,
  date: optionalDate,
  error_code: z.string().catch('unknown'),
  error: z.string().catch(''),
});

function itemwise<T extends z.ZodType>(item: T) {
  return z
    .object({ success: z.array(item).optional(), failed: z.array(failedItem).optional() })
    .refine((answer) => answer.success ?? answer.failed, 'neither "success" nor "failed"')
    .transform((answer) => ({ success: answer.success ?? [], failed: answer.failed ?? [] }));
}

export const ownershipAnswer = itemwise(attribute);
export const releaseAnswer = itemwise(z.object({ name: optionalText }));
export const writeAnswer = itemwise(
  z.object({
    name: z.string().min(1),
    date: optionalDate,
    current: z.number().nullish().catch(undefined),
  }),
);

export type ProfileAnswer = z.infer<typeof profileAnswer>;
export type TemplateAnswer = z.infer<typeof template>;
export type AttributeAnswer = z.infer<typeof attribute>;
export type AttributeWithValues = z.infer<typeof attributeWithValues>;
export type DayValue = z.infer<typeof dayValue>;
export type FailedItem = z.infer<typeof failedItem>;
export type OwnershipAnswer = z.infer<typeof ownershipAnswer>;
export type ReleaseAnswer = z.infer<typeof releaseAnswer>;
export type WriteAnswer = z.infer<typeof writeAnswer>;
