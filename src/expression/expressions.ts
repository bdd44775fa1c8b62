/**
 * What the expressions of one mapping (`value`, `if`, `id`, `at`, `age`, `instance`) make of a payload.
 *
 * Plain paths are followed at once; only a mapping with a formula in it answers with a promise.
 */
import { parseNumber } from '../core/number.ts';
import { isNoReading, trimmed, type Payload } from '../core/payload.ts';
import type { Extraction, Scalar } from '../core/reading.ts';
import { compileFormula, type Evaluated, type Formula } from './formula.ts';
import { follow, parsePath, type Path } from './path.ts';

export const EXPRESSION_KEYS = ['value', 'if', 'id', 'at', 'age', 'instance'] as const;

export type ExpressionKey = (typeof EXPRESSION_KEYS)[number];

export type ExpressionSources = { readonly [key in ExpressionKey]?: string | undefined };

export interface ExpressionProblem {
  readonly key: ExpressionKey;
  readonly message: string;
  /** Characters from the beginning of the expression. */
  readonly offset?: number;
}

export type Expressions =
  | { readonly ok: true; readonly extract: (payload: Payload) => Extraction | Promise<Extraction> }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] };

type Compiled =
  { readonly path: Path; readonly source: string } | { readonly formula: Formula; readonly source: string };

/** A message with more values than this is no reading. */
const MAX_VALUES = 1_000;
const MAX_IDENTITY_LENGTH = 256;

/**
 * Compiles the expressions of a mapping. With `objectAsText` an object is a value too, its text: for mappings
 * that count messages whatever they say.
 */
export function compileExpressions(
  sources: ExpressionSources,
  options: { readonly objectAsText?: boolean } = {},
): Expressions {
  const problems: ExpressionProblem[] = [];
  const compiled: { [key in ExpressionKey]?: Compiled } = {};
  for (const key of EXPRESSION_KEYS) {
    const source = sources[key];
    if (source === undefined) continue;
    const result = compile(source);
    if ('message' in result) problems.push({ key, ...result });
    else compiled[key] = result;
  }
  if (problems.length > 0) return { ok: false, problems };
  const keys = EXPRESSION_KEYS.filter((key) => compiled[key] !== undefined);
  const objectAsText = options.objectAsText ?? false;
  return { ok: true, extract: (payload) => extract(payload, keys, compiled, objectAsText) };
}

function compile(source: string): Compiled | { readonly message: string; readonly offset?: number } {
  if (source.trim() === '') return { message: 'the expression is empty' };
  const path = parsePath(source);
  if (path) return { path, source: source.trim() };
  const formula = compileFormula(source);
  return 'message' in formula ? formula : { formula, source: source.trim() };
}

/** What each expression gave; JSONata's "nothing" is an empty list. */
type Results = { [key in ExpressionKey]?: readonly unknown[] };

function extract(
  payload: Payload,
  keys: readonly ExpressionKey[],
  compiled: { readonly [key in ExpressionKey]?: Compiled },
  objectAsText: boolean,
): Extraction | Promise<Extraction> {
  if (payload.kind === 'ignored' || payload.kind === 'refused') return payload;
  const results: Results = {};
  const formulas: [ExpressionKey, Formula][] = [];
  const input: unknown = payload.value;
  for (const key of keys) {
    const expression = compiled[key];
    if (!expression) continue;
    if ('formula' in expression) formulas.push([key, expression.formula]);
    else results[key] = follow(expression.path, input);
  }
  const valueSource = compiled.value?.source;
  // What the condition turns away need not be computed.
  if (formulas.length === 0 || (results.if && !isTrue(results.if))) {
    return extractionOf(payload, results, valueSource, objectAsText);
  }
  return evaluateAll(payload, formulas, results, valueSource, objectAsText);
}

type Readable = Extract<Payload, { kind: 'json' | 'scalar' }>;

