import { describe, expect, test } from 'vitest';
import type { WatchLine } from '../../src/core/sighting.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { Sightings } from '../../src/intake/sightings.ts';
import { Lookout } from '../../src/lookout.ts';
import type { Observer } from '../../src/sources/ports.ts';
import { TestClock } from '../support/clock.ts';

const NOON = '2026-11-24T12:00:00Z';

/** `door` is mapped. `looking`: who looks at connections, by filter. */
function setup() {
  const clock = new TestClock(NOON);
  const sightings = new Sightings(() => clock.monotonicMs());
  const looking = new Map<string, Observer>();
  const lookout = new Lookout({
    sightings,
    mappingsOf: (topic) => (topic === 'door' ? ['opens (count)'] : []),
    look: (filter, observer) => {
      looking.set(filter, observer);
      return () => looking.delete(filter);
    },
    now: () => clock.now(),
    after: (delayMs, task) => clock.at((clock.now() + delayMs) as EpochMs, task),
  });
  const lines: WatchLine[] = [];
  const watch = (filter: string, isLooking: boolean) =>
    lookout.watch(filter, (line) => lines.push(line), isLooking);
  return { clock, sightings, lookout, looking, lines, watch };
}

const glimpse = (topic: string, retain = false) => ({
  topic,
  payload: Buffer.from('open'),
  retain,
  connection: 'home',
});

describe('whoever watches', () => {
  test('sees what connections have besides, as what no mapping takes, and what cannot be seen', () => {
    const { watch, looking, lines, sightings } = setup();
    watch('#', true);
    looking.get('#')?.saw(glimpse('attic', true));
    looking.get('#')?.saw(glimpse('door'));
    looking.get('#')?.note('connection home is down');
    expect(lines).toMatchObject([
      { topic: 'attic', from: 'connection home', retain: true, fate: 'unmapped', contributions: [] },
      { topic: 'door', fate: 'looked_at', reason: expect.stringContaining('no subscription') },
      { note: 'connection home is down' },
    ]);
    expect(sightings.list()).toMatchObject([
      { topic: 'attic', retain: true, looked_at: true, mappings: [] },
      { topic: 'door', looked_at: true, mappings: ['opens (count)'] },
    ]);
  });

  test('looks at connections for as long as it watches, and for no more than five minutes', () => {
    const { watch, looking, lines, clock, sightings, lookout } = setup();
    watch('home/#', true)?.();
    expect(looking.size).toBe(0);
    watch('#', true);
    clock.advanceTo('2026-11-24T12:04:59Z');
    expect(looking.size).toBe(1);
    clock.advanceTo('2026-11-24T12:05:00Z');
    expect(looking.size).toBe(0);
    expect(lines).toEqual([{ note: expect.stringContaining('no longer') }]);
    expect(sightings.list()).toEqual([]);
    lookout.denied(
      { ...glimpse('x'), qos: 0, dup: false, packetId: undefined, clientId: 'a', account: 'b' },
      'publish',
    );
    expect(lines).toHaveLength(2);
  });

  test('looks at none where it did not ask to, or too many watch', () => {
    const { watch, looking } = setup();
    const stops = Array.from({ length: 8 }, () => watch('#', false));
    expect(watch('#', true)).toBeUndefined();
    expect(looking.size).toBe(0);
    expect(stops).not.toContain(undefined);
  });
});

test('a publish without a right is shown with whose it was, and what would have taken it', () => {
  const { lookout, sightings } = setup();
  const publish = { ...glimpse('door'), qos: 1, dup: false, packetId: 1, clientId: 'esp-1' } as const;
  lookout.denied({ ...publish, account: 'fridge' }, 'publish');
  const reason = 'account fridge may not publish here';
  expect(sightings.list()).toMatchObject([
    { topic: 'door', from: 'fridge', fate: 'denied', reason, mappings: ['opens (count)'], payload: 'open' },
  ]);
  lookout.denied({ ...publish, account: undefined }, 'publish');
  expect(sightings.list()[1]).toMatchObject({ from: 'esp-1', reason: 'its account was taken away' });
  lookout.denied({ ...publish, account: 'oven' }, 'will');
  expect(sightings.list()[2]).toMatchObject({
    from: 'oven',
    reason: 'account oven may not leave its will here',
  });
});
