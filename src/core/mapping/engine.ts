/**
 * The mapping engine: what a reading, or the passing of time, does to a mapping's state and what it contributes.
 * Everything per operation is in the file of its name.
 */
import { parseNumber } from '../number.ts';
import type { Reading } from '../reading.ts';
import type { EpochMs } from '../time.ts';
import { addAmount } from './add.ts';
import { countChange, countMessage, holdEnd, tickCount } from './count.ts';
import { accrualDue, duration, tickDuration } from './duration.ts';
import type { MappingState } from './mapping-state.ts';
import type { Mapping } from './mapping.ts';
import { ignored, refused, type Reaction } from './reaction.ts';
import { rise } from './rise.ts';
import { setValue } from './set.ts';
import { timeOfChange } from './time-of-day.ts';

export type { Reaction } from './reaction.ts';
export { dateReading } from '../event-time.ts';

/** Takes one reading of one topic. `state` is what the last reaction or tick left, `undefined` before the first. */
export function react(
  mapping: Mapping,
  state: MappingState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const measured = inMeasure(mapping, reading);
  if (typeof measured === 'string') return refused(state, measured);
  const { operation } = mapping;
  switch (operation.kind) {
    case 'count':
      return operation.on === 'change'
        ? countChange(mapping, operation, stateOf('change', state), measured, zone)
        : countMessage(mapping, operation, stateOf('seen', state), measured, zone);
    case 'add':
      return addAmount(mapping, stateOf('seen', state), measured, zone);
    case 'rise':
      return rise(mapping, operation, stateOf('rise', state), measured, zone);
    case 'duration':
      return duration(mapping, operation, stateOf('duration', state), measured, zone);
    case 'set':
      return setValue(mapping, operation, stateOf('seen', state), measured, zone);
    case 'time':
      return timeOfChange(mapping, operation, stateOf('change', state), measured, zone);
  }
}

/** Lets time pass up to `now`: at `dueAt`, or at any time else. */
export function tick(
  mapping: Mapping,
  state: MappingState | undefined,
  now: EpochMs,
  zone: string,
): Reaction {
  const { operation } = mapping;
  if (operation.kind === 'count' && operation.on === 'change' && state?.kind === 'change') {
    return tickCount(mapping, operation, state, now, zone);
  }
  if (operation.kind === 'duration' && state?.kind === 'duration') {
    return tickDuration(mapping, operation, state, now, zone);
  }
  return ignored(state, 'nothing happens by itself');
}

/** When `tick` is wanted next: the end of a hold, the next part of a running duration; `undefined` for never. */
export function dueAt(mapping: Mapping, state: MappingState | undefined, zone: string): EpochMs | undefined {
  const { operation } = mapping;
  if (operation.kind === 'count' && operation.on === 'change' && state?.kind === 'change') {
    return holdEnd(operation, state);
  }
  if (operation.kind === 'duration' && state?.kind === 'duration') {
    return accrualDue(operation, state, zone);
  }
  return undefined;
}

function stateOf<K extends MappingState['kind']>(
  kind: K,
  state: MappingState | undefined,
): Extract<MappingState, { kind: K }> | undefined {
  return isOfKind(kind, state) ? state : undefined;
}

function isOfKind<K extends MappingState['kind']>(
  kind: K,
  state: MappingState | undefined,
): state is Extract<MappingState, { kind: K }> {
  return state?.kind === kind;
}

/** The reading with `scale` and `offset` applied, or why it is outside of `range`. Words are left alone. */
function inMeasure(mapping: Mapping, reading: Reading): Reading | string {
  const { scale, offset, range } = mapping;
  const isIdentity = scale === 1 && offset === 0;
  if (isIdentity && range === undefined) return reading;
  const number = parseNumber(reading.value);
  if (number === undefined) return reading;
  const value = number * scale + offset;
  if (range && (value < range[0] || value > range[1])) {
    return `${value} is outside of \`range\` ${range[0]} to ${range[1]}`;
  }
  return isIdentity ? reading : { ...reading, value };
}
