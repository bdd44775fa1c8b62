import { describe, expect, test } from 'vitest';
import type { Operation } from '../../src/core/mapping/mapping.ts';
import { TestClock } from '../support/clock.ts';
import { temporaryFolder } from '../support/folder.ts';
import { DOOR_OPENS, EACH, rule, setup } from './setup.ts';

describe('before time and zone are known', () => {
  test('readings are acknowledged and kept, and count on their own day later, in their order', async () => {
    let zone = undefined as string | undefined;
    const clock = new TestClock('2026-11-24T22:59:00Z');
    const { publish, total, intake, ledger } = setup([rule(DOOR_OPENS)], { clock, zone: () => zone });
    await publish('open');
    await publish('closed');
    await publish('open');
    expect(ledger.journal.undatedCount()).toBe(3);
    expect(total()).toBeUndefined();
    clock.advanceTo('2026-11-25T10:00:00Z');
    zone = 'Europe/Berlin';
    intake.timeKnown();
    await publish('closed');
    await intake.stop();
    expect(ledger.journal.undatedCount()).toBe(0);
    expect(total('2026-11-24')).toBe(2);
    expect(total('2026-11-25')).toBeUndefined();
  });
});

describe('a mapping that was removed before time was known', () => {
  test('leaves its readings as refused ones, with topic and payload; those of others count', async () => {
    let zone = undefined as string | undefined;
    const heater = rule(EACH, {}, 'heater');
    const { publish, total, intake, ledger, refused } = setup([rule(DOOR_OPENS), heater], {
      zone: () => zone,
    });
    await publish('open');
    await publish('clicked', { topic: 'heater' });
    // What came without a mark of redelivery leaves a record as well.
    await publish('clicked again', { topic: 'heater', packetId: undefined });
    intake.reconfigure([rule(DOOR_OPENS)]);
    zone = 'Europe/Berlin';
    intake.timeKnown();
    await intake.stop();
    expect(total()).toBe(1);
    const reason = 'its mapping was removed before the time was known';
    expect(ledger.journal.refused(20)).toMatchObject([
      { topic: 'heater', reason, payload: 'clicked again' },
      { topic: 'heater', reason, payload: 'clicked' },
    ]);
    expect(refused).toEqual([`heater: ${reason}`, `heater: ${reason}`]);
    expect(ledger.journal.counters).toMatchObject({ accepted: 1, ignored: 0, refused: 2 });
    expect(ledger.journal.undatedCount()).toBe(0);
  });
});

describe('a machine that was started again and again without ever knowing the time', () => {
  test('dates what it took as late as it can have come, in its order', async () => {
    const folder = temporaryFolder();
    const nowhere = (): undefined => undefined;
    const presses: [string, number][] = [
      ['first-boot', 40],
      ['second-boot', 55],
    ];
    for (const [bootId, minutes] of presses) {
      const clock = new TestClock('1970-01-01T00:01:00Z');
      const { publish, stop } = setup([rule(DOOR_OPENS)], { folder, clock, bootId, zone: nowhere });
      await publish('closed');
      clock.advanceTo(`1970-01-01T00:${minutes}:00Z`);
      await publish('open');
      await stop();
    }
    // This boot began at 00:50 in Berlin: the second ran from 23:55 at the latest, where the first ended.
    const clock = new TestClock('2026-11-24T23:51:00Z');
    const { total, intake, estimated } = setup([rule(DOOR_OPENS)], { folder, clock, bootId: 'third-boot' });
    intake.timeKnown();
    await intake.stop();
    expect(estimated).toEqual([4]);
    expect([total('2026-11-24'), total('2026-11-25')]).toEqual([1, 1]);
  });

  test('knows their redeliveries', async () => {
    const folder = temporaryFolder();
    const clock = new TestClock('1970-01-01T00:01:00Z');
    const nowhere = (): undefined => undefined;
    const before = setup([rule(EACH)], { folder, clock, bootId: 'first-boot', zone: nowhere });
    await before.publish('pressed', { packetId: 7 });
    await before.stop();
    const after = setup([rule(EACH)], { folder });
    expect(await after.publish('pressed', { packetId: 7, dup: true })).toBe(true);
    await after.intake.stop();
    expect(after.total()).toBe(1);
  });
});

describe('a clock that is set', () => {
  test('from 1970 to now does not hide a redelivery', async () => {
    const time: { zone?: string } = {};
    const clock = new TestClock('1970-01-01T00:01:00Z');
    const { publish, total, intake } = setup([rule(EACH)], { clock, zone: () => time.zone });
    await publish('pressed', { packetId: 7 });
    clock.set('2026-11-24T12:00:00Z');
    time.zone = 'Europe/Berlin';
    intake.timeKnown();
    expect(await publish('pressed', { packetId: 7, dup: true })).toBe(true);
    await intake.stop();
    expect(total()).toBe(1);
  });

  test('back by a day takes a running duration with it: no minute is lost or counted twice', async () => {
    const running: Operation = { kind: 'duration', while: { kind: 'oneOf', values: ['on'] } };
    const { publish, total, clock, intake } = setup([rule(running)]);
    const from = clock.now();
    await publish('on');
    clock.advanceTo('2026-11-24T12:30:00Z');
    clock.set('2026-11-23T12:30:00Z');
    intake.timeCorrected(-86_400_000, from);
    intake.timeKnown();
    clock.advanceTo('2026-11-23T13:00:00Z');
    await publish('off');
    expect(total('2026-11-24')).toBe(30);
    expect(total('2026-11-23')).toBe(30);
  });

  test('forward by a day adds no day to a running duration', async () => {
    const running: Operation = { kind: 'duration', while: { kind: 'oneOf', values: ['on'] } };
    const { publish, total, clock, intake } = setup([rule(running)]);
    const from = clock.now();
    await publish('on');
    clock.advanceTo('2026-11-24T12:30:00Z');
    clock.set('2026-11-25T12:30:00Z');
    intake.timeCorrected(86_400_000, from);
    intake.timeKnown();
    clock.advanceTo('2026-11-25T13:00:00Z');
    await publish('off');
    expect([total('2026-11-24'), total('2026-11-25')]).toEqual([30, 30]);
  });

  test('back by a day does not make debounce swallow the next day', async () => {
    const debounced = rule(EACH);
    const { publish, total, clock, intake } = setup([
      { ...debounced, mapping: { ...debounced.mapping, debounceMs: 60_000 } },
    ]);
    const from = clock.now();
    await publish('pressed');
    clock.set('2026-11-23T12:00:00Z');
    intake.timeCorrected(-86_400_000, from);
    clock.advanceTo('2026-11-23T12:00:30Z');
    await publish('pressed');
    expect(total('2026-11-23')).toBeUndefined();
    clock.advanceTo('2026-11-23T12:01:00Z');
    await publish('pressed');
    expect(total('2026-11-23')).toBe(1);
  });
});

describe('the zone changes', () => {
  test('and what lasts is split at the midnight of the new one', async () => {
    let zone = 'Europe/Berlin';
    const running: Operation = { kind: 'duration', while: { kind: 'oneOf', values: ['on'] } };
    const { publish, total, clock, intake } = setup([rule(running)], { zone: () => zone });
    await publish('on');
    clock.advanceTo('2026-11-24T12:30:00Z');
    zone = 'Pacific/Kiritimati';
    intake.timeKnown();
    clock.advanceTo('2026-11-24T13:00:00Z');
    expect([total('2026-11-24'), total('2026-11-25')]).toEqual([30, 30]);
  });
});
