/**
 * JSONata with every bound it offers and those it does not: time, depth, lengths, regular expressions.
 *
 * A formula depends on the payload alone, so that a message read twice says the same twice: there is no clock
 * and no chance in it.
 */
import jsonata from 'jsonata';
import { BoundedRegExp } from './bounded-regexp.ts';

export interface FormulaProblem {
  readonly message: string;
  /** Characters from the beginning of the formula. */
  readonly offset?: number;
}

export type Evaluated = { readonly value: unknown } | { readonly reason: string };

export interface Formula {
  /** Never rejects. `undefined` is JSONata's "nothing". */
  evaluate(input: unknown): Promise<Evaluated>;
}

const MAX_SOURCE_LENGTH = 4_000;
const MAX_PAD = 1_000;
/** For functions whose work grows faster than the list. */
const MAX_LIST = 1_000;
const MAX_NUMBER_TEXT = 64;

/** JSONata's options type asks for the whole `RegExp` constructor; it uses `new`, `lastIndex` and `exec`. */
const RegexEngine = BoundedRegExp as unknown as RegExpConstructor;

const options: jsonata.JsonataOptions = { timeout: 50, stack: 100, sequence: 10_000, RegexEngine };

const withoutClock = 'a formula depends on the payload alone; `at` and `age` tell when something happened';

const notAvailable: Readonly<Record<string, string>> = {
  eval: 'a payload is never executed',
  now: withoutClock,
  millis: withoutClock,
  random: 'a formula depends on the payload alone',
  shuffle: 'a formula depends on the payload alone',
};

const functions = new Set(
  (
    'sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim ' +
    'pad match contains replace split join formatNumber formatBase formatInteger parseInteger number floor ceil ' +
    'round abs sqrt power boolean not map zip filter single reduce sift keys lookup append exists spread merge ' +
    'reverse each error assert type sort distinct base64encode base64decode encodeUrlComponent encodeUrl ' +
    'decodeUrlComponent decodeUrl toMillis fromMillis clone'
  ).split(' '),
);

/** Compiles `source`, or says what is wrong with it. */
export function compileFormula(source: string): Formula | FormulaProblem {
  if (source.length > MAX_SOURCE_LENGTH) {
    return { message: `the formula has ${source.length} characters, more than ${MAX_SOURCE_LENGTH}` };
  }
  let expression: jsonata.Expression;
  let problem: FormulaProblem | undefined;
  try {
    expression = jsonata(source, options);
    problem = problemIn(expression.ast());
  } catch (error) {
    return problemOf(error, source);
  }
  if (problem) return problem;
  bound(expression);
  return { evaluate: (input) => alone(() => evaluate(expression, input)) };
}

/** The time-out is by the clock on the wall: evaluations wait for each other, lest they take each other's time. */
let previous: Promise<unknown> = Promise.resolve();

function alone(task: () => Promise<Evaluated>): Promise<Evaluated> {
  const result = previous.then(task);
  previous = result;
  return result;
}

const TIMED_OUT = 'D1012';

async function evaluate(expression: jsonata.Expression, input: unknown): Promise<Evaluated> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const value: unknown = await expression.evaluate(input);
      return { value };
    } catch (error) {
      // The machine may have been busy with something else for that long: a reading is not lost for that.
      if (codeOf(error) === TIMED_OUT && attempt === 1) continue;
      return { reason: problemOf(error).message };
    }
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}

/** JSONata throws plain objects with `message` and, mostly, `position`: where the offending token ends. */
function problemOf(error: unknown, source = ''): FormulaProblem {
  if (typeof error !== 'object' || error === null) return { message: String(error) };
  const message =
    'message' in error && typeof error.message === 'string' ? error.message : 'cannot be evaluated';
  const short = message.length > 300 ? `${message.slice(0, 300)}…` : message;
  if (!('position' in error) || typeof error.position !== 'number') return { message: short };
  const token = 'token' in error && typeof error.token === 'string' ? error.token : '';
  const begin = error.position - token.length;
  // At the end of a formula JSONata names a token that does not stand there.
  const offset = source.startsWith(token, begin) ? begin : error.position;
  return { message: short, offset: Math.min(Math.max(0, offset), source.length) };
}

