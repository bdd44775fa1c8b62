/**
 * What no single key can tell: whether the parts of a configuration fit each other.
 *
 * Works on the value as it stands in the file, so that a mistake in one place does not hide those in others:
 * what is not of the right kind is passed over here, the schema has told of it.
 */
import {
  isIncrementable,
  isTimeOfDay,
  isWholeNumber,
  VALUE_TYPES,
  type ValueType,
} from '../core/attribute.ts';
import { TEMPLATES } from '../core/templates.ts';
import { connectionFindings } from './connections.ts';
import { credentialFindings } from './credentials.ts';
import { readListener } from './listeners.ts';
import { operationsIn } from './mapping.ts';
import { PICKS, type OperationName } from './operations.ts';
import { nearest, type Path, type Finding } from './problem.ts';

/** Compiles an expression; what is wrong with it, or `undefined`. */
export type CheckExpression = (
  source: string,
) => { readonly message: string; readonly offset?: number } | undefined;

export function findConflicts(root: unknown, checkExpression: CheckExpression): Finding[] {
  const { exist, broker, web, demo, attributes, mappings } = asRecord(root);
  const entries = new Map(
    Object.entries(asRecord(attributes)).map(([name, given]) => [name, asRecord(given)]),
  );
  return [
    ...credentialFindings(asRecord(exist)),
    ...listenerFindings(broker, web, asRecord(exist)),
    ...connectionFindings(root),
    ...demoFindings(broker, asRecord(demo)),
    ...attributeFindings(entries),
    ...mappingFindings(Array.isArray(mappings) ? mappings : [], entries, checkExpression),
  ];
}

type Entry = Readonly<Record<string, unknown>>;

function asRecord(candidate: unknown): Entry {
  return typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate)
    ? (candidate as Entry) // An object that is no list is read by its keys, whatever it is.
    : {};
}

/** Two listeners cannot have one port. Port 0 is any free one. */
function listenerFindings(broker: unknown, web: unknown, exist: Entry): Finding[] {
  const taken = new Map<string, string>();
  const findings: Finding[] = [];
  const take = (port: string | undefined, path: Path, what: string) => {
    if (port === undefined || port === '0') return;
    const other = taken.get(port);
    if (other === undefined) taken.set(port, what);
    else findings.push({ path, message: `${other} listens on port ${port} too`, hint: 'write another port' });
  };
  const listen = asRecord(broker)['listen'] ?? (broker === false ? [] : 'mqtt://127.0.0.1:1883');
  const urls: unknown[] = Array.isArray(listen) ? listen : [listen];
  const ofOneHost = new Set<unknown>();
  urls.forEach((url, index) => {
    const path = Array.isArray(listen) ? ['broker', 'listen', index] : ['broker', 'listen'];
    const read = typeof url === 'string' ? readListener(url) : '';
    if (typeof read !== 'object') return;
    const { host } = read;
    const port = String(read.port);
    // The same port on 127.0.0.1 and [::1] is two listeners.
    if (port !== '0' && ofOneHost.has(`${host}:${port}`)) {
      findings.push({ path, message: 'this listener stands here twice', hint: 'keep one of them' });
    }
    ofOneHost.add(`${host}:${port}`);
    if (!taken.has(port)) take(port, path, 'the broker');
  });
  const address = asRecord(web)['listen'] ?? '127.0.0.1:8088';
  if (web !== false && typeof address === 'string') {
    take(/:(\d+)$/.exec(address.trim())?.[1], ['web', 'listen'], 'the web page');
  }
  const { url, sandbox_port: port } = exist;
  if (url === 'sandbox' && typeof port === 'number')
    take(String(port), ['exist', 'sandbox_port'], 'the sandbox');
  return findings;
}

function demoFindings(broker: unknown, demo: Entry): Finding[] {
  if (broker !== false || demo['fridge_door'] === undefined) return [];
  const message = 'the simulated door needs the embedded broker';
  return [{ path: ['demo', 'fridge_door'], message, hint: 'take out `broker: false`, or this' }];
}

function attributeFindings(entries: ReadonlyMap<string, Entry>): Finding[] {
  const findings: Finding[] = [];
  const labels = new Map<string, string>();
  const templates = new Map<string, string>();
  for (const [name, { template, label, type }] of entries) {
    const path = ['attributes', name];
    if (typeof template === 'string') {
      const known = TEMPLATES.get(template);
      if (known && type !== undefined && type !== known.valueType) {
        const message = `Exist’s template ${template} is of type ${known.valueType}`;
        findings.push({ path: [...path, 'type'], message, hint: 'take the type out' });
      }
      if (!known && type === undefined) {
        const meant = nearest(template, TEMPLATES.keys());
        const hint = `${meant === undefined ? '' : `did you mean ${meant}? Else `}write its type too`;
        findings.push({ path: [...path, 'template'], message: 'this template is not known here', hint });
      }
      const other = templates.get(template);
      if (other !== undefined) {
        const message = `the attribute ${other} is this template already`;
        findings.push({ path: [...path, 'template'], message, hint: 'use one name for both' });
      }
      templates.set(template, name);
      continue;
    }
    if (type === undefined) {
      const hint =
        'write what its values are: type: integer, decimal, text, minutes, time_of_day, percentage, boolean or scale';
      findings.push({ path: [...path, 'type'], message: 'the type is missing', hint, isMissing: true });
    }
    // Exist names attributes after their labels: equal ones would be one attribute.
    const slug = slugOf(typeof label === 'string' ? label : labelOf(name));
    const other = labels.get(slug);
    if (other !== undefined) {
      const message = `Exist cannot tell its label from that of ${other}`;
      findings.push({
        path: label === undefined ? path : [...path, 'label'],
        message,
        hint: 'write another label',
      });
    }
    labels.set(slug, name);
  }
  return findings;
}

