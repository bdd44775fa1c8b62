import { expect, test } from 'vitest';
import { Arrivals } from '../../src/broker/arrivals.ts';

/** A door with a clock of its own. */
class Door {
  now = 0;
  readonly entered: string[] = [];
  turnedAway = 0;
  private timers: { readonly at: number; readonly task: () => void }[] = [];
  readonly arrivals: Arrivals;

  constructor(connectionsPerSecond = 20) {
    this.arrivals = new Arrivals({
      limits: { connectionsPerAddress: 100, connectionsPerSecond },
      now: () => this.now,
      after: (delayMs, task) => {
        const timer = { at: this.now + delayMs, task };
        this.timers.push(timer);
        return () => void (this.timers = this.timers.filter((other) => other !== timer));
      },
    });
  }

  come(address: string, times: number): { isGone: boolean }[] {
    return Array.from({ length: times }, () => {
      const arrival = { address, isGone: false };
      this.arrivals.come(
        arrival,
        () => this.entered.push(address),
        () => (this.turnedAway += 1),
      );
      return arrival;
    });
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

test('all that may be there at a time may come at once', () => {
  const door = new Door();
  door.come('proxy', 100);
  expect(door.entered).toHaveLength(100);
});

test('what comes on top is let in one after the other, at the rate, and nobody is forgotten', () => {
  const door = new Door();
  door.come('mad', 300);
  expect(door.entered).toHaveLength(100);
  door.pass(1_000);
  expect(door.entered).toHaveLength(120);
  door.pass(9_000);
  expect(door.entered).toHaveLength(300);
});

test('who is gone while it waits takes nobody’s turn', () => {
  const door = new Door();
  const mad = door.come('proxy', 5_000);
  for (const arrival of mad) arrival.isGone = true;
  door.come('proxy', 1);
  door.pass(100);
  expect(door.entered).toHaveLength(101);
  expect(door.turnedAway).toBe(4_900);
});

test('another address does not wait for it; one of the same IPv6 network does', () => {
  const door = new Door();
  door.come('2001:db8::1', 300);
  door.come('192.168.0.7', 1);
  door.come('2001:db8::2', 1);
  door.pass(30);
  expect(door.entered.slice(100)).toEqual(['192.168.0.7']);
});

test('who still waits when the broker stops is not let in, and no timer is left', () => {
  const door = new Door();
  door.come('mad', 101);
  door.arrivals.stop();
  door.pass(10_000);
  expect(door.entered).toHaveLength(100);
});

test('a crowd of many addresses is let in at twice the rate of one, and keeps nobody out', () => {
  const door = new Door();
  for (let round = 0; round < 10; round += 1) {
    for (let address = 0; address < 100; address += 1) door.come(`crowd ${address}`, 1);
  }
  expect(door.entered).toHaveLength(100);
  door.pass(1_000);
  expect(door.entered).toHaveLength(140);
  door.come('sensor', 1);
  door.pass(30);
  expect(door.entered).toContain('sensor');
  door.pass(60_000);
  expect(door.entered).toHaveLength(1_001);
});

test('addresses that nobody waits at are forgotten first', () => {
  const door = new Door(10_000);
  door.come('mad', 101);
  for (let address = 0; address < 5_000; address += 1) door.come(`visitor ${address}`, 1);
  door.come('mad', 1);
  expect(door.entered.filter((address) => address === 'mad')).toHaveLength(100);
  door.pass(100);
  expect(door.entered.filter((address) => address === 'mad')).toHaveLength(102);
});
