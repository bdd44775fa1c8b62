/** What a life of the delivery is made of, and what is told of it. */
import type { ValueType } from '../../src/core/attribute.ts';
import type { Attribute, Mode, Settings } from '../../src/core/delivery/state.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { readyAttribute } from '../core/delivery/bench.ts';
import type { Fault } from './exist-model.ts';
import type { JudgingMutant } from './mutants.ts';

/** Every life begins then, with such settings. */
export const START = Date.parse('2026-03-27T08:00:00Z') as EpochMs;
export const SETTINGS: Settings = {
  settleMs: 90_000,
  callsPerHour: 300,
  flushEveryMs: 300_000,
  lingerMs: 2_000,
  batch: 35,
  timezone: 'UTC',
};

/** What a defect would look like; each one must be caught. */
export type Mutant =
  | JudgingMutant
  | 'no-write-ahead'
  | 'no-settle'
  | 'no-judge'
  | 'no-audit'
  | 'blind-retry'
  | 'two-dates-of-one-name'
  /** Of a copy put back. */
  | 'older-copy-trusted';

export interface Sensor {
  readonly name: string;
  readonly valueType: ValueType;
  /** What its mapping makes of a reading. */
  kind: 'sum' | 'value';
}

export const SENSORS: readonly Sensor[] = [
  { name: 'fridge', valueType: 'integer', kind: 'sum' },
  { name: 'water', valueType: 'decimal', kind: 'sum' },
  { name: 'coffee', valueType: 'decimal', kind: 'sum' },
  { name: 'weight', valueType: 'decimal', kind: 'value' },
  { name: 'mood', valueType: 'text', kind: 'value' },
];

export interface Verdict {
  readonly seed: number;
  /** What is wrong, if anything: sentences with attribute and day. */
  readonly deviations: readonly string[];
  readonly calls: number;
  readonly held: number;
  /** What the devices, the network and the power did, in its order. */
  readonly story: readonly Incident[];
}

/** One thing that happened; another run can be confined to some of them by name. */
export interface Incident {
  readonly name: string;
  readonly text: string;
}

export interface Scenario {
  readonly seed: number;
  readonly mode: Mode;
  readonly mutant?: Mutant;
  /** Faults that may occur; all by default. Where there are none, the power does not go either. */
  readonly faults?: readonly Fault[];
  /** The latest that a request is applied after it was sent; without a bound by default. */
  readonly latestMs?: number;
  /** Nothing may deviate or be held, be it reported or not. */
  readonly isExact?: boolean;
  /** Names of the incidents that may happen; all by default. */
  readonly only?: ReadonlySet<string>;
}

/** As it is when all is well. */
export function attributeOf({ name, valueType }: Sensor, mode: Mode): Attribute {
  return readyAttribute(name, { valueType, wantedMode: mode, mode, createdByUs: mode === 'strict' });
}
