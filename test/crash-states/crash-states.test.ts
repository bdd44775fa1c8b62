import { describe, expect, test } from 'vitest';
import { crashStates } from './crash-states.ts';
import { CANNOT_RECORD } from './recording.ts';
import { skipped } from '../support/skip.ts';

/** The short form; `npm run crash-states` makes thousands. */
const SHORT = { states: 120, seed: 20261124, rounds: 40 };

describe.skipIf(CANNOT_RECORD !== undefined)(`a power cut at any instant${skipped(CANNOT_RECORD)}`, () => {
  test('takes nothing that was acknowledged, doubles nothing, and leaves a database that opens', () => {
    const { findings, readings } = crashStates(SHORT);
    expect(findings).toEqual([]);
    expect(readings).toBeGreaterThan(50);
  });

  test('in the very first start leaves something to start again from', () => {
    expect(crashStates({ ...SHORT, rounds: 0 }).findings).toEqual([]);
  });

  test('takes acknowledged readings where SQLite is left at synchronous=NORMAL', () => {
    expect(crashStates({ ...SHORT, control: true }).lost).toBeGreaterThan(0);
  });
});
