import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FilterTrie } from '../../src/core/topic.ts';
import { disjointFilters } from '../../src/sources/disjoint.ts';

describe('subscriptions', () => {
  test.each([
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    [['a', 'a'], ['a']],
    [['home/#', 'home/+/door'], ['home/#']],
    [['home/#', 'home'], ['home/#']],
    [['home/+/door', 'home/fridge/+'], ['home/+/+']],
    [['home/+', '+/door', 'garden/x'], ['+/+']],
    [['+/x/#', 'a/+'], ['+/+/#']],
    [
      ['#', '$SYS/broker/uptime'],
      ['#', '$SYS/broker/uptime'],
    ],
    [
      ['a/b', 'a/b/c'],
      ['a/b', 'a/b/c'],
    ],
  ])('for %j are %j', (filters, expected) => {
    expect(disjointFilters(filters)).toEqual(expected);
  });

  const level = fc.constantFrom('a', 'b', '+', '');
  const filter = fc
    .tuple(fc.constantFrom('', '$S/'), fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([system, levels, isOpen]) => system + [...levels, ...(isOpen ? ['#'] : [])].join('/'))
    .filter((name) => name !== '');
  const topic = fc
    .tuple(
      fc.constantFrom('', '$S/'),
      fc.array(fc.constantFrom('a', 'b', ''), { minLength: 1, maxLength: 5 }),
    )
    .map(([system, levels]) => system + levels.join('/'))
    .filter((name) => name !== '');

  test('match each topic once that a mapping wants, and no topic twice', () => {
    fc.assert(
      fc.property(
        fc.array(filter, { maxLength: 6 }),
        fc.array(topic, { maxLength: 20 }),
        (filters, topics) => {
          const wanted = new FilterTrie<string>();
          for (const one of filters) wanted.add(one, one);
          const subscribed = new FilterTrie<string>();
          for (const one of disjointFilters(filters)) subscribed.add(one, one);
          for (const name of topics) {
            const copies = subscribed.match(name).length;
            expect(copies).toBeLessThanOrEqual(1);
            if (wanted.match(name).length > 0) expect(copies).toBe(1);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
