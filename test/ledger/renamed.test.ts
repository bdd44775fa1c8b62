import { expect, test } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { EpochMs, LocalDate } from '../../src/core/time.ts';
import { units } from '../core/delivery/bench.ts';
import { temporaryFolder } from '../support/folder.ts';

const DAY = '2026-11-24' as LocalDate;
const NOON = Date.parse('2026-11-24T12:00:00Z') as EpochMs;
const WANTED = {
  name: 'water',
  template: null,
  label: 'Water',
  group: 'food',
  valueType: 'integer',
  wantedMode: null,
} as const;

function setup() {
  const ledger = Ledger.open(temporaryFolder());
  ledger.delivery.want([WANTED]);
  ledger.journal.transact(() =>
    ledger.journal.add({
      receivedAt: NOON,
      topic: 'tap',
      verdict: 'accepted',
      delivery: undefined,
      contributions: [{ kind: 'sum', attribute: 'water', day: DAY, amount: units(2) }],
      reason: undefined,
      sample: undefined,
    }),
  );
  // Two of ours stand on forty of somebody else's.
  ledger.delivery.transact(
    ({ account, attributes, keys }) => ({
      account,
      attributes: [...attributes.values()].map((one) => ({ ...one, existName: 'water', state: 'ready' })),
      keys: [...keys.values()].map((key) =>
        key.kind === 'sum' ? { ...key, base: units(40), ours: units(2), seen: units(42) } : key,
      ),
      notes: [],
      finished: undefined,
      call: undefined,
      wakeAt: undefined,
    }),
    NOON,
  );
  return ledger;
}

test('an attribute under another label is another one: nothing of what others counted is carried over', () => {
  const ledger = setup();
  ledger.delivery.want([{ ...WANTED, label: 'Drinks' }]);
  expect(ledger.delivery.attributes().get('water')).toMatchObject({ existName: null, state: 'wanted' });
  expect(ledger.delivery.key('water', DAY)).toMatchObject({ base: null, seen: null, ours: units(2) });
  ledger.close();
});

test('in another group it is the same, and the group is kept', () => {
  const ledger = setup();
  ledger.delivery.want([{ ...WANTED, group: 'health' }]);
  expect(ledger.delivery.attributes().get('water')).toMatchObject({ existName: 'water', group: 'health' });
  expect(ledger.delivery.key('water', DAY)).toMatchObject({ base: units(40) });
  ledger.close();
});
