/**
 * The wills of connected clients, kept so that a crash of the broker does not swallow them: a client that does not
 * come back after it has its will published.
 *
 * States of a will: held (its client is connected) → gone (the client took leave, or its will was published), or
 * after another start → orphaned (its client may still come back) → published, gone.
 */
import type { QoS } from './inlet.ts';
import type { StoredWill } from './store.ts';
import type { WriteBehind } from './write-behind.ts';
import { isSystem } from './topics.ts';

/** A client as aedes hands it over; `closed` only where it is the client itself. */
export interface WillOwner {
  readonly id: string;
  readonly closed?: boolean;
}

export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
}

interface Held {
  readonly will: Will;
  readonly account: string | undefined;
  /** `undefined`: orphaned. */
  readonly owner: WillOwner | undefined;
  /** The run of the broker in which it was left. */
  readonly brokerId: string;
}

export interface ForeignWill extends Will {
  readonly clientId: string;
  readonly brokerId: string;
}

export class Wills {
  private readonly wills = new Map<string, Held>();

  constructor(private readonly changes: WriteBehind) {}

  restore(stored: readonly StoredWill[]): void {
    for (const { clientId, account, topic, payload, qos, retain } of stored) {
      const { buffer, byteOffset, length } = payload;
      const will = { topic, payload: Buffer.from(buffer, byteOffset, length), qos, retain };
      this.wills.set(clientId, { will, account, owner: undefined, brokerId: '' });
    }
  }

  /** A run of the broker begins: nobody is connected. */
  restart(): void {
    for (const [clientId, held] of this.wills) this.wills.set(clientId, { ...held, owner: undefined });
  }

  put(
    owner: WillOwner,
    { topic, payload, qos, retain }: Will,
    account: string | undefined,
    brokerId: string,
  ): void {
    // A will that its client had no right to.
    if (isSystem(topic)) return;
    const clientId = owner.id;
    const will = { topic, payload: Buffer.from(payload), qos, retain };
    this.wills.set(clientId, { will, account, owner, brokerId });
    this.changes.wills.put(clientId, { clientId, account, ...will });
    this.changes.promptly();
  }

  get(clientId: string): Will | undefined {
    return this.wills.get(clientId)?.will;
  }

  /** By its client, or on behalf of one: a client that was replaced must not take its successor's along. */
  delete(by: WillOwner): Will | undefined {
    const held = this.wills.get(by.id);
    if (!held || (held.owner !== by && held.owner?.closed === false)) return undefined;
    this.remove(by.id);
    return held.will;
  }

  /** Those left by an earlier run of the broker. */
  orphans(): (readonly [clientId: string, will: Will])[] {
    return [...this.wills].flatMap(([clientId, { will, owner }]) =>
      owner === undefined ? [[clientId, will] as const] : [],
    );
  }

  /** All that left one. */
  accounts(): Set<string | undefined> {
    return new Set(Array.from(this.wills.values(), ({ account }) => account));
  }

  /** Forgets the orphans of these accounts, or `clientId`'s. */
  forgetOrphans(isMeant: (clientId: string, account: string | undefined) => boolean): void {
    for (const [clientId, { account, owner }] of this.wills) {
      if (owner === undefined && isMeant(clientId, account)) this.remove(clientId);
    }
  }

  /** Those of runs of the broker other than the ones named. */
  *foreign(brokers: Readonly<Record<string, unknown>>): Generator<ForeignWill> {
    for (const [clientId, { will, brokerId }] of this.wills) {
      if (brokers[brokerId] === undefined) yield { ...will, clientId, brokerId };
    }
  }

  private remove(clientId: string): void {
    this.wills.delete(clientId);
    this.changes.wills.remove(clientId);
    this.changes.promptly();
  }
}
