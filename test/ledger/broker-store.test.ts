import { describe, expect, test } from 'vitest';
import { Bench } from './setup.ts';

type Store = Bench['ledger']['broker'];
type Source = Parameters<Store['attach']>[0];
type Changes = NonNullable<ReturnType<Source['changes']>>;

const NOTHING: Changes = {
  hours: undefined,
  endedSessions: [],
  sessions: [],
  subscriptions: { put: [], removed: [] },
  queue: { put: [], removed: [] },
  retained: { put: [], removed: [] },
  wills: { put: [], removed: [] },
  exchanges: { put: [], removed: [] },
};

const bytes = (text: string): Buffer => Buffer.from(text);
const door = { topic: 'door', payload: bytes('open'), qos: 1 } as const;
const session = { clientId: 'panel', account: 'kitchen', usedHour: 7 };
const subscription = { clientId: 'panel', filter: 'door/#', options: { qos: 2 } } as const;
const message = {
  seq: 4,
  clientId: 'panel',
  topic: 'door',
  payload: bytes('open'),
  qos: 2,
  packetId: undefined,
  isReceived: false,
} as const;
const will = { clientId: 'lamp', account: undefined, ...door, retain: true } as const;
const exchange = { clientId: 'lamp', packetId: 9 };

/** Hands over what it is given, once. */
class TestSource implements Source {
  pending: Changes | undefined;
  commits = 0;

  changes(): Changes | undefined {
    return this.pending;
  }

  committed(): void {
    this.pending = undefined;
    this.commits += 1;
  }
}

function setup(): { bench: Bench; source: TestSource; put: (changes: Partial<Changes>) => void } {
  const bench = new Bench();
  const source = new TestSource();
  const put = (changes: Partial<Changes>): void => {
    source.pending = { ...NOTHING, ...changes };
    bench.ledger.broker.attach(source);
    bench.ledger.broker.commit();
  };
  return { bench, source, put };
}

function restarted(bench: Bench): ReturnType<Store['load']> {
  bench.close();
  return bench.ledger.broker.load();
}

describe('what the broker keeps', () => {
  test('comes back as it was put', () => {
    const { bench, put } = setup();
    put({
      hours: 8,
      sessions: [session],
      subscriptions: { put: [subscription], removed: [] },
      queue: { put: [message], removed: [] },
      retained: { put: [door], removed: [] },
      wills: { put: [will], removed: [] },
      exchanges: { put: [exchange], removed: [] },
    });
    expect(restarted(bench)).toEqual({
      hours: 8,
      sessions: [session],
      subscriptions: [subscription],
      queue: [message],
      retained: [door],
      wills: [will],
      exchanges: [exchange],
    });
  });

  test('is gone when it was removed', () => {
    const { bench, put } = setup();
    put({
      subscriptions: { put: [subscription], removed: [] },
      queue: { put: [message], removed: [] },
      retained: { put: [door], removed: [] },
      wills: { put: [will], removed: [] },
      exchanges: { put: [exchange], removed: [] },
    });
    put({
      subscriptions: { put: [], removed: [subscription] },
      queue: { put: [], removed: [message.seq] },
      retained: { put: [], removed: [door.topic] },
      wills: { put: [], removed: [will.clientId] },
      exchanges: { put: [], removed: [exchange] },
    });
    expect(restarted(bench)).toEqual({
      hours: 0,
      sessions: [],
      subscriptions: [],
      queue: [],
      retained: [],
      wills: [],
      exchanges: [],
    });
  });

  test('takes the way of a queued message: its packet id, its PUBREC', () => {
    const { bench, put } = setup();
    put({ queue: { put: [message], removed: [] } });
    put({ queue: { put: [{ ...message, packetId: 77, isReceived: true }], removed: [] } });
    expect(restarted(bench).queue).toEqual([{ ...message, packetId: 77, isReceived: true }]);
  });

  test('loses all of a session that ended, and keeps what the next one of that client brings', () => {
    const { bench, put } = setup();
    put({
      sessions: [session],
      subscriptions: { put: [subscription], removed: [] },
      queue: { put: [message], removed: [] },
    });
    const next = { ...subscription, filter: 'window' };
    put({
      endedSessions: [session.clientId],
      sessions: [session],
      subscriptions: { put: [next], removed: [] },
    });
    const state = restarted(bench);
    expect(state.sessions).toEqual([session]);
    expect(state.subscriptions).toEqual([next]);
    expect(state.queue).toEqual([]);
  });

  test('goes along with the readings in one transaction', () => {
    const { bench, source } = setup();
    bench.ledger.broker.attach(source);
    source.pending = { ...NOTHING, retained: { put: [door], removed: [] } };
    bench.count(1);
    expect(source.commits).toBe(1);
    expect(bench.rows('broker_retained')).toBe(1);
  });

  test('is not told as stored when the readings it went along with failed', () => {
    const { bench, source } = setup();
    const { ledger } = bench;
    ledger.broker.attach(source);
    source.pending = { ...NOTHING, retained: { put: [door], removed: [] } };
    expect(() => bench.enter({ verdict: 'nonsense' as 'accepted' })).toThrow(/CHECK/);
    expect(source.commits).toBe(0);
    expect(bench.rows('broker_retained')).toBe(0);
  });

  test('does not stop the readings where the schema does not take it', () => {
    const { bench, source } = setup();
    bench.ledger.broker.attach(source);
    const wrong = { ...message, packetId: 70_000 };
    source.pending = {
      ...NOTHING,
      queue: { put: [wrong], removed: [] },
      retained: { put: [door], removed: [] },
    };
    bench.count(1);
    expect(bench.total()).toBe(1);
    expect(source.commits).toBe(0);
    expect(bench.rows('broker_retained')).toBe(0);
    expect(() => {
      bench.ledger.broker.commit();
    }).toThrow(/CHECK/);
  });

  test('is read without what makes no sense', () => {
    const { bench, put } = setup();
    put({ subscriptions: { put: [subscription], removed: [] } });
    bench.meddle(
      `INSERT INTO broker_subscription VALUES ('panel', 'a', 'no json'), ('panel', 'b', '{"qos":5}')`,
    );
    expect(bench.ledger.broker.load().subscriptions).toEqual([subscription]);
  });

  test('is saved from a damaged database', () => {
    const { bench, put } = setup();
    put({ sessions: [session], retained: { put: [door], removed: [] } });
    bench.meddle("INSERT OR REPLACE INTO meta VALUES ('account', '{')");
    const state = bench.ledger.broker.load();
    expect(bench.reports).toHaveLength(1);
    expect(state.sessions).toEqual([session]);
    expect(state.retained).toEqual([door]);
  });
});
