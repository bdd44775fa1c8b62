import { describe, expect, it } from 'vitest';
import { compileMappings } from '../../src/config/mappings.ts';
import { configOf, withMappings } from './setup.ts';

function compile(...mappings: readonly string[]) {
  return compileMappings(configOf(withMappings(...mappings)));
}

function operationOf(mapping: string) {
  return compile(mapping)[0]?.mapping.operation;
}

describe('a compiled mapping', () => {
  it('has what the engine needs, and its expressions apart', () => {
    const compiled = compile(
      'attribute: litres, value: a.b, if: c, id: d, at: e, age: f, scale: 2, offset: 1, range: [0, 9], debounce: 3s, rise: { max_step: 4, instance: g, reset: ignore }',
    );
    expect(compiled).toEqual([
      {
        mapping: {
          key: 'litres: rise of home/door at a.b × 2',
          filters: ['home/door'],
          attribute: 'litres',
          valueType: 'decimal',
          scale: 2,
          offset: 1,
          range: [0, 9],
          debounceMs: 3_000,
          operation: { kind: 'rise', reset: 'ignore', maxStep: 4 },
        },
        expressions: { value: 'a.b', if: 'c', id: 'd', at: 'e', age: 'f', instance: 'g' },
        line: 11,
      },
    ]);
  });

  it('carries out what its operation says', () => {
    const open = { kind: 'oneOf', values: ['open'] };
    expect(operationOf('attribute: opens, count: { when: open, hold: 15s, by: 2 }')).toEqual({
      kind: 'count',
      on: 'change',
      when: open,
      holdMs: 15_000,
      by: 2_000_000,
    });
    expect(operationOf('attribute: opens, count: { each: any }')).toEqual({
      kind: 'count',
      on: 'message',
      each: 'any',
      by: 1_000_000,
    });
    expect(operationOf('attribute: opens, count: { each: { above: 5, hysteresis: 1 } }')).toMatchObject({
      each: { kind: 'above', limit: 5, hysteresis: 1 },
    });
    expect(operationOf('attribute: opens, add:')).toEqual({ kind: 'add' });
    expect(operationOf('attribute: opens, rise: {}')).toEqual({ kind: 'rise', reset: 'zero' });
    expect(operationOf('attribute: open_time, duration: { while: { below: 5 }, max: 4h }')).toEqual({
      kind: 'duration',
      while: { kind: 'below', limit: 5, hysteresis: 0 },
      maxMs: 14_400_000,
    });
    expect(operationOf('attribute: litres, set: { pick: mean, round: 1 }')).toEqual({
      kind: 'set',
      pick: 'mean',
      round: 1,
    });
    expect(operationOf('attribute: first_open, time: { of: { between: [1, 2] } }')).toEqual({
      kind: 'time',
      of: { kind: 'between', low: 1, high: 2 },
      pick: 'first',
    });
  });
});

describe('the key of a mapping', () => {
  const keys = (...mappings: readonly string[]) => compile(...mappings).map(({ mapping }) => mapping.key);

  it('stays while attribute, operation, topics and value do', () => {
    const [key] = keys('attribute: opens, value: contact, count: { when: open }');
    expect(key).toBe('opens: count of home/door at contact');
    expect(keys('attribute: opens, value: contact, debounce: 1s, count: { when: false, hold: 2s }')).toEqual([
      key,
    ]);
    expect(keys('attribute: opens, value: state, count: { when: open }')).not.toEqual([key]);
  });

  it('does not depend on the order of topics', () => {
    const of = (topics: string) =>
      compileMappings(
        configOf(withMappings('attribute: opens, add: {}').replace('topic: home/door', `topic: ${topics}`)),
      );
    expect(of('[a, b]')[0]?.mapping.key).toBe(of('[b, a]')[0]?.mapping.key);
  });

  it('is another one for a meter in another scale, whose last reading would be wrong', () => {
    expect(keys('attribute: litres, scale: 0.1, rise: {}')).not.toEqual(keys('attribute: litres, rise: {}'));
    expect(keys('attribute: litres, scale: 0.1, add: {}')).toEqual(keys('attribute: litres, add: {}'));
  });

  it('is numbered where several mappings have the same', () => {
    const same = 'attribute: opens, count: { each: single }';
    expect(keys(same, same, same)).toEqual([
      'opens: count of home/door',
      'opens: count of home/door #2',
      'opens: count of home/door #3',
    ]);
  });
});
