import { describe, expect, test } from 'vitest';
import type { ValueType } from '../../../src/core/attribute.ts';
import type { Operation } from '../../../src/core/mapping/mapping.ts';
import type { Scalar } from '../../../src/core/reading.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { is, mapping, Player, units } from './player.ts';

const last: Operation = { kind: 'set', pick: 'last' };

function read(valueType: ValueType, value: Scalar, operation: Operation = last) {
  return new Player(mapping(operation, { valueType })).read(value);
}

describe('the value of a day', () => {
  test.each<[ValueType, Scalar, number | string]>([
    ['decimal', '72,45 kg', 72.45],
    ['decimal', -4.3, -4.3],
    ['integer', 72.5, 73],
    ['minutes', '90', 90],
    ['boolean', 'ON', 1],
    ['boolean', 0, 0],
    ['boolean', true, 1],
    ['percentage', 0.184, 0.184],
    ['scale', '7', 7],
    ['time_of_day', 450, 450],
    ['time_of_day', '07:30', 450],
    ['time_of_day', '07:30:59', 450],
    ['time_of_day_midday', '23:30', 690],
    ['time_of_day_midday', '00:30', 750],
    ['time_of_day_midday', 690, 690],
    ['text', 'brewing', 'brewing'],
    ['text', 7, '7'],
    ['text', true, 'true'],
  ])('of type %s is read from %j', (valueType, value, expected) => {
    expect(read(valueType, value)).toMatchObject({
      verdict: 'accepted',
      contributions: [
        { kind: 'value', pick: 'last', value: typeof expected === 'string' ? expected : units(expected) },
      ],
    });
  });

  test.each<[ValueType, Scalar]>([
    ['decimal', 'heavy'],
    ['decimal', true],
    ['decimal', 1e10],
    ['boolean', 'maybe'],
    ['boolean', 2],
    ['percentage', 18.4],
    ['percentage', -0.1],
    ['scale', 0],
    ['scale', 10],
    ['scale', 4.5],
    ['time_of_day', '24:00'],
    ['time_of_day', '7:60'],
    ['time_of_day', 1_440],
    ['time_of_day', -1],
    ['time_of_day', 'morning'],
    ['text', 'x'.repeat(1_001)],
  ])('of type %s is not read from %j', (valueType, value) => {
    const reaction = read(valueType, value);
    expect(reaction).toMatchObject({ verdict: 'refused', state: undefined, contributions: [] });
    expect(reaction.reason).toBeTruthy();
    expect(reaction.reason?.length).toBeLessThan(200);
  });

  test('says how it is picked and rounded', () => {
    const operation: Operation = { kind: 'set', pick: 'mean', round: 1 };
    expect(read('decimal', 20.55, operation).contributions).toMatchObject([
      { pick: 'mean', value: units(20.55), round: 1 },
    ]);
    expect(read('integer', 20.55, operation).contributions).toMatchObject([
      { value: units(20.55), round: 0 },
    ]);
  });

  test('is neither set by a replay nor by a retained first reading', () => {
    const weight = new Player(mapping(last));
    weight.read(72, 0, { retain: true });
    weight.replay(73, 1);
    expect(weight.contributions).toEqual([]);
    weight.read(74, 2, { retain: true });
    expect(weight.contributions).toHaveLength(1);
  });

  test('is measured before it is judged', () => {
    const fat = new Player(mapping(last, { valueType: 'percentage', scale: 0.01, range: [0.05, 0.6] }));
    expect(fat.read('18.4 %').contributions).toMatchObject([{ value: units(0.184) }]);
    expect(fat.read(90)).toMatchObject({
      verdict: 'refused',
      reason: '0.9 is outside of `range` 0.05 to 0.6',
    });
  });

  test('belongs to the local day of the event', () => {
    const weight = new Player(mapping(last));
    weight.readAt(72, Date.parse('2026-11-20T23:30:00Z') as EpochMs);
    expect(weight.contributions).toMatchObject([{ day: '2026-11-21' }]);
  });

  test('debounces', () => {
    const weight = new Player(mapping(last, { debounceMs: 60_000 }));
    weight.read(72, 0);
    weight.read(72, 30);
    weight.read(73, 60);
    expect(weight.contributions).toMatchObject([{ value: units(72) }, { value: units(73) }]);
  });
});

describe('the time of a change', () => {
  const wake: Operation = { kind: 'time', of: is('on'), pick: 'first' };
  const local = (text: string): EpochMs => Date.parse(text) as EpochMs;

  test('is in minutes from midnight, on the local date', () => {
    const motion = new Player(mapping(wake, { valueType: 'time_of_day' }));
    motion.readAt('off', local('2026-11-20T07:00:00+01:00'));
    motion.readAt('on', local('2026-11-20T07:12:59+01:00'));
    motion.readAt('on', local('2026-11-20T07:13:59+01:00'));
    expect(motion.contributions).toMatchObject([
      {
        kind: 'value',
        pick: 'first',
        day: '2026-11-20',
        value: units(432),
        at: local('2026-11-20T07:12:59+01:00'),
      },
    ]);
  });

  test('is in minutes from midday where the type asks for that', () => {
    const bed = new Player(mapping({ ...wake, pick: 'last' }, { valueType: 'time_of_day_midday' }));
    bed.readAt('on', local('2026-11-20T23:30:00+01:00'));
    bed.readAt('off', local('2026-11-20T23:45:00+01:00'));
    bed.readAt('on', local('2026-11-21T00:30:00+01:00'));
    expect(bed.contributions).toMatchObject([
      { day: '2026-11-20', value: units(690) },
      { day: '2026-11-21', value: units(750) },
    ]);
  });

  test('is what the clocks show on a day on which they change', () => {
    const motion = new Player(mapping(wake, { valueType: 'time_of_day' }));
    motion.readAt('on', local('2026-10-25T07:30:00+01:00'));
    expect(motion.contributions).toMatchObject([{ value: units(450) }]);
  });

  test('is of no replay and no retained first reading', () => {
    const motion = new Player(mapping(wake));
    motion.read('on', 0, { retain: true });
    motion.replay('off', 1);
    motion.replay('on', 2);
    motion.read('on', 3);
    expect(motion.contributions).toEqual([]);
  });

  test('debounces, and refuses words where a number is asked for', () => {
    const motion = new Player(mapping(wake, { debounceMs: 10_000 }));
    for (const [word, seconds] of [
      ['on', 0],
      ['off', 1],
      ['on', 2],
      ['off', 20],
      ['on', 21],
    ] as const)
      motion.read(word, seconds);
    expect(motion.contributions).toHaveLength(2);
    const power = new Player(mapping({ ...wake, of: { kind: 'above', limit: 5, hysteresis: 0 } }));
    expect(power.read('on').verdict).toBe('refused');
  });
});
