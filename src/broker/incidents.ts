/**
 * What goes amiss between the broker and its clients: counted, and said in the log, where it may come often once an hour.
 */
import { Seldom } from '../core/seldom.ts';
import { HOUR_MS } from '../core/time.ts';
import type { Guest } from './accounts.ts';
import type { Refusal } from './connections.ts';
import type { BrokerCounters } from './counters.ts';
import type { PublishRefusal } from './hooks.ts';
import type { Publish } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { BrokerOptions } from './options.ts';

export class Incidents {
  private readonly complaints = new Seldom(HOUR_MS, () => performance.now());

  constructor(
    private readonly counters: BrokerCounters,
    private readonly limits: Pick<BrokerLimits, 'messagesPerSecond'>,
    private readonly options: Pick<BrokerOptions, 'log' | 'accounts' | 'onDenied'>,
  ) {}

  /** A connection was not let in, or cut off for what it is. */
  refused(refusal: Refusal, address: string, detail?: string): void {
    this.counters.refusedConnections[refusal] += 1;
    // Who has a wrong password is told of where passwords are checked.
    const isNews = refusal !== 'credentials' && this.complaints.isDue(`${refusal} ${address}`);
    const fields = { reason: refusal, address, ...(detail !== undefined && { detail }) };
    this.options.log(isNews ? 'warn' : 'debug', 'connection refused', fields);
  }

  publishRefused(refusal: PublishRefusal, client: string | undefined, reason: string): void {
    this.counters.refusedPublishes[refusal] += 1;
    this.options.log('debug', 'publish not taken', { client, reason });
  }

  topicTooLarge(client: string | undefined, topic: string, reason: string): void {
    this.counters.topicsTooLarge += 1;
    const isNews = this.complaints.isDue(`topic ${client ?? ''}`);
    const fields = { client, topic: topic.slice(0, 200), reason };
    this.options.log(isNews ? 'warn' : 'debug', 'a publish was acknowledged and comes to nothing', fields);
  }

  /** The client has no right to the topic of what it publishes, or leaves as its will. */
  denied({ account }: Guest, what: 'publish' | 'will', publish: Publish): void {
    this.counters.denied[what] += 1;
    if (account !== undefined) this.options.accounts?.denied(account, what, publish.topic);
    this.options.onDenied?.(publish, what);
  }

  subscriptionDenied({ account }: Guest, filter: string): void {
    this.counters.denied.subscribe += 1;
    if (account !== undefined) this.options.accounts?.denied(account, 'subscribe', filter);
  }

  slowed(client: string): void {
    this.counters.slowed += 1;
    this.options.log('warn', 'a client sends more than its rate; it is read from more slowly', {
      client,
      messages_per_second: this.limits.messagesPerSecond,
    });
  }

  flooded(client: string): void {
    this.counters.flooded += 1;
    this.options.log('warn', 'a client has been above its rate for too long; it is disconnected', { client });
  }

  retainedDropped(topic: string): void {
    this.counters.droppedRetained += 1;
    this.options.log('debug', 'no room for a retained message', { topic });
  }

  queuedDropped(client: string): void {
    this.counters.droppedQueued += 1;
    this.options.log('debug', 'no room in the queue of a session', { client });
  }

  lost(client: string, { message }: Error): void {
    this.options.log('debug', 'connection lost', { client, reason: message });
  }

  /** The broker itself has stumbled. */
  fault(error: unknown): void {
    this.options.log('error', 'broker failed', {
      error: error instanceof Error ? error.stack : String(error),
    });
  }
}
