import { describe, expect, test } from 'vitest';
import { react } from '../../../src/core/mapping/engine.ts';
import type { Operation } from '../../../src/core/mapping/mapping.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { is, mapping, noon, one, Player, units, zone } from './player.ts';

const opens: Operation = { kind: 'count', on: 'change', when: is('open'), holdMs: 0, by: one };
const held: Operation = { ...opens, holdMs: 15_000 };
const presses: Operation = { kind: 'count', on: 'message', each: is('single'), by: one };

describe('counting changes', () => {
  test('counts each change into the condition and no repeat', () => {
    const door = new Player(mapping(opens));
    for (const word of ['closed', 'open', 'OPEN', 'open', 'closed', 'closed', 'open']) door.read(word);
    expect(door.total()).toBe(2);
  });

  test('counts a first live reading that is in the condition', () => {
    const door = new Player(mapping(opens));
    door.read('open');
    expect(door.total()).toBe(1);
  });

  test('counts nothing for a first reading that was retained, and goes on from its state', () => {
    const door = new Player(mapping(opens));
    expect(door.read('open', 0, { retain: true })).toMatchObject({ verdict: 'accepted', contributions: [] });
    door.read('open', 1);
    expect(door.total()).toBe(0);
    door.read('closed', 2);
    door.read('open', 3);
    expect(door.total()).toBe(1);
  });

  test('counts live messages of a known topic though they carry the retain flag', () => {
    const door = new Player(mapping(opens));
    door.read('closed', 0, { retain: true });
    door.read('open', 1, { retain: true });
    expect(door.total()).toBe(1);
  });

  test('counts nothing for replays, which set the state', () => {
    const door = new Player(mapping(opens));
    door.replay('closed');
    door.replay('open', 1);
    door.read('open', 2);
    expect(door.total()).toBe(0);
    door.replay('closed', 3);
    door.read('open', 4);
    expect(door.total()).toBe(1);
  });

  test('counts by another step', () => {
    const door = new Player(mapping({ ...opens, by: units(0.25) }));
    door.read('open');
    expect(door.total()).toBe(0.25);
  });

  test('counts again as soon as `debounce` has passed since the last counted event', () => {
    const door = new Player(mapping(opens, { debounceMs: 1_000 }));
    door.read('open', 0);
    door.read('closed', 0.2);
    expect(door.read('open', 0.4)).toMatchObject({
      verdict: 'accepted',
      reason: expect.stringContaining('debounce'),
    });
    door.read('closed', 0.999);
    expect(door.total()).toBe(1);
    door.read('open', 1);
    expect(door.total()).toBe(2);
  });

  test('keeps the state through `debounce`', () => {
    const door = new Player(mapping(opens, { debounceMs: 1_000 }));
    door.read('open', 0);
    door.read('closed', 0.2);
    door.read('open', 0.4);
    door.read('open', 5);
    expect(door.total()).toBe(1);
  });

  test('uses hysteresis', () => {
    const when = { kind: 'above', limit: 1000, hysteresis: 200 } as const;
    const kettle = new Player(mapping({ ...opens, when }));
    for (const power of [5, 1100, 950, 1050, 900, 10, 1200]) kettle.read(power);
    expect(kettle.total()).toBe(2);
  });

  test('refuses words where a number is asked for, and keeps the state', () => {
    const kettle = new Player(mapping({ ...opens, when: { kind: 'above', limit: 1000, hysteresis: 0 } }));
    kettle.read(1200);
    const before = kettle.state;
    expect(kettle.read('boiling')).toMatchObject({ verdict: 'refused', reason: '"boiling" is not a number' });
    expect(kettle.state).toEqual(before);
    kettle.read(1200);
    expect(kettle.total()).toBe(1);
  });

  test('refuses what is out of range, and keeps the state', () => {
    const when = { kind: 'above', limit: 30, hysteresis: 0 } as const;
    const heat = new Player(mapping({ ...opens, when }, { range: [-50, 60] }));
    heat.read(20);
    expect(heat.read(999)).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('-50 to 60'),
    });
    expect(heat.total()).toBe(0);
  });

  test('takes readings as they arrive and dates them as they happened', () => {
    const door = new Player(mapping(opens));
    door.read('closed', 0);
    door.readAt('open', Date.parse('2026-11-19T23:59:59+01:00') as EpochMs);
    expect(door.contributions).toMatchObject([{ day: '2026-11-19' }]);
  });

  test('gives the same state where nothing changed', () => {
    const door = mapping(opens);
    const reading = { value: 'closed', at: noon, receivedAt: noon, retain: false, replay: false };
    const { state } = react(door, undefined, reading, zone);
    expect(react(door, state, reading, zone).state).toBe(state);
    expect(react(door, state, { ...reading, replay: true }, zone).state).toBe(state);
  });
});

