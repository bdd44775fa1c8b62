import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Condition } from '../../../src/core/condition.ts';
import { VALUE_TYPES } from '../../../src/core/attribute.ts';
import type { Operation } from '../../../src/core/mapping/mapping.ts';
import type { Scalar } from '../../../src/core/reading.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { is, mapping, noon, one, Player } from './player.ts';

const condition = fc.constantFrom<Condition>(
  is('on'),
  is(1, 'open'),
  { kind: 'above', limit: 5, hysteresis: 2 },
  { kind: 'below', limit: 5, hysteresis: 0 },
  { kind: 'between', low: -1, high: 1 },
);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .tuple(condition, fc.constantFrom(0, 15_000))
    .map(([when, holdMs]) => ({ kind: 'count', on: 'change', when, holdMs, by: one }) as const),
  fc
    .oneof(condition, fc.constant('any' as const))
    .map((each) => ({ kind: 'count', on: 'message', each, by: one }) as const),
  fc.constant({ kind: 'add' } as const),
  fc
    .tuple(fc.constantFrom('zero', 'ignore'), fc.constantFrom(undefined, 10))
    .map(([reset, maxStep]) => ({ kind: 'rise', reset, ...(maxStep && { maxStep }) }) as const),
  fc
    .tuple(condition, fc.constantFrom(undefined, 3_600_000))
    .map(([inside, maxMs]) => ({ kind: 'duration', while: inside, ...(maxMs && { maxMs }) }) as const),
  fc.constantFrom('last', 'first', 'min', 'max', 'mean').map((pick) => ({ kind: 'set', pick }) as const),
  condition.map((of) => ({ kind: 'time', of, pick: 'first' }) as const),
);

const scalar: fc.Arbitrary<Scalar> = fc.oneof(
  fc.constantFrom<Scalar>('on', 'off', 'open', 0, 1, 4, 6, 8, true, false, '7,5 kg', 9e9, -9e9),
  fc.double(),
  fc.string({ maxLength: 20 }),
);

const step = fc.record({
  value: scalar,
  seconds: fc.oneof(fc.integer({ min: -100, max: 100 }), fc.integer({ min: -100_000, max: 100_000 })),
  replay: fc.boolean(),
  retain: fc.boolean(),
  tick: fc.boolean(),
});

test('whatever comes, in whatever order: nothing throws, reasons are given, and a tick is never due twice', () => {
  fc.assert(
    fc.property(
      operation,
      fc.constantFrom(...VALUE_TYPES),
      fc.array(step, { maxLength: 20 }),
      (kind, valueType, steps) => {
        const player = new Player(mapping(kind, { valueType, scale: 1.5, debounceMs: 500 }));
        let now: number = noon;
        for (const { value, seconds, replay, retain, tick } of steps) {
          now += seconds * 1_000;
          const reaction = tick
            ? player.tickAt(now as EpochMs)
            : player.readAt(value, now as EpochMs, { replay, retain });
          if (reaction.verdict !== 'accepted' || reaction.contributions.length === 0) {
            expect(reaction.reason).toBeTruthy();
          }
          if (replay && !tick && kind.kind !== 'duration') expect(reaction.contributions).toEqual([]);
          const due = player.dueAt;
          if (due === undefined) continue;
          player.tickAt(due);
          expect(player.dueAt ?? Infinity).toBeGreaterThan(due);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
