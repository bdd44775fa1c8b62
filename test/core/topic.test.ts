import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FilterTrie, filterProblem, topicProblem } from '../../src/core/topic.ts';

describe('topics', () => {
  test.each(['a', '/', 'a//b', '$SYS/x', 'zigbee2mqtt/kitchen/fridge door', 'ä'.repeat(1_000)])(
    '%s is one',
    (topic) => {
      expect(topicProblem(topic)).toBeUndefined();
    },
  );

  test.each(['', 'a/+', '#', 'a\0b', '\ud800', 'x'.repeat(65_536), 'ä'.repeat(40_000)])(
    '%j is none',
    (topic) => {
      expect(topicProblem(topic)).toMatch(/^a topic/);
    },
  );
});

describe('topic filters', () => {
  test.each(['#', '+', '/', 'a/#', 'a/+/b', '+/+', '/#', '$SYS/#'])('%s is one', (filter) => {
    expect(filterProblem(filter)).toBeUndefined();
  });

  test.each(['', 'a#', '#/a', 'a/#/b', 'a+', '+a/b', 'a\0', 'x'.repeat(65_536), '/'.repeat(300)])(
    '%j is none',
    (filter) => {
      expect(filterProblem(filter)).toBeTypeOf('string');
    },
  );
});

/** The rules of section 4.7, said as simply as possible. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') !== filter.startsWith('$')) return false;
  const levels = topic.split('/');
  const parts = filter.split('/');
  for (const [index, part] of parts.entries()) {
    if (part === '#') return true;
    if (index >= levels.length) return false;
    if (part !== '+' && part !== levels[index]) return false;
  }
  return parts.length === levels.length;
}

describe('the tree of filters', () => {
  test('finds what a walk through all filters finds', () => {
    const level = fc.constantFrom('a', 'b', '', '$SYS', 'c');
    const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'));
    fc.assert(
      fc.property(
        fc.array(filter, { maxLength: 12 }),
        fc.array(topic, { maxLength: 8 }),
        (filters, topics) => {
          const valid = filters.filter((one) => filterProblem(one) === undefined);
          const trie = new FilterTrie<number>();
          valid.forEach((one, index) => trie.add(one, index));
          for (const one of topics) {
            const expected = valid.flatMap((candidate, index) => (matches(candidate, one) ? [index] : []));
            expect(trie.match(one)).toEqual(expected);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('gives a value with overlapping filters once, and values in the order they were added', () => {
    const trie = new FilterTrie<string>();
    trie.add('home/#', 'first');
    trie.add('home/door', 'second');
    trie.add('home/+', 'first');
    expect(trie.match('home/door')).toEqual(['first', 'second']);
  });

  test('keeps filters that begin with a wildcard from the topics of the broker itself', () => {
    const trie = new FilterTrie<string>();
    trie.add('#', 'all');
    trie.add('+/broker/uptime', 'one');
    trie.add('$SYS/#', 'system');
    expect(trie.match('$SYS/broker/uptime')).toEqual(['system']);
    expect(trie.match('home/broker/uptime')).toEqual(['all', 'one']);
  });

  test('takes topics of any depth', () => {
    const trie = new FilterTrie<string>();
    trie.add('#', 'all');
    expect(trie.match('/'.repeat(65_000))).toEqual(['all']);
  });

  test('is not to be changed through what it gives', () => {
    const trie = new FilterTrie<string>();
    trie.add('a', 'one');
    trie.match('a').push('two');
    expect(trie.match('a')).toEqual(['one']);
  });
});
