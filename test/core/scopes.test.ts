import { expect, test } from 'vitest';
import { missingScopes, scopesOf } from '../../src/core/scopes.ts';

const attribute = (
  template: string | null,
  group: string,
  wantedMode: 'strict' | 'shared' | null = null,
) => ({
  template,
  group,
  wantedMode,
});

test.each([
  ['a template: the group that Exist files it under', [attribute('water', 'custom')], 'food'],
  ['one that is created: its group, and the custom ones', [attribute(null, 'mood')], 'custom mood'],
  [
    'one that the user writes by hand as well: the manual ones',
    [attribute('mood', 'mood', 'shared')],
    'manual mood',
  ],
  ['several of a group: each once', [attribute('water', 'food'), attribute('coffees', 'food')], 'food'],
  ['none', [], ''],
])('%s', (_, attributes, groups) => {
  const expected = groups
    .split(' ')
    .flatMap((group) => (group === '' ? [] : [`${group}_read`, `${group}_write`]));
  expect(scopesOf(attributes)).toEqual(expected);
});

test.each([
  ['food_read food_write mood_read', []],
  ['food_read+mood_read', ['food_write']],
  // A list of another form tells nothing.
  ['', []],
  ['read write', []],
])('granted %j', (granted, missing) => {
  expect(missingScopes(['food_read', 'food_write', 'mood_read'], granted)).toEqual(missing);
});
