import { request } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer, Request } from '../../src/core/delivery/request.ts';
import { Flusher } from '../../src/flusher.ts';
import { DatabaseError } from '../../src/ledger/database.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { Web } from '../../src/web/web.ts';
import { SETTINGS, TODAY as DAY, units, seenAs } from '../core/delivery/bench.ts';
import { TestClock } from '../support/clock.ts';
import { temporaryFolder } from '../support/folder.ts';

/** A flusher on a real database whose disk a test can fill, and an Exist that answers when it is told to. */
function setup() {
  const folder = temporaryFolder();
  const ledger = Ledger.open(folder);
  const clock = new TestClock('2026-11-24T12:00:00Z');
  const wanted = {
    template: null,
    label: 'water',
    group: 'custom',
    valueType: 'decimal',
    wantedMode: null,
  } as const;
  ledger.delivery.want([{ name: 'water', ...wanted }], clock.now());
  const contribution = { kind: 'sum', attribute: 'water', day: DAY, amount: units(3) } as const;
  ledger.journal.transact(() =>
    ledger.journal.add({
      receivedAt: clock.now(),
      topic: 'tap',
      verdict: 'accepted',
      delivery: undefined,
      contributions: [contribution],
      reason: undefined,
      sample: undefined,
    }),
  );
  const disk: { fault?: DatabaseError | undefined; markFault?: DatabaseError | undefined } = {};
  const requests: Request[] = [];
  let answer: ((body: Answer) => Promise<void>) | undefined;
  const faults: unknown[] = [];
  const flusher = new Flusher(
    {
      store: {
        transact: (decide, now) => {
          if (disk.fault) throw disk.fault;
          return ledger.delivery.transact(decide, now);
        },
        depart: (callId) => {
          if (disk.markFault) throw disk.markFault;
          ledger.delivery.depart(callId);
        },
        account: () => ledger.delivery.account(),
        load: () => ledger.delivery.load(),
      },
      exist: {
        call: (request) => {
          requests.push(request);
          return new Promise<Outcome<Answer>>((resolve) => {
            answer = async (body) => {
              resolve({ kind: 'answered', status: 200, body });
              await new Promise((next) => setImmediate(next));
            };
          });
        },
      },
      clock,
      random: () => 0.5,
      isTimeKnown: () => true,
      isPassing: (error) => error instanceof DatabaseError && error.problem === 'full',
      onNote: () => undefined,
      onFinished: () => undefined,
      onDecision: () => undefined,
      onFault: (error) => faults.push(error),
    },
    SETTINGS,
  );
  onTestFinished(() => {
    ledger.close();
  });
  return {
    flusher,
    clock,
    disk,
    requests,
    faults,
    answer: (body: Answer) => answer?.(body) ?? Promise.resolve(),
    last: () => requests.at(-1),
    held: () => ledger.delivery.key('water', DAY)?.held,
    booked: () => {
      const key = ledger.delivery.key('water', DAY);
      return key?.kind === 'sum' ? key.ours / 1_000_000 : undefined;
    },
  };
}

async function untilSending(world: ReturnType<typeof setup>): Promise<void> {
  const { flusher, clock, answer, last } = world;
  flusher.start();
  await answer({ kind: 'owned', attributes: [seenAs('water')], nextPage: null });
  clock.advanceTo('2026-11-24T12:00:02Z');
  await answer({ kind: 'read', values: new Map([['water', new Map([[DAY, null]])]]) });
  expect(last()).toMatchObject({ kind: 'increment' });
}

test('an answer that meets a full disk is written when there is space again, and its call is not made twice', async () => {
  const world = setup();
  await untilSending(world);
  world.disk.fault = new DatabaseError('full', 'db', 'the disk is full', 'free some space');
  const success = [{ name: 'water', day: DAY, current: units(3) }];
  await world.answer({ kind: 'written', success, failed: [] });
  expect(world.booked()).toBe(0);
  // Whatever else happens meanwhile waits behind it.
  world.flusher.contributed();
  world.flusher.timeKnown();
  world.clock.advanceTo('2026-11-24T12:05:00Z');
  world.disk.fault = undefined;
  world.clock.advanceTo('2026-11-24T12:05:20Z');
  expect(world.booked()).toBe(3);
  expect(world.faults).toEqual([]);
  expect(world.requests.filter(({ kind }) => kind === 'increment')).toHaveLength(1);
});

