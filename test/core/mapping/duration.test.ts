import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { react } from '../../../src/core/mapping/engine.ts';
import type { Operation } from '../../../src/core/mapping/mapping.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { is, mapping, noon, Player, zone } from './player.ts';

const tv: Operation = { kind: 'duration', while: is('on') };
const capped: Operation = { ...tv, maxMs: 4 * 3_600_000 };
const minutes = mapping(tv, { valueType: 'minutes' });

const at = (text: string): EpochMs => Date.parse(text) as EpochMs;

describe('a duration', () => {
  test('is the minutes between the change into the condition and out of it', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    player.read('on', 30);
    player.read('off', 150);
    player.read('off', 300);
    expect(player.total()).toBe(2.5);
  });

  test('has its part so far counted every minute', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    expect(player.dueAt).toBe(noon + 60_000);
    player.runUntil((noon + 600_000) as EpochMs);
    expect(player.total()).toBe(10);
    player.read('off', 630);
    expect(player.total()).toBe(10.5);
    expect(player.dueAt).toBeUndefined();
  });

  test('is exact: three times twenty seconds are one minute', () => {
    const player = new Player(minutes);
    for (const begin of [0, 100, 200]) {
      player.read('on', begin);
      player.read('off', begin + 20);
    }
    expect(player.total()).toBe(1);
  });

  test('is split at local midnight', () => {
    const player = new Player(minutes);
    player.readAt('on', at('2026-11-20T23:50:00+01:00'));
    player.readAt('off', at('2026-11-22T00:20:00+01:00'));
    expect(player.total('2026-11-20')).toBe(10);
    expect(player.total('2026-11-21')).toBe(1_440);
    expect(player.total('2026-11-22')).toBe(20);
  });

  test('has its part of the old day counted at midnight', () => {
    const player = new Player(minutes);
    player.readAt('on', at('2026-11-20T23:59:30+01:00'));
    expect(player.dueAt).toBe(at('2026-11-21T00:00:00+01:00'));
  });

  test('of a day on which the clocks change is as long as that day', () => {
    const player = new Player(minutes);
    player.readAt('on', at('2026-03-28T12:00:00+01:00'));
    player.readAt('off', at('2026-03-30T12:00:00+02:00'));
    expect(player.total('2026-03-29')).toBe(23 * 60);
    player.readAt('on', at('2026-10-24T12:00:00+02:00'));
    player.readAt('off', at('2026-10-26T12:00:00+01:00'));
    expect(player.total('2026-10-25')).toBe(25 * 60);
  });

  test('whose end never comes stops at `max`', () => {
    const player = new Player(mapping(capped));
    player.read('on', 0);
    player.runUntil((noon + 86_400_000) as EpochMs);
    expect(player.total()).toBe(240);
    expect(player.dueAt).toBeUndefined();
    player.read('on', 90_000);
    player.read('off', 100_000);
    expect(player.total()).toBe(240);
    player.read('on', 100_060);
    player.read('off', 100_120);
    expect(player.total()).toBe(241);
  });

  test('ends at `max` also where no tick came', () => {
    const player = new Player(mapping(capped));
    player.read('on', 0);
    player.read('off', 86_400);
    expect(player.total()).toBe(240);
  });

  test('goes on through a replay of the same state', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    player.replay('on', 300);
    player.read('off', 600);
    expect(player.total()).toBe(10);
  });

  test('is ended by a replay at its time', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    player.replay('off', 300);
    expect(player.total()).toBe(5);
    player.read('off', 600);
    expect(player.total()).toBe(5);
  });

  test.each([{ replay: true, retain: true }, { retain: true }])(
    'that %j begins counts from its receipt on',
    (moment) => {
      const player = new Player(minutes);
      const receivedAt = (noon + 600_000) as EpochMs;
      expect(player.read('on', 0, { ...moment, receivedAt })).toMatchObject({ contributions: [] });
      player.read('off', 660);
      expect(player.total()).toBe(1);
    },
  );

  test('never counts a minute twice, whatever the order of times', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    player.tick(600);
    player.read('off', 300);
    expect(player.total()).toBe(10);
    player.read('on', 400);
    player.read('off', 660);
    expect(player.total()).toBe(11);
    player.read('on', 700);
    player.read('off', 650);
    expect(player.total()).toBe(11);
  });

  test('does not mind a clock that steps back', () => {
    const player = new Player(minutes);
    player.read('on', 0);
    player.tick(60);
    expect(player.tick(30)).toMatchObject({ verdict: 'ignored' });
    player.read('off', 120);
    expect(player.total()).toBe(2);
  });

  test('refuses words where a number is asked for', () => {
    const player = new Player(
      mapping({ kind: 'duration', while: { kind: 'above', limit: 30, hysteresis: 5 } }),
    );
    player.read(86.4, 0);
    expect(player.read('ON', 10).verdict).toBe('refused');
    player.read(27, 30);
    player.read(1, 60);
    expect(player.total()).toBe(1);
  });

  test('gives the same state where nothing changed', () => {
    const reading = { value: 'on', at: noon, receivedAt: noon, retain: false, replay: false };
    const { state } = react(minutes, undefined, reading, zone);
    expect(react(minutes, state, { ...reading, at: (noon + 5_000) as EpochMs }, zone).state).toBe(state);
  });

  test('is the same in parts as in one piece, however the ticks fall', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Pacific/Apia', 'UTC', 'Africa/Cairo');
    const begin = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) });
    const steps = fc.array(fc.integer({ min: 1, max: 20_000_000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(zones, begin, steps, (place, since, gaps) => {
        const player = new Player(minutes, place);
        const whole = new Player(minutes, place);
        player.readAt('on', since as EpochMs);
        whole.readAt('on', since as EpochMs);
        let now = since;
        for (const gap of gaps) {
          now += gap;
          player.tickAt(now as EpochMs);
        }
        player.readAt('off', now as EpochMs);
        whole.readAt('off', now as EpochMs);
        const expected = Math.floor(((now - since) * 50) / 3) / 1e6;
        expect(player.total()).toBe(expected);
        expect(whole.total()).toBe(expected);
        for (const { day } of whole.contributions) {
          expect(Math.abs(player.total(day) - whole.total(day))).toBeLessThan(2e-6);
        }
      }),
    );
  });
});
