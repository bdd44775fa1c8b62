import { expect, onTestFinished, test } from 'vitest';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer, Request } from '../../src/core/delivery/request.ts';
import { Flusher } from '../../src/flusher.ts';
import { DatabaseError } from '../../src/ledger/database.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { SETTINGS, TODAY as DAY, units } from '../core/delivery/bench.ts';
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
  ledger.delivery.want([{ name: 'water', ...wanted }]);
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
    booked: () => {
      const key = ledger.delivery.key('water', DAY);
      return key?.kind === 'sum' ? key.ours / 1_000_000 : undefined;
    },
  };
}

async function untilSending(world: ReturnType<typeof setup>): Promise<void> {
  const { flusher, clock, answer, last } = world;
  flusher.start();
  const seen = {
    name: 'water',
    label: 'water',
    template: null,
    valueType: 'decimal',
    manual: false,
  } as const;
  await answer({ kind: 'owned', attributes: [seen], nextPage: null });
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

test('a store that fails for good ends the delivery', () => {
  const world = setup();
  world.disk.fault = new DatabaseError('io', 'db', 'the disk fails', 'look at it');
  world.flusher.start();
  expect(world.faults).toEqual([world.disk.fault]);
  expect(world.requests).toEqual([]);
});