test('a call that cannot be marked as sent is not sent, and goes when there is space again', async () => {
  const world = setup();
  const { flusher, clock, disk, requests, faults } = world;
  disk.markFault = new DatabaseError('full', 'db', 'the disk is full', 'free some space');
  flusher.start();
  await new Promise((next) => setImmediate(next));
  expect(requests).toEqual([]);
  disk.markFault = undefined;
  clock.advanceTo('2026-11-24T12:01:00Z');
  await new Promise((next) => setImmediate(next));
  expect(requests).toMatchObject([{ kind: 'owned' }]);
  expect(faults).toEqual([]);
});

describe('what the user decides while the disk is full', () => {
  /** An increment of 3 that Exist refused, and the web listener before it. */
  async function withRefused() {
    const world = setup();
    await untilSending(world);
    const failed = [{ name: 'water', day: DAY, code: 'validation', message: 'no' }];
    await world.answer({ kind: 'written', success: [], failed });
    expect(world.held()).toMatchObject({ state: 'refused' });
    const unused = (): never => {
      throw new Error('not asked for here');
    };
    const web = new Web({
      listen: { host: '127.0.0.1', port: 0 },
      source: {
        health: unused,
        status: unused,
        devices: unused,
        topics: unused,
        watch: unused,
        metrics: unused,
        settle: (settlement) => world.flusher.settle(settlement),
      },
      onFault: (error) => world.faults.push(error),
    });
    const { port } = await web.start();
    onTestFinished(() => web.stop());
    const drop = async (): Promise<{ status: number; body: unknown }> => {
      const response = await request(`http://127.0.0.1:${port}/api/held`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-mqtt2exist': '1' },
        body: JSON.stringify({ attribute: 'water', day: DAY, how: 'drop' }),
      });
      return { status: response.statusCode, body: await response.body.json() };
    };
    return { ...world, drop };
  }
  const FULL = new DatabaseError('full', 'db', 'the disk is full', 'free some space');
  const REFUSED = { status: 503, body: { error: 'the disk is full; nothing was settled' } };

  test('is refused in words, and not done when there is space again', async () => {
    const { clock, disk, faults, held, drop } = await withRefused();
    disk.fault = FULL;
    expect(await drop()).toEqual(REFUSED);
    disk.fault = undefined;
    clock.advanceTo('2026-11-24T12:30:00Z');
    expect(held()).toMatchObject({ state: 'refused' });
    expect(await drop()).toEqual({ status: 200, body: { settled: true } });
    expect(held()).toBeNull();
    expect(faults).toEqual([]);
  });

  test('does not overtake what happened before and could not be written either', async () => {
    const { flusher, clock, disk, held, drop } = await withRefused();
    disk.fault = FULL;
    flusher.reconfigure(SETTINGS);
    expect(await drop()).toEqual(REFUSED);
    disk.fault = undefined;
    expect(await drop()).toMatchObject({ status: 200 });
    clock.advanceTo('2026-11-24T12:30:00Z');
    expect(held()).toBeNull();
  });

  test('is no answer of "settled" where the disk fails for good', async () => {
    const { disk, faults, drop } = await withRefused();
    disk.fault = new DatabaseError('io', 'db', 'the disk fails', 'look at it');
    expect(await drop()).toMatchObject({ status: 500 });
    expect(faults).toContain(disk.fault);
  });

  test('is not put down to a full disk where the store had failed for good before', async () => {
    const { flusher, disk, faults, drop } = await withRefused();
    disk.fault = new DatabaseError('io', 'db', 'the disk fails', 'look at it');
    flusher.reconfigure(SETTINGS);
    expect(await drop()).toMatchObject({ status: 500 });
    expect(faults[0]).toBe(disk.fault);
  });
});

test('a call that cannot be marked as sent for good is not sent, and what is told is not a full disk', async () => {
  const { flusher, disk, requests, faults } = setup();
  disk.markFault = new DatabaseError('io', 'db', 'the disk fails', 'look at it');
  flusher.start();
  await new Promise((next) => setImmediate(next));
  expect(requests).toEqual([]);
  expect(faults).toEqual([disk.markFault]);
  expect(flusher.state.pause?.message).toMatch(/the disk fails/);
});

test('a store that fails for good ends the delivery', () => {
  const world = setup();
  world.disk.fault = new DatabaseError('io', 'db', 'the disk fails', 'look at it');
  world.flusher.start();
  expect(world.faults).toEqual([world.disk.fault]);
  expect(world.requests).toEqual([]);
});