interface Node {
  readonly [key: string]: unknown;
}

/** Functions that do not exist or are not to be had: better said when the configuration is read than per message. */
function problemIn(ast: unknown): FormulaProblem | undefined {
  const nodes = nodesOf(ast);
  const bound = new Set<unknown>();
  for (const node of nodes) {
    if (node['type'] === 'bind') bound.add(isNode(node['lhs']) ? node['lhs']['value'] : undefined);
    if (node['type'] === 'lambda' && Array.isArray(node['arguments'])) {
      for (const argument of node['arguments']) bound.add(isNode(argument) ? argument['value'] : undefined);
    }
    if (typeof node['focus'] === 'string') bound.add(node['focus']);
    if (typeof node['index'] === 'string') bound.add(node['index']);
    if (isNode(node['index'])) bound.add(node['index']['value']);
  }
  for (const node of nodes) {
    const { type, value: name, position } = node;
    if (type !== 'variable' || typeof name !== 'string' || name === '' || name === '$') continue;
    if (bound.has(name) || functions.has(name)) continue;
    const reason = Object.hasOwn(notAvailable, name) ? notAvailable[name] : undefined;
    return {
      message: reason === undefined ? `there is no $${name}` : `$${name} is not available: ${reason}`,
      ...(typeof position === 'number' && { offset: Math.max(0, position - name.length - 1) }),
    };
  }
  return undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RegExp);
}

function nodesOf(ast: unknown): Node[] {
  const nodes: Node[] = [];
  const seen = new Set<unknown>();
  const open: unknown[] = [ast];
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one !== 'object' || one === null || seen.has(one)) continue;
    seen.add(one);
    if (isNode(one)) nodes.push(one);
    open.push(...(Object.values(one) as unknown[]));
  }
  return nodes;
}

interface Guard {
  readonly name: string;
  readonly signature: string;
  readonly isTooMuch: (first: unknown, second: unknown) => boolean;
}

/** The functions whose cost a payload could drive up; each calls JSONata's own once its arguments are bounded. */
const guards: readonly Guard[] = [
  {
    name: 'pad',
    signature: '<s-ns?:s>',
    isTooMuch: (_, width) => typeof width === 'number' && Math.abs(width) > MAX_PAD,
  },
  {
    name: 'distinct',
    signature: '<x:x>',
    isTooMuch: isLongList,
  },
  { name: 'sort', signature: '<af?:a>', isTooMuch: isLongList },
  { name: 'toMillis', signature: '<s-s?:n>', isTooMuch: isLongText },
  { name: 'parseInteger', signature: '<s-s:n>', isTooMuch: isLongText },
  {
    name: 'formatInteger',
    signature: '<n-s:s>',
    isTooMuch: (number) => typeof number === 'number' && Math.abs(number) > 1e15,
  },
];

const own = new Map<string, jsonata.Expression>();

/** A call of JSONata's own function with the first `count` of three arguments. */
function ownCall(name: string, count: number): jsonata.Expression {
  const source = `$${name}(${['$first', '$second', '$third'].slice(0, count).join(', ')})`;
  let found = own.get(source);
  if (!found) {
    found = jsonata(source);
    own.set(source, found);
  }
  return found;
}

function bound(expression: jsonata.Expression): void {
  for (const { name, signature, isTooMuch } of guards) {
    const guarded = (first?: unknown, second?: unknown, third?: unknown): Promise<unknown> => {
      if (isTooMuch(first, second)) return Promise.reject(new Error(`$${name} is asked for too much`));
      const call = ownCall(name, third !== undefined ? 3 : second !== undefined ? 2 : 1);
      return call.evaluate(null, { first, second, third }) as Promise<unknown>;
    };
    expression.registerFunction(name, guarded, signature);
  }
}

function isLongList(list: unknown): boolean {
  return Array.isArray(list) && list.length > MAX_LIST;
}

function isLongText(text: unknown): boolean {
  return typeof text === 'string' && text.length > MAX_NUMBER_TEXT;
}
