/** The status of a daemon that knows only what `delivery` says, at noon of a day in UTC. */
import { readyAttribute } from '../core/delivery/bench.ts';
import { overview } from '../../src/overview.ts';
import { keyOf, newAccount, type Account, type Attribute, type Key } from '../../src/core/delivery/state.ts';
import type { Status } from '../../src/core/status.ts';
import { MINUTE_MS, type EpochMs, type LocalDate } from '../../src/core/time.ts';

export const TODAY = '2026-11-24' as LocalDate;
export const NOON = Date.parse('2026-11-24T12:00:00Z') as EpochMs;

interface Delivery {
  readonly account?: Partial<Account>;
  readonly attributes?: readonly Attribute[];
  readonly keys?: readonly Key[];
}

export function statusOf({ account, attributes = [], keys = [] }: Delivery): Status {
  return overview({
    version: '1.2.3',
    uptimeMs: 60_000,
    now: NOON,
    zone: 'UTC',
    timeProblem: undefined,
    existUrl: 'https://exist.io',
    delivery: {
      account: { ...newAccount(), lastSuccessAt: (NOON - 10 * MINUTE_MS) as EpochMs, ...account },
      attributes: new Map(attributes.map((attribute) => [attribute.name, attribute])),
      keys: new Map(keys.map((key) => [keyOf(key.attribute, key.day), key])),
    },
    keysOfDay: () => [],
    settings: { settleMs: 90_000, callsPerHour: 20, flushEveryMs: 5 * MINUTE_MS, lingerMs: 2_000, batch: 35 },
    counters: { accepted: 0, ignored: 0, refused: 0, duplicates: 0 },
    undated: 0,
    refused: [],
    broker: null,
    connections: [],
    silent: [],
    troubles: [],
  });
}

/** `water`, which cannot be written. */
export const heldAttribute = readyAttribute('water', { state: 'held', reason: 'not yours' });
