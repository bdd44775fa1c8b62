import { describe, expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS, type EpochMs } from '../../src/core/time.ts';
import { deviceKey, Silence, type Watch } from '../../src/intake/silence.ts';

const DOOR: Watch = {
  key: 'door',
  of: { kind: 'mapping', attribute: 'opens', topics: ['home/door'] },
  silentAfterMs: 24 * HOUR_MS,
  isMany: false,
};
const FRIDGE: Watch = {
  key: deviceKey('fridge'),
  of: { kind: 'device', name: 'fridge' },
  silentAfterMs: HOUR_MS,
  isMany: false,
};
const START = Date.parse('2026-11-24T12:00:00Z');

function setup(saved: Record<string, number> = {}, start = START) {
  const world = { ms: 0, isTimeKnown: true, saved, log: [] as string[], watches: [DOOR] as Watch[] };
  let timer: { atMs: number; task: () => void } | undefined;
  const silence = new Silence({
    watches: () => world.watches,
    now: () => (world.isTimeKnown ? ((start + world.ms) as EpochMs) : undefined),
    monotonicMs: () => world.ms,
    after: (delayMs, task) => {
      timer = { atMs: world.ms + delayMs, task };
      return () => {
        timer = undefined;
      };
    },
    load: () => world.saved,
    save: (heard) => {
      world.saved = { ...heard };
    },
    log: (level, message) => world.log.push(`${level}: ${message}`),
  });
  const pass = (ms: number): void => {
    const until = world.ms + ms;
    while (timer && timer.atMs <= until) {
      world.ms = timer.atMs;
      timer.task();
    }
    world.ms = until;
  };
  return { world, silence, pass };
}

describe('a mapping with silent_after', () => {
  test('is told of once nothing was heard of it for so long, and once more when it is back', () => {
    const { world, silence, pass } = setup();
    silence.start();
    pass(20 * HOUR_MS);
    silence.heard('door');
    pass(24 * HOUR_MS - MINUTE_MS);
    expect(silence.list()).toEqual([]);
    pass(2 * MINUTE_MS);
    expect(silence.list()).toEqual([
      {
        kind: 'mapping',
        attribute: 'opens',
        topics: ['home/door'],
        last_heard: '2026-11-25T08:00:00.000Z',
        silent_after_s: 86_400,
      },
    ]);
    pass(5 * HOUR_MS);
    silence.heard('door');
    pass(MINUTE_MS);
    expect(silence.list()).toEqual([]);
    expect(world.log).toEqual([
      'warn: nothing was heard of home/door (opens) for 24 h',
      'info: home/door (opens) is heard of again',
    ]);
  });

  test('stays silent over a restart', () => {
    const first = setup();
    first.silence.start();
    first.silence.heard('door');
    first.pass(20 * HOUR_MS);
    first.silence.stop();
    const second = setup(first.world.saved, START + 23 * HOUR_MS);
    second.silence.start();
    expect(second.silence.list()).toEqual([]);
    second.pass(2 * HOUR_MS);
    expect(second.silence.list()).toHaveLength(1);
  });

  test('gives no alarm where the mapping is new, or while the time is not known', () => {
    const { world, silence, pass } = setup({ other: START - 100 * HOUR_MS });
    world.isTimeKnown = false;
    silence.start();
    pass(30 * HOUR_MS);
    expect(silence.list()).toEqual([]);
    world.isTimeKnown = true;
    pass(MINUTE_MS);
    expect(silence.list()).toEqual([]);
    pass(25 * HOUR_MS);
    expect(silence.list()).toHaveLength(1);
  });
});

describe('a mapping of many topics with silent_after', () => {
  const DOORS: Watch = {
    ...DOOR,
    of: { kind: 'mapping', attribute: 'opens', topics: ['home/+'] },
    isMany: true,
  };
  const silentTopics = (silence: Silence) =>
    silence.list().map((one) => (one.kind === 'mapping' ? one.topics.join() : one.name));

  test('tells which of them is quiet, also after a restart', () => {
    const first = setup();
    first.world.watches = [DOORS];
    first.silence.start();
    first.silence.heard('door', 'home/front');
    first.silence.heard('door', 'home/back');
    first.pass(20 * HOUR_MS);
    first.silence.heard('door', 'home/front');
    first.pass(5 * HOUR_MS);
    expect(silentTopics(first.silence)).toEqual(['home/back']);
    expect(first.world.log).toEqual(['warn: nothing was heard of home/back (opens) for 24 h']);
    first.silence.stop();
    const second = setup(first.world.saved, START + 26 * HOUR_MS);
    second.world.watches = [DOORS];
    second.silence.start();
    expect(silentTopics(second.silence)).toEqual(['home/back']);
  });

  test('is told of as a whole where none of them was ever heard of', () => {
    const { world, silence, pass } = setup();
    world.watches = [DOORS];
    silence.start();
    pass(25 * HOUR_MS);
    expect(silentTopics(silence)).toEqual(['home/+']);
  });

  test('forgets one that has been away for a month', () => {
    const { world, silence, pass } = setup();
    world.watches = [DOORS];
    silence.start();
    silence.heard('door', 'home/shed');
    for (let day = 0; day < 32; day += 1) {
      silence.heard('door', 'home/front');
      pass(24 * HOUR_MS - MINUTE_MS);
    }
    expect(silentTopics(silence)).toEqual([]);
  });
});

describe('a device with silent_after', () => {
  test('is told of by its name', () => {
    const { world, silence, pass } = setup();
    world.watches = [DOOR, FRIDGE];
    silence.start();
    pass(30 * MINUTE_MS);
    silence.heard(deviceKey('fridge'));
    pass(HOUR_MS);
    expect(silence.list()).toMatchObject([{ kind: 'device', name: 'fridge', silent_after_s: 3_600 }]);
    expect(world.log).toEqual(['warn: nothing was heard of device fridge for 1 h']);
  });

  test('that was removed and added again is given its time', () => {
    const { world, silence, pass } = setup({ [FRIDGE.key]: START - 2 * HOUR_MS });
    world.watches = [FRIDGE];
    silence.start();
    expect(silence.list()).toHaveLength(1);
    world.watches = [];
    pass(MINUTE_MS);
    world.watches = [FRIDGE];
    pass(MINUTE_MS);
    expect(silence.list()).toEqual([]);
  });
});
