import { describe, expect, test } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { Key, SumKey, ValueKey } from '../../src/core/delivery/state.ts';
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

/** Two of ours stand on forty of somebody else's, unless `more` says otherwise. */
function counting(more: Partial<SumKey> = {}): Ledger {
  return setup({ kind: 'sum', attribute: 'water', day: DAY, amount: units(2) }, (key) =>
    key.kind === 'sum' ? { ...key, base: units(40), ours: units(2), seen: units(42), ...more } : key,
  );
}

function writing(more: Partial<ValueKey>): Ledger {
  return setup(
    { kind: 'value', attribute: 'water', day: DAY, pick: 'last', at: NOON, value: units(2) },
    (key) => (key.kind === 'value' ? { ...key, ...more } : key),
  );
}

type Contribution = Parameters<Ledger['journal']['add']>[0]['contributions'][number];

function enter(ledger: Ledger, contribution: Contribution): void {
  ledger.journal.transact(() =>
    ledger.journal.add({
      receivedAt: NOON,
      topic: 'tap',
      verdict: 'accepted',
      delivery: undefined,
      contributions: [contribution],
      reason: undefined,
      sample: undefined,
    }),
  );
}

function setup(contribution: Contribution, change: (key: Key) => Key): Ledger {
  const ledger = Ledger.open(temporaryFolder());
  ledger.delivery.want([WANTED], NOON);
  enter(ledger, contribution);
  ledger.delivery.transact(
    ({ account, attributes, keys }) => ({
      account,
      attributes: [...attributes.values()].map((one) => ({ ...one, existName: 'water', state: 'ready' })),
      keys: [...keys.values()].map(change),
      notes: [],
      finished: undefined,
      call: undefined,
      wakeAt: undefined,
    }),
    NOON,
  );
  return ledger;
}

function renamed(ledger: Ledger): Key | undefined {
  ledger.delivery.want([{ ...WANTED, label: 'Drinks' }], NOON);
  const key = ledger.delivery.key('water', DAY);
  ledger.close();
  return key;
}

describe('an attribute under another label is another one', () => {
  test('and nothing of what others counted is carried over', () => {
    const ledger = counting();
    ledger.delivery.want([{ ...WANTED, label: 'Drinks' }], NOON);
    expect(ledger.delivery.attributes().get('water')).toMatchObject({ existName: null, state: 'wanted' });
    expect(ledger.delivery.key('water', DAY)).toMatchObject({ base: null, seen: null, ours: units(2) });
    ledger.close();
  });

  test('what may have arrived in the one before is held, for nobody can read it back there', () => {
    const key = renamed(counting({ ours: units(0), flight: 'unknown', flightAmount: units(2) }));
    expect(key).toMatchObject({ base: null, flight: 'unknown', flightAmount: units(2) });
    expect(key?.held?.reason).toMatch(/another attribute at Exist by now.*whether 2 arrived/);
  });

  test('what was booked and is still missing in the one before is held as well', () => {
    const key = renamed(counting({ seen: units(40), repair: true }));
    expect(key).toMatchObject({ repair: false, ours: units(0), flightAmount: units(2) });
    expect(key?.held).toMatchObject({ state: 'conflict' });
  });

  test('a total that the user set is written to the new one', () => {
    const key = renamed(counting({ fixed: { total: units(50), by: 'user' }, repair: true }));
    expect(key).toMatchObject({ fixed: { total: units(50) }, held: null, lookAt: NOON });
  });

  test('a value that waits is written to the new one, also where it may stand in the one before', () => {
    expect(renamed(writing({ openSince: null, flight: 'unknown', flightValue: units(2) }))).toMatchObject({
      flight: 'none',
      delivered: null,
      openSince: NOON,
      closed: false,
    });
  });

  test('a value that was delivered stays with the one before, and nothing waits', () => {
    expect(renamed(writing({ openSince: null, delivered: units(2) }))).toMatchObject({ closed: true });
  });
});

test('in another group it is the same, and the group is kept', () => {
  const ledger = counting();
  ledger.delivery.want([{ ...WANTED, group: 'health' }], NOON);
  expect(ledger.delivery.attributes().get('water')).toMatchObject({ existName: 'water', group: 'health' });
  expect(ledger.delivery.key('water', DAY)).toMatchObject({ base: units(40) });
  ledger.close();
});

test('a day that was done before the attribute was another one is begun anew by a late count', () => {
  const ledger = counting({ closed: true, openSince: null });
  ledger.delivery.want([{ ...WANTED, label: 'Drinks' }], NOON);
  enter(ledger, { kind: 'sum', attribute: 'water', day: DAY, amount: units(1) });
  expect(ledger.delivery.key('water', DAY)).toMatchObject({
    closed: false,
    base: null,
    ours: units(2),
    total: units(3),
    openSince: NOON,
  });
  ledger.close();
});

test('a late reading of a day that was done is written, also where the same was written before', () => {
  const ledger = writing({ closed: true, openSince: null, delivered: units(2) });
  enter(ledger, {
    kind: 'value',
    attribute: 'water',
    day: DAY,
    pick: 'last',
    at: (NOON + 1) as EpochMs,
    value: units(2),
  });
  expect(ledger.delivery.key('water', DAY)).toMatchObject({
    closed: false,
    delivered: null,
    openSince: NOON,
  });
  ledger.close();
});
