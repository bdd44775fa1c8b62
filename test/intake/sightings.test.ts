import { describe, expect, test } from 'vitest';
import type { Sighting, WatchLine } from '../../src/core/sighting.ts';
import type { EpochMs, LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { Sightings } from '../../src/intake/sightings.ts';

const NOON = Date.parse('2026-11-24T12:00:00Z') as EpochMs;

function sighting(topic: string, more: Partial<Sighting> = {}): Sighting {
  return {
    topic,
    payload: Buffer.from('open'),
    retain: false,
    replay: false,
    at: NOON,
    from: 'esp',
    keys: [],
    mappings: [],
    fate: 'unmapped',
    reason: undefined,
    contributions: [],
    ...more,
  };
}

function setup() {
  const clock = { ms: 0 };
  return { clock, sightings: new Sightings(() => clock.ms) };
}

describe('the topics seen', () => {
  test('show the last message, how often they come, who publishes, and what takes them', () => {
    const { clock, sightings } = setup();
    sightings.saw(sighting('door', { from: 'source:home:12ab' }));
    clock.ms = 11 * 60_000;
    const reason = 'not a number';
    sightings.saw(
      sighting('door', { payload: Buffer.from('a\nb'), mappings: ['opens (add)'], fate: 'refused', reason }),
    );
    sightings.saw(sighting('attic'));
    expect(sightings.list()).toMatchObject([
      {
        topic: 'attic',
        messages: 1,
        last_10_min: 1,
        from: 'esp',
        mappings: [],
        fate: 'unmapped',
        reason: null,
      },
      {
        topic: 'door',
        messages: 2,
        last_10_min: 1,
        payload: 'a b',
        fate: 'refused',
        reason,
        mappings: ['opens (add)'],
      },
    ]);
    expect(sightings.list('door')).toHaveLength(1);
  });

  test('of a connection name it', () => {
    const { sightings } = setup();
    sightings.saw(sighting('door', { from: 'source:home:12ab' }));
    expect(sightings.list()[0]?.from).toBe('connection home');
  });

  test('are bounded, whatever is published', () => {
    const { sightings } = setup();
    for (let n = 0; n < 1_500; n += 1)
      sightings.saw(sighting(`flood/${n}`, { payload: Buffer.alloc(100_000, 0x61) }));
    const seen = sightings.list();
    expect(seen).toHaveLength(1_000);
    expect(
      seen.every(({ payload, payload_bytes }) => payload.length <= 200 && payload_bytes === 100_000),
    ).toBe(true);
    expect(sightings.list('flood/0')).toEqual([]);
  });

  test('that a mapping takes are pushed out by none that comes to nothing', () => {
    const { sightings } = setup();
    sightings.saw(sighting('door', { mappings: ['opens (count)'], fate: 'accepted' }));
    for (let n = 0; n < 1_000; n += 1) {
      sightings.saw(sighting(`unmapped/${n}`));
      sightings.saw(sighting(`denied/${n}`, { mappings: ['opens (count)'], fate: 'denied' }));
    }
    expect(sightings.list()).toHaveLength(1_001);
    expect(sightings.list('door')).toMatchObject([{ messages: 1 }]);
  });

  test('are not hidden by somebody who says the same without a right to: that is a line of its own', () => {
    const { sightings } = setup();
    sightings.saw(sighting('door', { mappings: ['opens (count)'], fate: 'accepted' }));
    for (const from of ['mallory', 'mallory', 'eve'])
      sightings.saw(sighting('door', { mappings: ['opens (count)'], fate: 'denied', from }));
    expect(sightings.list('door')).toMatchObject([
      { messages: 1, fate: 'accepted', from: 'esp' },
      { messages: 2, fate: 'denied', from: 'mallory' },
      { messages: 1, fate: 'denied', from: 'eve' },
    ]);
  });
});

describe('who watches', () => {
  test('sees what became of each message on the topics of the filter, until it stops', () => {
    const { sightings } = setup();
    const lines: WatchLine[] = [];
    const stop = sightings.watch('home/+', (line) => lines.push(line));
    const day = '2026-11-24' as LocalDate;
    const contributions = [{ kind: 'sum', attribute: 'opens', day, amount: 1_000_000 as Units }] as const;
    sightings.saw(sighting('home/door', { fate: 'accepted', contributions }));
    sightings.saw(sighting('garden/tap'));
    stop?.();
    sightings.saw(sighting('home/door'));
    expect(lines).toMatchObject([
      { topic: 'home/door', fate: 'accepted', contributions: ['opens +1 (2026-11-24)'] },
    ]);
  });

  test('is one of few', () => {
    const { sightings } = setup();
    const stops = Array.from({ length: 9 }, () => sightings.watch('#', () => undefined));
    expect(stops.filter((stop) => stop === undefined)).toHaveLength(1);
    stops[0]?.();
    expect(sightings.watch('#', () => undefined)).toBeDefined();
  });
});
