import { expect, it } from 'vitest';
import { parseDuration, parseSize } from '../../src/config/duration.ts';

it.each([
  ['500ms', 500],
  ['5s', 5_000],
  [' 10m ', 600_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['1.5h', 5_400_000],
  ['0s', 0],
  ['5 s', 5_000],
])('reads the duration %j', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

it.each(['', '5', 's', '-5s', '5 minutes', '5S', '1h30m', '1e3s', '999999999999999d', '5s5'])(
  'takes %j for no duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

it.each([
  ['512B', 512],
  ['64kB', 64_000],
  ['64KiB', 65_536],
  ['1MB', 1_000_000],
  ['1.5MiB', 1_572_864],
])('reads the size %j', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

it.each(['', '64', '64kb', '64K', '1GB', '-1B'])('takes %j for no size', (text) => {
  expect(parseSize(text)).toBeUndefined();
});
