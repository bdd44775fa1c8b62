/**
 * The kinds of values that keys of the configuration take. `title` names the kind in the reference.
 *
 * Texts of complaints have two halves, parted by `; `: what is wrong, and what to write instead.
 */
import * as z from 'zod';
import { DAY_MS } from '../core/time.ts';
import { parseDuration, parseSize } from './duration.ts';

/** What is told of a value of another kind, of none, and of a key that is not there. */
export function wrong(what: string, hint: string) {
  return {
    error: ({ input }: { readonly input?: unknown }): string =>
      `${input === undefined ? MISSING : input === null ? 'has no value' : what}; ${hint}`,
  };
}

export const MISSING = 'is missing';

const DURATION_HINT = 'write a number with its unit: 500ms, 5s, 10m, 2h or 1d';

/** Timers go no further than 24.8 days, and nothing here needs more. */
const LONGEST_MS = 20 * DAY_MS;

/** Parsed to milliseconds. */
export function duration(least = '0s', most = '20d') {
  const leastMs = parseDuration(least) ?? 0;
  const mostMs = parseDuration(most) ?? LONGEST_MS;
  return z
    .string(wrong('is not a duration', DURATION_HINT))
    .transform((text, context) => {
      const parsed = parseDuration(text);
      if (parsed !== undefined && parsed >= leastMs && parsed <= mostMs) return parsed;
      const message =
        parsed === undefined
          ? `is not a duration; ${DURATION_HINT}`
          : `is out of range; write a duration from ${least} to ${most}`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta({ title: 'duration', pattern: '^\\s*\\d+(\\.\\d+)? ?(ms|s|m|h|d)\\s*$|\\$\\{' });
}

/** Parsed to bytes. */
export function size(leastBytes: number, mostBytes: number) {
  const hint = 'write bytes as a number, or with a unit: 64kB, 64KiB, 1MB or 1MiB';
  return z
    .union([z.number(), z.string()], wrong('is not a size', hint))
    .transform((given, context) => {
      const parsed = typeof given === 'number' ? given : parseSize(given);
      if (parsed !== undefined && Number.isInteger(parsed) && parsed >= leastBytes && parsed <= mostBytes) {
        return parsed;
      }
      const message =
        parsed === undefined || !Number.isInteger(parsed)
          ? `is not a size; ${hint}`
          : `is out of range; write a size from ${leastBytes} to ${mostBytes} bytes`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .meta({ title: 'size' });
}

export function wholeNumber(least: number, most: number) {
  return z
    .int(`must be a whole number; write one from ${least} to ${most}`)
    .min(least, `is too small; write a whole number from ${least} to ${most}`)
    .max(most, `is too large; write a whole number from ${least} to ${most}`)
    .meta({ title: 'whole number' });
}

export function text(most = 1_000) {
  return z
    .string()
    .trim()
    .min(1, 'is empty; write a text, or take the key out')
    .max(most, `is too long; write at most ${most} characters`)
    .meta({ title: 'text' });
}

export function filePath() {
  return text(4_096).meta({ title: 'file' });
}

/** A token or the like: what may stand in an HTTP header. It is never shown. */
export function secret(what = 'a token') {
  return z
    .string()
    .regex(SECRET, `cannot be ${what}: it is empty or has white space in it; copy it once more`)
    .meta({ title: 'secret' });
}

const SECRET = /^[\x21-\x7e]{1,4096}$/;

export function isSecret(candidate: string): boolean {
  return SECRET.test(candidate);
}

/** JSONata or a dotted path; compiled elsewhere. */
export function expression() {
  return z
    .string(
      wrong('is not text', 'write an expression; put it in quotes where YAML takes it for something else'),
    )
    .min(1, 'is empty; write an expression such as `ENERGY.Power`, or take the key out')
    .max(4_000, 'is too long; write at most 4000 characters')
    .meta({ title: 'expression' });
}

/** A section without a value (`add:`) is one in which nothing is set. */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z
    .preprocess((given) => (given === null ? {} : given), z.strictObject(shape))
    .meta({ type: ['object', 'null'] });
}

/** A key of the public interface that this version does not know how to serve: told, never ignored. */
export function notYet(what: string, instead?: string) {
  return z
    .never(`${what}: not supported in this version yet${instead === undefined ? '' : `; ${instead}`}`)
    .optional()
    .describe(`${what}: not supported in this version yet.`);
}
