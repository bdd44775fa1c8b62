/**
 * The tests that aedes-persistence has for whatever aedes is to keep its state in, run against ours with a real
 * database behind it; once as they are, and once with the broker restarted before every single call.
 */
import assert from 'node:assert';
import { Readable } from 'node:stream';
import abstractTests, { type Context } from 'aedes-persistence/abstract.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { InletGate } from '../../src/broker/inlet.ts';
import { DEFAULT_LIMITS } from '../../src/broker/limits.ts';
import { Owners } from '../../src/broker/owners.ts';
import { Persistence } from '../../src/broker/persistence.ts';
import type { Target } from '../../src/broker/staging.ts';
import { State } from '../../src/broker/state.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { temporaryFolder } from '../support/folder.ts';

const nothing = (): void => undefined;

interface AbstractTest {
  readonly name: string;
  readonly run: (t: Context) => Promise<void>;
}

/** What contradicts a decision of ours. */
const DEVIATIONS: ReadonlyMap<string, string> = new Map([
  [
    'add outgoing packet as a string and stream',
    'a payload is bytes, and comes back as the bytes it goes out as',
  ],
  [
    'add incoming packet, get it, and clear with messageId',
    'a QoS 2 PUBLISH is taken by the inlet before aedes would store it; only its packet id is kept',
  ],
  ['clean incoming packets', 'the same'],
]);

/** What belongs to one run of a broker: the numbers of its publishes, its own name. */
const OF_ONE_RUN: ReadonlySet<string> = new Set([
  'add outgoing packet and stream it',
  'add outgoing packet for multiple subs and stream to all',
  'add outgoing packet as a string and pump',
  'add outgoing packet and stream it twice',
  'add outgoing packet and update messageId',
  'add 2 outgoing packet and clear messageId',
  'update to publish w/ same messageId',
  'add many outgoing packets and clear messageIds',
  'update to pubrel',
  'stream all will messages',
  'stream all will message for unknown brokers',
]);

function makePersistence(ledger: Ledger): { state: State; persistence: Persistence } {
  const gate = new InletGate({ take: nothing, released: nothing }, DEFAULT_LIMITS, nothing);
  const state = new State({
    limits: DEFAULT_LIMITS,
    store: ledger.broker,
    after: () => nothing,
    owners: new Owners(() => true),
    gate,
    isConnected: () => false,
    accountOf: () => undefined,
    onRetainedDropped: nothing,
    onQueuedDropped: nothing,
    onStored: nothing,
    onUnstored: (error) => {
      throw error;
    },
  });
  state.load();
  const persistence = new Persistence({
    state,
    isGranted: () => true,
    accountOf: () => undefined,
    isDuplicate: () => false,
    resent: new WeakSet(),
    release: (clientId, packetId) => gate.release(clientId, packetId),
    forgetExchanges: (clientId) => {
      gate.forget(clientId);
    },
    isStopping: () => false,
  });
  return { state, persistence };
}

/** Ours, with what the tests take for granted and aedes does not do. */
class Adapted extends Persistence {
  /** The tests give packets a property `id` that those of aedes do not have. */
  override createRetainedStreamCombi(filters: readonly string[]): Readable {
    const id = this.broker.id;
    return super.createRetainedStreamCombi(filters).map((packet: object) => ({ ...packet, id }));
  }

  /** Messages wait in sessions, and a session begins with a subscription. */
  override async outgoingEnqueueCombi(
    subscribers: readonly (Target & { readonly topic?: string })[],
    packet: Parameters<Persistence['outgoingEnqueueCombi']>[1],
  ): Promise<void> {
    for (const { clientId, topic = packet.topic, qos = 1 } of subscribers) {
      await this.addSubscriptions({ id: clientId }, [{ topic, qos }]);
    }
    await super.outgoingEnqueueCombi(subscribers, packet);
  }
}

function adapted(ledger: Ledger): { state: State; persistence: Adapted } {
  const { state, persistence } = makePersistence(ledger);
  return { state, persistence: Object.setPrototypeOf(persistence, Adapted.prototype) as Adapted };
}

function openLedger(): Ledger {
  const ledger = Ledger.open(temporaryFolder(), { space: { ballastBytes: 0 } });
  onTestFinished(() => {
    ledger.broker.commit();
    ledger.close();
  });
  return ledger;
}

/** Before each call all that was in memory goes, and another broker begins with what the database has. */
function restarting(ledger: Ledger): unknown {
  let current = adapted(ledger);
  const broker: { current: { id: string } } = { current: { id: '' } };
  const restart = async (): Promise<void> => {
    current.state.stop();
    current = adapted(ledger);
    await current.persistence.setup(broker.current);
  };
  return new Proxy(current.persistence, {
    get(_target, name) {
      const member: unknown = Reflect.get(current.persistence, name);
      if (typeof member !== 'function') return member;
      if (name === 'setup') {
        return async (given: { id: string }): Promise<void> => {
          broker.current = given;
          await current.persistence.setup(given);
        };
      }
      const call = (...given: unknown[]): unknown =>
        Reflect.apply(Reflect.get(current.persistence, name) as () => unknown, current.persistence, given);
      const isStream = /Stream|streamWill|ClientList/.test(String(name));
      if (isStream) {
        return (...given: unknown[]): Readable =>
          Readable.from(
            (async function* () {
              await restart();
              yield* call(...given) as Readable;
            })(),
          );
      }
      return async (...given: unknown[]): Promise<unknown> => {
        await restart();
        return call(...given);
      };
    },
  });
}

function collect(persistence: () => unknown): AbstractTest[] {
  const found: AbstractTest[] = [];
  abstractTests({ test: (name, run) => found.push({ name, run }), persistence, testAsync: true });
  return found;
}

/** As node:test runs it: the plan is kept, and every assertion counts. */
async function runAbstract({ run }: AbstractTest): Promise<void> {
  let planned: number | undefined;
  let asserted = 0;
  const counting = new Proxy(assert, {
    get(target, name) {
      asserted += 1;
      return Reflect.get(target, name) as unknown;
    },
  });
  await run({ plan: (count) => (planned = count), diagnostic: nothing, assert: counting });
  if (planned !== undefined) expect(asserted).toBe(planned);
}

describe('as aedes uses it', () => {
  const tests = collect(() => adapted(openLedger()).persistence);

  test.each(tests.filter(({ name }) => !DEVIATIONS.has(name)))('$name', runAbstract);

  test.each([...DEVIATIONS])('deviates in "%s": %s', async (name) => {
    const found = tests.find((one) => one.name === name);
    if (!found) throw new Error('there is no such test any more');
    await expect(runAbstract(found)).rejects.toThrow();
  });
});

describe('restarted before every call', () => {
  const tests = collect(() => restarting(openLedger()));

  test.each(tests.filter(({ name }) => !DEVIATIONS.has(name) && !OF_ONE_RUN.has(name)))('$name', runAbstract);
});
