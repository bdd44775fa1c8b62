import { expect, test } from 'vitest';
import { Arrivals } from '../../src/broker/arrivals.ts';

/** A door with a clock of its own. */
class Door {
  now = 0;
  readonly entered: string[] = [];
  private timers: { readonly at: number; readonly task: () => void }[] = [];
  readonly arrivals = new Arrivals({
    perSecond: 20,
    now: () => this.now,
    after: (delayMs, task) => {
      const timer = { at: this.now + delayMs, task };
      this.timers.push(timer);
      return () => void (this.timers = this.timers.filter((other) => other !== timer));
    },
  });

  come(address: string, times: number): void {
    for (let time = 0; time < times; time += 1) {
      this.arrivals.come(address, () => this.entered.push(address));
    }
  }

  pass(ms: number): void {
    const until = this.now + ms;
    for (let next = this.next(until); next; next = this.next(until)) {
      this.timers = this.timers.filter((other) => other !== next);
      this.now = next.at;
      next.task();
    }
    this.now = until;
  }

  private next(until: number) {
    return this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  }
}

test('a hundred devices of one address that come at once are let in at once', () => {
  const door = new Door();
  door.come('proxy', 100);
  expect(door.entered).toHaveLength(100);
});

test('what comes on top is let in one after the other, twenty a second, and nobody is forgotten', () => {
  const door = new Door();
  door.come('mad', 300);
  expect(door.entered).toHaveLength(100);
  door.pass(1_000);
  expect(door.entered).toHaveLength(120);
  door.pass(9_000);
  expect(door.entered).toHaveLength(300);
});

test('another address does not wait for it', () => {
  const door = new Door();
  door.come('mad', 300);
  door.come('sensor', 1);
  expect(door.entered.at(-1)).toBe('sensor');
});

test('who still waits when the broker stops is not let in, and no timer is left', () => {
  const door = new Door();
  door.come('mad', 101);
  door.arrivals.stop();
  door.pass(10_000);
  expect(door.entered).toHaveLength(100);
});

test('addresses that nobody waits at are forgotten first', () => {
  const door = new Door();
  door.come('mad', 101);
  for (let address = 0; address < 5_000; address += 1) door.come(`visitor ${address}`, 1);
  door.come('mad', 1);
  expect(door.entered.filter((address) => address === 'mad')).toHaveLength(100);
  door.pass(100);
  expect(door.entered.filter((address) => address === 'mad')).toHaveLength(102);
});