async function evaluateAll(
  payload: Readable,
  formulas: readonly [ExpressionKey, Formula][],
  results: Results,
  valueSource: string | undefined,
  objectAsText: boolean,
): Promise<Extraction> {
  // `if` comes first: a message that is of no interest is not refused for what else it says.
  for (const [key, formula] of [...formulas].sort(([a], [b]) => Number(b === 'if') - Number(a === 'if'))) {
    const evaluated: Evaluated = await formula.evaluate(payload.value);
    if ('reason' in evaluated) return { kind: 'refused', reason: `\`${key}\`: ${evaluated.reason}` };
    results[key] = listOf(evaluated.value);
    if (key === 'if' && !isTrue(results.if ?? [])) break;
  }
  return extractionOf(payload, results, valueSource, objectAsText);
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

function extractionOf(
  payload: Readable,
  results: Results,
  valueSource: string | undefined,
  objectAsText: boolean,
): Extraction {
  if (results.if && !isTrue(results.if)) return { kind: 'ignored', reason: '`if` is false' };
  const values = valuesOf(payload, results.value, valueSource, objectAsText);
  if (!Array.isArray(values)) return values;
  const identity = single('id', results.id);
  const instance = single('instance', results.instance);
  const deviceTime = single('at', results.at);
  const age = single('age', results.age);
  for (const told of [identity, instance, deviceTime, age]) {
    if (typeof told === 'object') return told;
  }
  const ageS = scalarOrNone(age) === undefined ? undefined : parseNumber(scalarOrNone(age) ?? '');
  if (age !== undefined && ageS === undefined) {
    return { kind: 'refused', reason: `\`age\`: ${JSON.stringify(age)} is not a number of seconds` };
  }
  const at = scalarOrNone(deviceTime);
  return {
    kind: 'values',
    values,
    ...(identity !== undefined && { identity: textOf(identity) }),
    ...(instance !== undefined && { instance: textOf(instance) }),
    ...(at !== undefined && { deviceTime: at }),
    ...(ageS !== undefined && { ageS }),
  };
}

function scalarOrNone(told: Scalar | object | undefined): Scalar | undefined {
  return typeof told === 'object' ? undefined : told;
}

type NoValues = Exclude<Extraction, { kind: 'values' }>;

/** The readings in what `value` found, or in the whole payload where there is no `value`. */
function valuesOf(
  payload: Readable,
  found: readonly unknown[] | undefined,
  source: string | undefined,
  objectAsText: boolean,
): Scalar[] | NoValues {
  if (found === undefined) {
    if (payload.kind === 'scalar') return [payload.value];
    if (objectAsText) return [payload.text];
    found = listOf(payload.value);
  } else if (found.length === 0) {
    // Text in which nothing was found was not what the expression is for; JSON may lack a key at any time.
    return payload.kind === 'scalar' && !payload.json
      ? { kind: 'refused', reason: `the payload is not JSON, so it has no \`${source}\`` }
      : { kind: 'ignored', reason: `nothing at \`${source}\`` };
  }
  if (found.length > MAX_VALUES) {
    return { kind: 'refused', reason: `${found.length} values in one message, more than ${MAX_VALUES}` };
  }
  const values: Scalar[] = [];
  for (const one of found) {
    const value = objectAsText && typeof one === 'object' && one !== null ? JSON.stringify(one) : one;
    if (value === null || value === undefined) continue;
    if (typeof value === 'string') {
      const text = trimmed(value);
      if (!isNoReading(text)) values.push(text);
    } else if (typeof value === 'number' || typeof value === 'boolean') {
      values.push(value);
    } else {
      return { kind: 'refused', reason: notAValue(value, source) };
    }
  }
  return values.length > 0 ? values : { kind: 'ignored', reason: 'no reading: null, empty or unavailable' };
}

function notAValue(value: unknown, source: string | undefined): string {
  if (typeof value === 'function') return `\`${source ?? ''}\` is a function, not a value`;
  const what = Array.isArray(value) ? 'a list' : 'an object';
  return source === undefined
    ? `the payload is ${what}: name a key with \`value\``
    : `\`${source}\` is ${what}: name a key in it`;
}

/** The one scalar that an expression other than `value` is to give; nothing and null are none. */
function single(key: ExpressionKey, found: readonly unknown[] | undefined): Scalar | undefined | NoValues {
  const [value, ...more] = found ?? [];
  if (value === undefined || value === null) return undefined;
  const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  if (!isScalar || more.length > 0)
    return { kind: 'refused', reason: `\`${key}\` is not one text or number` };
  if (typeof value !== 'string') return value;
  const text = trimmed(value);
  if (text.length > MAX_IDENTITY_LENGTH) {
    return { kind: 'refused', reason: `\`${key}\` is longer than ${MAX_IDENTITY_LENGTH} characters` };
  }
  return isNoReading(text) ? undefined : text;
}

/** What `single` gave, once its refusals are dealt with. */
function textOf(told: Scalar | NoValues): string {
  return typeof told === 'object' ? '' : String(told);
}

/** JSONata's `$boolean`: empty text, 0, null, and empty or all-false lists and objects are false. */
function isTrue(found: readonly unknown[]): boolean {
  return found.some((value) => {
    if (Array.isArray(value)) return isTrue(value);
    if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
    return typeof value !== 'function' && Boolean(value);
  });
}
