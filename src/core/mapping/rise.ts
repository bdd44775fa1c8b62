/**
 * `rise`: how much a cumulative meter rose.
 *
 * The state is the last reading; what is contributed are differences of readings in whole units, so that they
 * add up to last − first without drift. A replay with a state in place moves nothing: the next live reading
 * carries the whole rise, what was missed while the bridge was away included. `debounce` does not apply, since
 * a meter has no events; neither does `offset`, which every difference cancels.
 *
 * A step above `maxStep` is refused and leaves the last reading in place, so that one corrupt reading does no
 * harm. A second refused reading within `maxStep` of the first shows that the meter truly jumped (it was
 * exchanged, say): it is refused too, and becomes the base line.
 */
import { parseNumber } from '../number.ts';
import type { Reading } from '../reading.ts';
import { formatUnits, toUnits, UNITS_PER_ONE, type Units } from '../units.ts';
import type { RiseState } from './mapping-state.ts';
import type { Mapping, Operation } from './mapping.ts';
import { accepted, notANumber, quiet, refused, sum, type Reaction } from './reaction.ts';

export type Rise = Extract<Operation, { kind: 'rise' }>;

export function rise(
  mapping: Mapping,
  operation: Rise,
  state: RiseState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const number = parseNumber(reading.value);
  if (number === undefined) return refused(state, notANumber(reading.value));
  const meter = toUnits(number - mapping.offset);
  if (meter === undefined) return refused(state, `${number} is too large to be counted exactly`);
  const instance = reading.instance ?? state?.instance;
  if (!state) return quiet(baseLine(meter, instance), 'the first reading is only the base line');
  if (reading.replay) return quiet(state, 'a replay counts nothing');

  const isNewLife = instance !== state.instance && state.instance !== undefined;
  const isRestart = isNewLife || 10 * (state.last - meter) > Math.abs(state.last);
  if (isRestart && operation.reset === 'ignore') {
    return quiet(baseLine(meter, instance), 'the meter started over: a new base line');
  }
  if (!isRestart && meter <= state.last) {
    const reason =
      meter === state.last ? 'unchanged' : `a little less than the last reading, ${formatUnits(state.last)}`;
    return quiet(settled(state, instance), reason);
  }
  // Below zero a meter that started over has nothing to add.
  const step = isRestart ? Math.max(0, meter) : meter - state.last;
  if (!isExact(step)) return refused(state, `the step from ${formatUnits(state.last)} is too large`);
  const maxStep = operation.maxStep;
  if (maxStep !== undefined && step > maxStep * UNITS_PER_ONE) {
    return leap(state, meter, step, maxStep, instance);
  }
  const next = baseLine(meter, instance);
  if (step === 0) return quiet(next, 'the meter started over at 0');
  return accepted(next, [sum(mapping, step, reading.at, zone)]);
}

function leap(
  state: RiseState,
  meter: Units,
  step: Units,
  maxStep: number,
  instance: string | undefined,
): Reaction {
  const reason = `a step of ${formatUnits(step)} is above \`max_step\` ${maxStep}`;
  if (state.suspect !== undefined && Math.abs(meter - state.suspect) <= maxStep * UNITS_PER_ONE) {
    const next = baseLine(meter, instance);
    return refused(
      next,
      `${reason}, for the second time in a row: ${formatUnits(meter)} is the new base line`,
    );
  }
  return refused({ ...state, suspect: meter }, reason);
}

function isExact(units: number): units is Units {
  return Number.isSafeInteger(units);
}

function baseLine(last: Units, instance: string | undefined): RiseState {
  return { kind: 'rise', last, ...(instance !== undefined && { instance }) };
}

/** A plausible reading clears a suspicion. */
function settled(state: RiseState, instance: string | undefined): RiseState {
  if (state.suspect === undefined && state.instance === instance) return state;
  return baseLine(state.last, instance);
}
