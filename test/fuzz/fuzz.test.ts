import { expect, test } from 'vitest';
import { KINDS, fuzz } from './fuzz.ts';

/** The short form; `npm run fuzz` throws a hundred thousand. */
const CASES: Readonly<Record<string, number>> = {
  mqtt: 1_500,
  http: 600,
  payload: 3_000,
  configuration: 400,
};
const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_124);

test.each(KINDS)('nothing that comes as $name harms', { timeout: 60_000 }, async (kind) => {
  const { failures } = await fuzz(kind, CASES[kind.name] ?? 0, SEED);
  expect(failures, `seed ${SEED}`).toEqual([]);
});
