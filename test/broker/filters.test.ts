import fc from 'fast-check';
import { expect, test } from 'vitest';
import { filterTest, FilterTrie } from '../../src/core/topic.ts';
import { SubscriptionTree } from '../../src/broker/filters.ts';

test.each([
  ['home/door', 'home/door', true],
  ['home/door', 'home', false],
  ['home/+', 'home/door', true],
  ['home/+', 'home/', true],
  ['home/+', 'home', false],
  ['home/#', 'home', true],
  ['home/#', 'homes', false],
  ['home/#', 'home/a/b', true],
  ['+/door', '/door', true],
  ['#', '/', true],
  ['#', '$SYS/a', false],
  ['+/a', '$SYS/a', false],
  ['$SYS/#', '$SYS/a', true],
  ['$SYS/+', '$SYS/a', true],
])('%s and %s: %s', (filter, topic, matches) => {
  expect(filterTest(filter)(topic)).toBe(matches);
  const tree = new SubscriptionTree();
  tree.add(filter, 'client', { qos: 1 });
  expect(tree.match(topic)).toEqual(matches ? [{ clientId: 'client', filter, options: { qos: 1 } }] : []);
});

const name = fc.array(fc.constantFrom('', 'a', 'b', '$'), { minLength: 1, maxLength: 4 });
const topics = name.map((levels) => levels.join('/')).filter((topic) => topic !== '');
const filters = fc
  .tuple(fc.array(fc.constantFrom('', 'a', 'b', '$', '+'), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');

test('both directions agree with the matching of mappings, also after subscriptions went', () => {
  fc.assert(
    fc.property(topics, fc.uniqueArray(filters, { maxLength: 8 }), fc.nat(8), (topic, all, gone) => {
      const trie = new FilterTrie<string>();
      const tree = new SubscriptionTree();
      for (const filter of all) tree.add(filter, filter, { qos: 2 });
      for (const filter of all.slice(0, gone)) tree.remove(filter, filter);
      const left = all.slice(gone);
      for (const filter of left) trie.add(filter, filter);
      const expected = trie.match(topic).sort();
      expect(
        tree
          .match(topic)
          .map(({ clientId }) => clientId)
          .sort(),
      ).toEqual(expected);
      expect(left.filter((filter) => filterTest(filter)(topic)).sort()).toEqual(expected);
    }),
    { numRuns: 1_000 },
  );
});