describe('counting what lasts', () => {
  test('counts once the condition has lasted, by the tick', () => {
    const coffee = new Player(mapping(held));
    coffee.read('open', 0);
    expect(coffee.dueAt).toBe(noon + 15_000);
    coffee.tick(14.999);
    expect(coffee.total()).toBe(0);
    coffee.tick(15);
    expect(coffee.total()).toBe(1);
    expect(coffee.dueAt).toBeUndefined();
    coffee.tick(60);
    coffee.read('open', 70);
    coffee.read('closed', 80);
    expect(coffee.total()).toBe(1);
  });

  test('counts nothing that was left before', () => {
    const coffee = new Player(mapping(held));
    coffee.read('open', 0);
    coffee.read('closed', 14.9);
    expect(coffee.dueAt).toBeUndefined();
    coffee.tick(60);
    expect(coffee.total()).toBe(0);
  });

  test.each(['open', 'closed'])('counts by a reading of %s where no tick came', (word) => {
    const coffee = new Player(mapping(held));
    coffee.read('open', 0);
    coffee.read(word, 3_600);
    coffee.tick(3_700);
    expect(coffee.total()).toBe(1);
  });

  test('counts on the day of the change', () => {
    const coffee = new Player(mapping(held));
    coffee.readAt('open', Date.parse('2026-11-20T23:59:50+01:00') as EpochMs);
    coffee.tickAt(Date.parse('2026-11-21T00:00:05+01:00') as EpochMs);
    expect(coffee.contributions).toMatchObject([{ day: '2026-11-20' }]);
  });

  test('is not disturbed by repeats, nor by a replay of the same state', () => {
    const coffee = new Player(mapping(held));
    coffee.read('open', 0);
    coffee.replay('open', 5);
    coffee.read('open', 10);
    coffee.tick(15);
    expect(coffee.total()).toBe(1);
  });

  test('is called off by a replay of another state, and not begun by one', () => {
    const coffee = new Player(mapping(held));
    coffee.read('open', 0);
    coffee.replay('closed', 5);
    coffee.replay('open', 6);
    coffee.tick(60);
    expect(coffee.total()).toBe(0);
  });

  test('debounces by the time of the changes', () => {
    const coffee = new Player(mapping(held, { debounceMs: 180_000 }));
    coffee.read('open', 0);
    coffee.tick(15);
    coffee.read('closed', 40);
    coffee.read('open', 60);
    coffee.tick(75);
    coffee.read('closed', 90);
    coffee.read('open', 180);
    coffee.tick(195);
    expect(coffee.total()).toBe(2);
  });
});

describe('counting messages', () => {
  test('counts every message that matches', () => {
    const button = new Player(mapping(presses));
    button.read('single');
    button.read('single');
    expect(button.read('double')).toMatchObject({
      verdict: 'ignored',
      reason: '"double" is not what is counted',
    });
    expect(button.total()).toBe(2);
  });

  test('counts whatever is said with `any`', () => {
    const button = new Player(mapping({ ...presses, each: 'any' }));
    for (const value of ['PRESS', 1, false]) button.read(value);
    expect(button.total()).toBe(3);
  });

  test('counts neither replays nor a retained first reading', () => {
    const button = new Player(mapping(presses));
    button.read('single', 0, { retain: true });
    button.replay('single', 1);
    expect(button.total()).toBe(0);
    button.read('single', 2, { retain: true });
    expect(button.total()).toBe(1);
  });

  test('debounces', () => {
    const button = new Player(mapping(presses, { debounceMs: 500 }));
    for (const seconds of [0, 0.1, 0.499, 0.5, 0.9, 1]) button.read('single', seconds);
    expect(button.total()).toBe(3);
  });

  test('keeps the same state from the second message on', () => {
    const reading = { value: 'single', at: noon, receivedAt: noon, retain: false, replay: false };
    const { state } = react(mapping(presses), undefined, reading, zone);
    expect(react(mapping(presses), state, reading, zone).state).toBe(state);
  });
});

test('a state of another operation is as good as none', () => {
  const state = { kind: 'rise', last: units(5) } as const;
  const reading = { value: 'open', at: noon, receivedAt: noon, retain: false, replay: false };
  expect(react(mapping(opens), state, reading, zone).contributions).toHaveLength(1);
});
