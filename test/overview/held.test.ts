import { expect, test } from 'vitest';
import { newSumKey, type SumKey } from '../../src/core/delivery/state.ts';
import { units } from '../core/delivery/bench.ts';
import { heldAttribute, NOON, statusOf, TODAY } from './setup.ts';

/** Two of unknown outcome, and three that came after them. */
const conflict: SumKey = {
  ...newSumKey('water', TODAY, units(5), NOON),
  flight: 'unknown',
  flightAmount: units(2),
  held: { state: 'conflict', reason: 'nobody can tell', since: NOON },
};
const ready = { ...heldAttribute, state: 'ready' } as const;

test('counts that came after the amount in doubt are told apart from it', () => {
  expect(statusOf({ attributes: [ready], keys: [conflict] }).held).toMatchObject([{ amount: 5, behind: 3 }]);
});

test('all of a day that Exist refused is what is settled', () => {
  const held = { state: 'refused', reason: 'too large', since: NOON } as const;
  const refused: SumKey = { ...conflict, flight: 'none', flightAmount: units(0), held };
  expect(statusOf({ attributes: [ready], keys: [refused] }).held).toMatchObject([{ amount: 5, behind: 0 }]);
});
