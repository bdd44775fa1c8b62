/**
 * zod's issues into complaints in plain words, each with the path of the key or value it is about.
 */
import * as z from 'zod';
import { MISSING } from './kinds.ts';
import { nearest, type Path } from './problem.ts';

export interface Issue {
  readonly path: Path;
  /** Where to point: at the key (it is not known, or has no value) or at its value. */
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly hint: string | undefined;
  /** Something is not there: where the text is garbled, it may be. */
  readonly isMissing: boolean;
}

/** Checks `value` and tells everything that is wrong with it. */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): { readonly data: z.output<Schema> | undefined; readonly issues: readonly Issue[] } {
  const result = schema.safeParse(value, { error: explain });
  if (result.success) return { data: result.data, issues: [] };
  return { data: undefined, issues: result.error.issues.flatMap((issue) => translate(issue, [])) };
}

/** Words for what has none of its own. Unknown keys come as one line each, in the order of the issue's `keys`. */
function explain(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(key, issue.inst)).join('\n');
  }
  if (issue.input === undefined) return `${MISSING}; write ${wanted(issue)}`;
  if (issue.input === null) return `has no value; write ${wanted(issue)}, or take the key out`;
  switch (issue.code) {
    case 'invalid_type':
    case 'invalid_union':
      return `is ${kindOf(issue.input)}; write ${wanted(issue)}`;
    case 'invalid_value': {
      const meant =
        typeof issue.input === 'string' ? nearest(issue.input, issue.values.map(String)) : undefined;
      return `is not known here; write ${wanted(issue)}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`;
    }
    case 'too_small':
      return `is too small; write ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
    case 'too_big':
      return `is too large; write ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
    default:
      return 'is not what belongs here';
  }
}

function wanted(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`;
  if (issue.code !== 'invalid_type') return 'a value';
  switch (issue.expected) {
    case 'string':
      return 'text';
    case 'number':
    case 'int':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'object':
    case 'record':
      return 'keys with values, indented below it';
    case 'array':
    case 'tuple':
      return 'a list';
    default:
      return 'a value';
  }
}

function kindOf(input: unknown): string {
  if (typeof input === 'number') return 'a number';
  if (typeof input === 'boolean') return 'true or false';
  if (typeof input === 'string') return 'text';
  return Array.isArray(input) ? 'a list' : 'a section with keys';
}

function unknownKey(key: string, schema: unknown): string {
  if (key === '<<') return 'merge keys are not used here; write the keys out';
  const shape: Readonly<Record<string, unknown>> = schema instanceof z.ZodObject ? schema.shape : {};
  const names = Object.keys(shape);
  const served = names.filter((name) => !isNotYet(shape[name]));
  const runTogether = names.find((name) => key.startsWith(`${name}:`));
  if (runTogether !== undefined) return `there is no space after the colon; write \`${runTogether}: …\``;
  const meant = nearest(key, names);
  if (meant !== undefined) return `this key is not known; did you mean \`${meant}\`?`;
  const below = names.find((name) => Object.hasOwn(shapeWithin(shape[name]), key));
  if (below !== undefined) return `this key is not known here; write it below \`${below}\``;
  return `this key is not known; ${served.length === 0 ? 'there are none here' : `the keys here are ${served.join(', ')}`}`;
}

function isNotYet(schema: unknown): boolean {
  return schema instanceof z.ZodOptional && schema.unwrap() instanceof z.ZodNever;
}

/** The keys of the section that `schema` describes, whatever is wrapped around it. */
function shapeWithin(schema: unknown): Readonly<Record<string, unknown>> {
  if (schema instanceof z.ZodObject) return schema.shape;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) {
    return shapeWithin(schema.unwrap());
  }
  if (schema instanceof z.ZodPipe) return { ...shapeWithin(schema.in), ...shapeWithin(schema.out) };
  if (schema instanceof z.ZodUnion) {
    return schema.options.reduce<Record<string, unknown>>(
      (all, one) => ({ ...all, ...shapeWithin(one) }),
      {},
    );
  }
  return {};
}

function translate(issue: z.core.$ZodIssue, before: Path): Issue[] {
  const path = [...before, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  if (issue.code === 'unrecognized_keys') {
    const lines = issue.message.split('\n');
    return issue.keys.map((key, index) => issueOf([...path, key], 'key', lines[index] ?? issue.message));
  }
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.filter((errors) => !errors.some(isWrongKind));
    const [only, ...others] = meant;
    if (only && others.length === 0) return only.flatMap((inner) => translate(inner, path));
  }
  if (issue.code === 'invalid_key') {
    return [issueOf(path, 'key', issue.issues[0]?.message ?? issue.message)];
  }
  const isNever = issue.code === 'invalid_type' && issue.expected === 'never';
  return [issueOf(path, isNever ? 'key' : 'value', issue.message)];
}

/** Whether the value is of another kind altogether than this branch of a union is for. */
function isWrongKind(issue: z.core.$ZodIssue): boolean {
  return issue.path.length === 0 && ['invalid_type', 'invalid_value', 'invalid_union'].includes(issue.code);
}

function issueOf(path: Path, at: Issue['at'], text: string): Issue {
  const parted = text.indexOf('; ');
  const message = parted === -1 ? text : text.slice(0, parted);
  const hint = parted === -1 ? undefined : text.slice(parted + 2);
  return { path, at, message, hint, isMissing: message === MISSING };
}