/** `fridge_opens` in words. */
export function labelOf(name: string): string {
  const words = name.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function slugOf(label: string): string {
  return label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '_');
}

function isValueType(candidate: unknown): candidate is ValueType {
  return VALUE_TYPES.some((type) => type === candidate);
}

/** The type of an attribute, where the file tells one that is known. */
function typeOf(name: string, entries: ReadonlyMap<string, Entry>): ValueType | undefined {
  const entry = entries.get(name);
  if (!entry) return TEMPLATES.get(name)?.valueType;
  const { template, type } = entry;
  const ofTemplate = typeof template === 'string' ? TEMPLATES.get(template)?.valueType : undefined;
  return ofTemplate ?? (isValueType(type) ? type : undefined);
}

/** How the contributions of a mapping become the day's value: all mappings of an attribute must agree. */
interface Way {
  readonly text: string;
  readonly index: number;
}

function mappingFindings(
  mappings: readonly unknown[],
  entries: ReadonlyMap<string, Entry>,
  checkExpression: CheckExpression,
): Finding[] {
  const findings: Finding[] = [];
  const ways = new Map<string, Way>();
  mappings.forEach((given, index) => {
    const mapping = asRecord(given);
    const path = ['mappings', index];
    for (const key of ['value', 'if', 'id', 'at', 'age']) {
      findings.push(...expressionFindings(mapping[key], [...path, key], checkExpression));
    }
    const { instance } = asRecord(mapping['rise']);
    findings.push(...expressionFindings(instance, [...path, 'rise', 'instance'], checkExpression));
    const { attribute } = mapping;
    if (typeof attribute !== 'string' || attribute.trim() === '') return;
    const name = attribute.trim();
    if (!entries.has(name) && !TEMPLATES.has(name)) {
      const meant = nearest(name, [...entries.keys(), ...TEMPLATES.keys()]);
      const hint = `${meant === undefined ? '' : `did you mean ${meant}? Else `}describe it under attributes: <name>: { type: integer }`;
      const message = 'no attribute and no template of Exist has this name';
      findings.push({ path: [...path, 'attribute'], message, hint });
      return;
    }
    const [operation, ...more] = operationsIn(mapping);
    if (operation === undefined || more.length > 0) return;
    const settings = asRecord(mapping[operation]);
    const type = typeOf(name, entries);
    const misfit = type && misfitOf(operation, settings, type, [...path, operation]);
    if (misfit) findings.push(misfit);
    const text = wayOf(operation, settings);
    const first = ways.get(name);
    if (!first) ways.set(name, { text, index });
    else if (first.text !== text) {
      const message = `mappings of one attribute must agree: this one ${text}, mappings[${first.index}] ${first.text}`;
      findings.push({ path: [...path, operation], message, hint: 'use another attribute for one of them' });
    }
  });
  return findings;
}

function expressionFindings(source: unknown, path: Path, check: CheckExpression): Finding[] {
  if (typeof source !== 'string' || source === '' || source.length > 4_000) return [];
  const problem = check(source);
  if (!problem) return [];
  const { message, offset } = problem;
  return [{ path, message, isQuoting: true, ...(offset !== undefined && { index: offset }) }];
}

function wayOf(operation: OperationName, { pick }: Entry): string {
  if (operation !== 'set' && operation !== 'time') return 'adds up';
  // One that is not known is not repeated: the schema has told of it.
  const chosen = PICKS.find((known) => known === pick) ?? (operation === 'set' ? 'last' : 'first');
  return `writes the ${chosen} value of the day`;
}

/** Why an attribute of `type` cannot take what the operation contributes. */
function misfitOf(
  operation: OperationName,
  { pick, round }: Entry,
  type: ValueType,
  path: Path,
): Finding | undefined {
  const kind = type.replaceAll('_', ' ');
  switch (operation) {
    case 'count':
      if (type === 'percentage') {
        return {
          path,
          message: 'the attribute is a percentage, and one event would be 100 %',
          hint: 'give it the type integer',
        };
      }
      return sumMisfit(type, kind, path);
    case 'add':
    case 'rise':
      return sumMisfit(type, kind, path);
    case 'duration':
      if (type === 'percentage')
        return {
          path,
          message: 'the attribute is a percentage, not minutes',
          hint: 'give it the type minutes',
        };
      return sumMisfit(type, kind, path);
    case 'time':
      if (isTimeOfDay(type)) return undefined;
      return {
        path,
        message: `the attribute is of type ${kind}, which holds no time of day`,
        hint: 'give it the type time_of_day',
      };
    case 'set':
      if (type === 'text' && pick !== undefined && pick !== 'last' && pick !== 'first') {
        return {
          path: [...path, 'pick'],
          message: 'texts have no order and no mean',
          hint: 'write first or last',
        };
      }
      if (round !== undefined && round !== 0 && (type === 'text' || isWholeNumber(type))) {
        return {
          path: [...path, 'round'],
          message: `the attribute is of type ${kind}, which has no decimal places`,
          hint: 'take it out',
        };
      }
      return undefined;
  }
}

function sumMisfit(type: ValueType, kind: string, path: Path): Finding | undefined {
  if (isIncrementable(type)) return undefined;
  const hint = 'use set, or give it the type integer, decimal or minutes';
  return { path, message: `the attribute is of type ${kind}, which cannot be added up`, hint };
}
