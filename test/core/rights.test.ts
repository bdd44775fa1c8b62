import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { covers, fillIn, grantProblem, permissionsOf } from '../../src/core/rights.ts';
import { filterProblem, filterTest } from '../../src/core/topic.ts';

const fridge = { user: 'fridge', clientId: 'esp-1' };

describe('placeholders', () => {
  test('%u is the name of the account, %c the client identifier', () => {
    expect(fillIn('home/%u/%c/#', fridge)).toBe('home/fridge/esp-1/#');
    expect(fillIn('home/door-%c', fridge)).toBe('home/door-esp-1');
    expect(fillIn('home/%x', fridge)).toBe('home/%x');
  });

  test('a name that looks like a placeholder is not filled in again', () => {
    expect(fillIn('home/%u', { user: '%c', clientId: 'secret' })).toBe('home/%c');
  });

  test.each(['+', '#', 'a/b', '/', '+/x', 'a#', '', 'a\0'])(
    'the client identifier %j grants nothing: it would widen the right',
    (clientId) => {
      const rights = { publish: ['home/%c'], subscribe: ['home/%c'] };
      const permissions = permissionsOf(rights, { user: 'fridge', clientId });
      for (const topic of [`home/${clientId}`, 'home/', 'home/other', 'home/a/b', 'home/x']) {
        expect(permissions.mayPublish(topic)).toBe(false);
        expect(permissions.maySubscribe(topic)).toBe(false);
      }
    },
  );

  test('a name that begins with $ does not reach the topics of the broker', () => {
    expect(fillIn('%c/#', { user: 'fridge', clientId: '$SYS' })).toBeUndefined();
    expect(fillIn('home/%c', { user: 'fridge', clientId: '$SYS' })).toBe('home/$SYS');
  });

  test('no client identifier whatever reaches beyond its own level', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 6 }),
        fc.constantFrom('home/%c', '%c/x', 'a/b%c/#'),
        (clientId, grant) => {
          const filled = fillIn(grant, { user: 'fridge', clientId });
          if (filled !== undefined) expect(covers(grant.replace(/[^/]*%c/, '+'), filled)).toBe(true);
        },
      ),
    );
  });
});

describe('rights', () => {
  test('what is not granted is denied', () => {
    const permissions = permissionsOf({ publish: [], subscribe: [] }, fridge);
    expect(permissions.mayPublish('home/fridge')).toBe(false);
    expect(permissions.maySubscribe('home/fridge')).toBe(false);
  });

  test('publishing and subscribing are granted apart', () => {
    const rights = { publish: ['home/fridge/#'], subscribe: ['home/+/command'] };
    const permissions = permissionsOf(rights, fridge);
    expect(permissions.mayPublish('home/fridge/door')).toBe(true);
    expect(permissions.mayPublish('home/fridge/command')).toBe(true);
    expect(permissions.mayPublish('home/oven/command')).toBe(false);
    expect(permissions.maySubscribe('home/fridge/command')).toBe(true);
    expect(permissions.maySubscribe('home/+/command')).toBe(true);
    expect(permissions.maySubscribe('home/fridge/door')).toBe(false);
    expect(permissions.maySubscribe('home/#')).toBe(false);
  });

  test.each([
    ['home/#/door', '# must stand alone'],
    ['home/%c+', '+ must stand alone'],
    ['', 'must not be empty'],
  ])('%j is no grant', (grant, reason) => {
    expect(grantProblem(grant)).toContain(reason);
    expect(grantProblem('home/%c/%u/#')).toBeUndefined();
  });
});

const level = fc.constantFrom('', 'a', 'b', '$s');
const topics = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');
const filters = fc
  .array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 3 })
  .chain((levels) => fc.constantFrom(levels, [...levels, '#'], ['#']))
  .map((levels) => levels.join('/'))
  .filter((filter) => filterProblem(filter) === undefined);

describe('a grant that covers a filter', () => {
  test.each([
    ['#', '+/#', true],
    ['+/#', '#', true],
    ['home/#', 'home', true],
    ['home/+', 'home/#', false],
    ['home/+/#', 'home/#', false],
    ['#', '$SYS/a', false],
    ['$SYS/#', '$SYS/+', true],
    ['+', '$a', false],
  ])('%s covers %s: %s', (grant, filter, expected) => {
    expect(covers(grant, filter)).toBe(expected);
  });

  test('matches every topic that the filter matches', () => {
    fc.assert(
      fc.property(filters, filters, topics, (grant, filter, topic) => {
        if (covers(grant, filter) && filterTest(filter)(topic)) expect(filterTest(grant)(topic)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('and one that does not misses a topic', () => {
    // Names that no grant has stand for any other.
    const samples = (filter: string): string[] => {
      const tail = filter.endsWith('#')
        ? [[], ['z'], ['z', 'z'], ['z', 'z', 'z'], ['z', 'z', 'z', 'z']]
        : [[]];
      const head = filter.split('/').filter((name) => name !== '#');
      const heads = head.map((name) => (name === '+' ? 'z' : name));
      return tail.map((more) => [...heads, ...more].join('/')).filter((topic) => topic !== '');
    };
    fc.assert(
      fc.property(filters, filters, (grant, filter) => {
        // `/#` matches the empty topic too, which nobody can publish to: denied all the same by `+/+/#`.
        if (covers(grant, filter) || filter === '/#') return;
        const isMissed = samples(filter).some(
          (topic) => filterTest(filter)(topic) && !filterTest(grant)(topic),
        );
        expect(isMissed).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
