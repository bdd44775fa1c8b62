import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseNumber } from '../../src/core/number.ts';

test.each([
  [7.5, 7.5],
  ['1', 1],
  [' 4.3\r\n', 4.3],
  ['0.00', 0],
  ['007', 7],
  ['+5', 5],
  ['-3', -3],
  ['\u22123', -3],
  ['.5', 0.5],
  ['5.', 5],
  ['412.7g', 412.7],
  ['21.5 °C', 21.5],
  ['72,4', 72.4],
  ['72,4 kg', 72.4],
  ['1,234', 1.234],
  ['1,234.5', 1234.5],
  ['1.234,5', 1234.5],
  ['1,234,567.8 W', 1234567.8],
  ['1.5e3', 1500],
  ['2E-2 m', 0.02],
  ['50%', 50],
  ['0.3 m³', 0.3],
  ['0.3 m3/h', 0.3],
  ['415 ppm CO2', 415],
  ['3600 seconds', 3600],
  ['5 €', 5],
  ['12eggs', 12],
])('%j is %d', (value, number) => {
  expect(parseNumber(value)).toBe(number);
});

test.each([
  true,
  false,
  NaN,
  Infinity,
  '',
  'on',
  'open',
  'g412',
  '1 2',
  '5 of 3',
  '5-10',
  '08:15',
  '2026-11-20',
  '192.168.0.122',
  '1.234.567',
  '100,200,300',
  '1,5.2',
  '1.2,3.4',
  '12,34.5',
  '0x1F',
  '1h30',
  '0T18:36:12',
  '- 5',
  '--5',
  '1e999',
  'Infinity',
  '9'.repeat(65),
  '1;2',
  '1/2',
])('%j is no number', (value) => {
  expect(parseNumber(value)).toBeUndefined();
});

test('every number survives being written', () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom('', ' W', 'kWh'),
      (value, unit) => {
        expect(parseNumber(`${value}${unit}`)).toBe(Number(String(value)));
      },
    ),
  );
});

test('hostile text takes no time', () => {
  const started = performance.now();
  for (const text of ['1'.repeat(64), '1,'.repeat(32), `1${' '.repeat(62)}1`, `1${'m'.repeat(62)}1`]) {
    for (let round = 0; round < 100; round += 1) parseNumber(text);
  }
  expect(performance.now() - started).toBeLessThan(200);
});
