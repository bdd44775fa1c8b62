import { describe, expect, onTestFinished, test } from 'vitest';
import type { EpochMs } from '../../src/core/time.ts';
import type { ClockEvidence } from '../../src/host/clock-trust.ts';
import { Timekeeper } from '../../src/host/timekeeper.ts';

const NOON = Date.parse('2026-11-24T12:00:00Z');
const DAY_MS = 86_400_000;

/** A machine whose clocks move when told to; `settled` lets what was asked be answered. */
class Machine {
  wallMs: number;
  bootMs = 60_000.25;
  synchronised: boolean | undefined = true;
  hasHardwareClock = false;
  exist: number | undefined;
  asked = 0;
  readonly told: string[] = [];
  readonly corrections: { byMs: number; from: EpochMs }[] = [];
  readonly log: string[] = [];
  readonly keeper: Timekeeper;
  private timers: { atMs: number; task: () => void }[] = [];

  constructor(iso: string) {
    this.wallMs = Date.parse(iso);
    this.keeper = new Timekeeper({
      system: {
        now: () => this.wallMs as EpochMs,
        monotonicMs: () => this.bootMs,
        after: (delayMs, task) => {
          const timer = { atMs: this.bootMs + delayMs, task };
          this.timers.push(timer);
          return () => {
            this.timers = this.timers.filter((other) => other !== timer);
          };
        },
      },
      evidence: () =>
        Promise.resolve<ClockEvidence>({
          now: this.wallMs as EpochMs,
          hasHardwareClock: this.hasHardwareClock,
          timesyncdFlag: false,
          synchronised: this.synchronised,
        }),
      askExist: () => {
        this.asked += 1;
        return Promise.resolve(this.exist as EpochMs | undefined);
      },
      onCorrected: (byMs, from) => this.corrections.push({ byMs, from }),
      onKnown: () => this.told.push('known'),
      log: (_level, message) => this.log.push(message),
    });
    onTestFinished(() => this.keeper.stop());
  }

  get shown(): string {
    return new Date(this.keeper.now()).toISOString();
  }

  step(byMs: number): void {
    // The monotonic clock is finer than the wall clock.
    this.bootMs += 0.125;
    this.wallMs += byMs;
  }

  async pass(ms: number): Promise<void> {
    const until = this.bootMs + ms;
    for (;;) {
      const due = this.timers.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.timers = this.timers.filter((other) => other !== due);
      this.advanceTo(due.atMs);
      due.task();
      await this.settled();
    }
    this.advanceTo(until);
    await this.settled();
  }

  /** Nothing here waits for more than promises that are already resolved. */
  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  private advanceTo(bootMs: number): void {
    this.wallMs += bootMs - this.bootMs;
    if (this.exist !== undefined) this.exist += bootMs - this.bootMs;
    this.bootMs = bootMs;
  }
}

async function running(iso = '2026-11-24T12:00:00Z', more: Partial<Machine> = {}): Promise<Machine> {
  const machine = Object.assign(new Machine(iso), more);
  await machine.keeper.start();
  await machine.settled();
  return machine;
}

test('a clock that is set back by less than a step stands still, so that what comes later is later', async () => {
  const machine = new Machine('2026-11-24T12:00:10Z');
  await machine.keeper.start();
  expect(machine.shown).toBe('2026-11-24T12:00:10.000Z');
  machine.step(-4_000);
  expect(machine.shown).toBe('2026-11-24T12:00:10.000Z');
  machine.step(5_000);
  expect(machine.shown).toBe('2026-11-24T12:00:11.000Z');
  expect(machine.keeper.problem).toBeUndefined();
});

describe('at the start the time is known', () => {
  test('where the system says that it is synchronised; Exist is not asked', async () => {
    const machine = await running();
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine).toMatchObject({ asked: 0, told: ['known'], corrections: [] });
  });

  test('by Exist where the system clock is right and nothing vouches for it', async () => {
    const machine = await running('2026-11-24T12:00:00Z', { synchronised: false, exist: NOON + 900 });
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.shown).toBe('2026-11-24T12:00:00.000Z');
  });

  test('by Exist where the system clock is in 1970, without moving what former runs remember', async () => {
    const machine = await running('1970-01-01T00:02:00Z', { exist: NOON });
    expect(machine.shown).toBe('2026-11-24T12:00:00.000Z');
    expect(machine).toMatchObject({ told: ['known'], corrections: [] });
  });
});

describe('at the start the time is not known', () => {
  test('in 1970 while Exist does not answer; it is when the system clock is set', async () => {
    const machine = await running('1970-01-01T00:02:00Z');
    expect(machine.keeper.problem).toBe('the system clock shows 1970-01-01T00:02:00.000Z');
    expect(machine.told).toEqual([]);
    await machine.pass(60_000);
    machine.step(NOON - machine.wallMs);
    await machine.pass(5_000);
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.shown).toBe('2026-11-24T12:00:05.000Z');
    expect(machine.corrections).toEqual([]);
  });

  test('and Exist is asked less and less often', async () => {
    const machine = await running('2026-11-24T12:00:00Z', { synchronised: false });
    await machine.pass(3_600_000);
    expect(machine.asked).toBeGreaterThan(10);
    expect(machine.asked).toBeLessThan(20);
  });
});

