import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPayload, sampleOf } from '../../src/core/payload.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string) => readPayload(bytes(text));

describe('a payload', () => {
  test.each([
    ['1', 1],
    [' 1\r\n', 1],
    ['1\0', 1],
    ['4.30', 4.3],
    ['-3', -3],
    ['true', true],
    ['false', false],
    ['ON', 'ON'],
    ['"Fridge door"', 'Fridge door'],
    ['"1"', '1'],
    ['412.7g', '412.7g'],
    ['007', '007'],
    ['1e999', '1e999'],
    ['[D][sensor:094]: text', '[D][sensor:094]: text'],
    ['2026-11-20T07:15:03.123456+00:00', '2026-11-20T07:15:03.123456+00:00'],
  ])('%j is the value %j', (text, value) => {
    expect(read(text)).toMatchObject({ kind: 'scalar', value });
  });

  test('is taken apart where it is JSON', () => {
    expect(read('{"contact":false}')).toMatchObject({ kind: 'json', value: { contact: false } });
    expect(read('\ufeff[1,2]\r\n')).toMatchObject({ kind: 'json', value: [1, 2] });
  });

  test.each(['', ' \r\n', '\0', 'unknown', 'Unavailable', 'None', 'null', 'NaN', '"unavailable"', '""'])(
    '%j is no reading',
    (text) => {
      expect(read(text)).toMatchObject({ kind: 'ignored' });
    },
  );

  test('that is cut off is refused', () => {
    expect(read('{"door":"open"')).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('JSON'),
    });
    expect(read('{"weight": NaN}')).toMatchObject({ kind: 'refused' });
  });

  test('that is binary is refused', () => {
    expect(readPayload(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0x10))).toMatchObject({ kind: 'refused' });
    expect(read('a\0b')).toMatchObject({ kind: 'refused', reason: expect.stringContaining('binary') });
  });

  test('that is too large is refused', () => {
    expect(read('x'.repeat(65_536))).toMatchObject({ kind: 'scalar' });
    expect(read('x'.repeat(65_537))).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('65537'),
    });
  });

  test('that is nested too deep is refused, brackets in strings aside', () => {
    const list = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
    expect(read(list(100)).kind).toBe('json');
    expect(read(list(101))).toMatchObject({ kind: 'refused', reason: expect.stringContaining('100 levels') });
    expect(read('{"a":'.repeat(13_000)).kind).toBe('refused');
    expect(read(JSON.stringify({ a: '\\"[{'.repeat(500) })).kind).toBe('json');
  });

  test('full of white space takes no time', () => {
    const started = performance.now();
    read(`x${' '.repeat(65_000)}x`);
    expect(performance.now() - started).toBeLessThan(100);
  });

  test('of any bytes is read or refused, never thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        expect(['json', 'scalar', 'ignored', 'refused']).toContain(readPayload(any).kind);
        expect(sampleOf(any, 20).length).toBeLessThanOrEqual(20);
      }),
    );
  });
});

test('a sample is bounded and without control characters', () => {
  expect(sampleOf(bytes('\u001b[0;36mHello\0\u0007'))).toBe(' [0;36mHello  ');
  expect(sampleOf(bytes('ä'.repeat(1_000)))).toBe('ä'.repeat(200));
});
