/**
 * The configuration's mappings as the engine runs them, with their expressions beside them.
 */
import type { Mapping, Operation } from '../core/mapping/mapping.ts';
import type { Config, ConfiguredMapping } from './load.ts';

/** What is found in payloads by expressions; `value` and the others are as the user wrote them. */
export interface MappingExpressions {
  readonly value?: string;
  readonly if?: string;
  readonly id?: string;
  readonly at?: string;
  readonly age?: string;
  readonly instance?: string;
}

export interface CompiledMapping {
  readonly mapping: Mapping;
  readonly expressions: MappingExpressions;
  /** Where it stands in the file. */
  readonly line: number;
}

export function compileMappings(config: Pick<Config, 'mappings' | 'attributes'>): CompiledMapping[] {
  const taken = new Set<string>();
  return config.mappings.map((given) => {
    const attribute = config.attributes[given.attribute];
    if (!attribute) throw new Error(`mapping of line ${given.line} passed the checks without an attribute`);
    const { scale, offset, range, value, if: condition, id, at, age } = given;
    const operation = operationOf(given);
    const instance = given.rise?.instance;
    return {
      mapping: {
        key: unused(keyOf(given, operation), taken),
        filters: given.topic,
        attribute: given.attribute,
        valueType: attribute.type,
        scale,
        offset,
        ...(range !== undefined && { range }),
        debounceMs: given.debounce,
        operation,
      },
      expressions: {
        ...(value !== undefined && { value }),
        ...(condition !== undefined && { if: condition }),
        ...(id !== undefined && { id }),
        ...(at !== undefined && { at }),
        ...(age !== undefined && { age }),
        ...(instance !== undefined && { instance }),
      },
      line: given.line,
    };
  });
}

function operationOf(given: ConfiguredMapping): Operation {
  const { count, add, rise, duration, set, time } = given;
  if (count?.when) {
    return { kind: 'count', on: 'change', when: count.when, holdMs: count.hold, by: count.by };
  }
  if (count?.each) return { kind: 'count', on: 'message', each: count.each, by: count.by };
  if (add) return { kind: 'add' };
  if (rise) {
    const { reset, max_step: maxStep } = rise;
    return { kind: 'rise', reset, ...(maxStep !== undefined && { maxStep }) };
  }
  if (duration) {
    const { while: condition, max: maxMs } = duration;
    return { kind: 'duration', while: condition, ...(maxMs !== undefined && { maxMs }) };
  }
  if (set) return { kind: 'set', pick: set.pick, ...(set.round !== undefined && { round: set.round }) };
  if (time) return { kind: 'time', of: time.of, pick: time.pick };
  throw new Error(`mapping of line ${given.line} passed the checks without an operation`);
}

/**
 * What names the mapping's stored state: everything that would make that state another thing's. Whether a
 * condition or a debounce changes, the door is the same door; a meter in another scale is another meter.
 */
function keyOf({ attribute, topic, value, scale }: ConfiguredMapping, { kind }: Operation): string {
  const filters = [...topic].sort().join(', ');
  const at = value === undefined ? '' : ` at ${value}`;
  return `${attribute}: ${kind} of ${filters}${at}${kind === 'rise' && scale !== 1 ? ` × ${scale}` : ''}`;
}

/** The second mapping of one identity is `#2`, and so on, in the order of the file. */
function unused(key: string, taken: Set<string>): string {
  let candidate = key;
  for (let nth = 2; taken.has(candidate); nth += 1) candidate = `${key} #${nth}`;
  taken.add(candidate);
  return candidate;
}