describe.each([
  ['forward', DAY_MS],
  ['back', -DAY_MS],
])('the system clock is set %s by a day', (_direction, stepMs) => {
  test('the time goes on as before and is unknown until somebody vouches for it', async () => {
    const machine = await running();
    machine.synchronised = false;
    machine.step(stepMs);
    expect(machine.keeper.now()).toBe(NOON);
    expect(machine.keeper.problem).toMatch(/^the system clock was set (forward|back) by 86400 s$/);
    await machine.pass(60_000);
    expect(machine.shown).toBe('2026-11-24T12:01:00.000Z');
    expect(machine.keeper.problem).toBeDefined();
  });

  test('the system says that it is synchronised: what was told before was wrong by a day', async () => {
    const machine = await running();
    await machine.pass(60_000);
    machine.step(stepMs);
    await machine.pass(5_000);
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.keeper.now()).toBe(NOON + stepMs + 65_000);
    expect(machine.corrections).toEqual([{ byMs: stepMs, from: NOON }]);
  });

  test('Exist agrees with the time before: the step is not believed', async () => {
    const machine = await running();
    machine.synchronised = false;
    machine.exist = NOON;
    machine.step(stepMs);
    await machine.pass(5_000);
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.shown).toBe('2026-11-24T12:00:05.000Z');
    expect(machine.corrections).toEqual([]);
  });

  test('Exist agrees with the time after it', async () => {
    const machine = await running();
    machine.synchronised = undefined;
    machine.exist = NOON + stepMs;
    machine.step(stepMs);
    await machine.pass(5_000);
    expect(machine.keeper.now()).toBe(NOON + stepMs + 5_000);
    expect(machine.corrections).toEqual([{ byMs: stepMs, from: NOON }]);
  });

  test('it is set right again before anybody could say: nothing is corrected', async () => {
    const machine = await running();
    machine.synchronised = false;
    machine.step(stepMs);
    await machine.pass(60_000);
    machine.step(-stepMs);
    machine.synchronised = true;
    await machine.pass(30_000);
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.shown).toBe('2026-11-24T12:01:30.000Z');
    expect(machine.corrections).toEqual([]);
  });
});

test('a hardware clock that was right at the start proves nothing after a step', async () => {
  const machine = await running('2026-11-24T12:00:00Z', { hasHardwareClock: true, synchronised: false });
  expect(machine.keeper.problem).toBeUndefined();
  machine.step(DAY_MS);
  await machine.pass(60_000);
  expect(machine.keeper.problem).toBeDefined();
});

test('a clock that is slewed is followed', async () => {
  const machine = await running();
  for (let second = 0; second < 200; second += 1) {
    machine.step(500);
    await machine.pass(1_000);
  }
  expect(machine.keeper.now()).toBe(NOON + 300_000);
  expect(machine.keeper.problem).toBeUndefined();
});

describe('Exist contradicts a clock', () => {
  test('that nothing vouches for: the time is Exist’s until the system is synchronised', async () => {
    const machine = await running('2026-11-24T12:00:00Z', { hasHardwareClock: true, synchronised: false });
    machine.exist = NOON + DAY_MS;
    machine.keeper.heard(machine.exist as EpochMs);
    await machine.settled();
    expect(machine.shown).toBe('2026-11-25T12:00:00.000Z');
    expect(machine.corrections).toEqual([{ byMs: DAY_MS, from: NOON }]);
    machine.step(DAY_MS + 700);
    machine.synchronised = true;
    await machine.pass(60_000);
    expect(machine.keeper.problem).toBeUndefined();
    expect(machine.keeper.now()).toBe(NOON + DAY_MS + 60_700);
    expect(machine.corrections).toHaveLength(1);
  });

  test('that is synchronised: the system is right', async () => {
    const machine = await running();
    machine.exist = NOON + DAY_MS;
    machine.keeper.heard(machine.exist as EpochMs);
    await machine.pass(10_000);
    expect(machine.shown).toBe('2026-11-24T12:00:10.000Z');
    expect(machine).toMatchObject({ asked: 0, corrections: [] });
  });

  test('by one stale answer only: asked again, it agrees', async () => {
    const machine = await running('2026-11-24T12:00:00Z', { synchronised: undefined, exist: NOON });
    machine.keeper.heard((NOON - DAY_MS) as EpochMs);
    await machine.settled();
    expect(machine.asked).toBe(1);
    expect(machine.shown).toBe('2026-11-24T12:00:00.000Z');
    expect(machine.corrections).toEqual([]);
  });
});
