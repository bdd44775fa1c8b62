import fc from 'fast-check';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import { follow, parsePath } from '../../src/expression/path.ts';

function find(source: string, input: unknown): readonly unknown[] {
  const path = parsePath(source);
  if (!path) throw new Error(`${source} is no path`);
  return follow(path, input);
}

describe('a plain path', () => {
  test.each([
    ['contact', { contact: false }, [false]],
    [' ENERGY.Power ', { ENERGY: { Power: 92 } }, [92]],
    ['a.b[0]', { a: { b: [1, 2] } }, [1]],
    ['a.b[-1]', { a: { b: [1, 2] } }, [2]],
    ['a.b[5]', { a: { b: [1, 2] } }, []],
    ['a[0]', { a: 7 }, [7]],
    ['a', { a: null }, [null]],
    ['a.b', { a: null }, []],
    ['a.b', { a: 'text' }, []],
    ['length', 'text', []],
    ['`switch:0`.output', { 'switch:0': { output: true } }, [true]],
    ['events.event', { events: [{ event: 'a' }, {}, { event: 'b' }] }, ['a', 'b']],
    ['phases.power[0]', { phases: [{ power: [1, 2] }, { power: [3] }] }, [1, 3]],
    ['x', [{ x: 1 }, { x: [2, 3] }], [1, 2, 3]],
  ])('%s finds in %j: %j', (source, input, expected) => {
    expect(find(source, input)).toEqual(expected);
  });

  test.each(['constructor', '__proto__', 'toString', 'a.constructor', 'a.__proto__.x', 'hasOwnProperty'])(
    '%s finds nothing that was not sent',
    (source) => {
      expect(find(source, { a: {} })).toEqual([]);
    },
  );

  test('finds even odd keys that were sent', () => {
    expect(find('__proto__', JSON.parse('{"__proto__":1}'))).toEqual([1]);
  });

  test.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    'a + 1',
    '$',
    '$$.a',
    'a[b]',
    'a[0][1]',
    'true',
    'null',
    '1',
    '"a"',
    'a.*',
    'a-b',
    '`a',
    'x'.repeat(501),
  ])('%j is none', (source) => {
    expect(parsePath(source)).toBeUndefined();
  });

  test('finds what JSONata finds', async () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.oneof(fc.integer(), fc.boolean(), fc.constant('text')),
        fc.dictionary(key, tie('tree'), { maxKeys: 3 }),
        fc.array(tie('tree'), { maxLength: 3 }),
      ),
    }));
    const index = fc.constantFrom('', '', '', '[0]', '[1]', '[-1]');
    const path = fc
      .array(fc.tuple(key, index), { minLength: 1, maxLength: 3 })
      .map((steps) => steps.map(([name, at]) => name + at).join('.'));
    await fc.assert(
      fc.asyncProperty(path, tree, async (source, input) => {
        const expected: unknown = await jsonata(source).evaluate(input);
        const found = find(source, input);
        const list =
          expected === undefined ? [] : Array.isArray(expected) ? [...(expected as unknown[])] : [expected];
        // JSONata unwraps a list of one, we never do.
        const unwrapped = found.length === 1 && Array.isArray(found[0]) ? (found[0] as unknown[]) : found;
        const same = [JSON.stringify(found), JSON.stringify(unwrapped)];
        expect(same).toContain(JSON.stringify(list));
      }),
      { numRuns: 500 },
    );
  });
});
