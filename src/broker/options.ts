/**
 * What the broker is given, and what it is asked to publish.
 */
import type { Accounts } from './accounts.ts';
import type { Inlet, Publish, QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Listener } from './listen.ts';
import type { BrokerStore } from './store.ts';
import type { TlsIdentity } from './entrance.ts';
import type { After } from './write-behind.ts';

export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface BrokerOptions {
  readonly listen: readonly Listener[];
  /** What listeners with TLS show; there must be one for them. */
  readonly tls?: TlsIdentity | undefined;
  /** Of web pages whose scripts may connect over websockets, such as `http://homeassistant.local:8123`; `*` is any. */
  readonly origins?: readonly string[];
  readonly limits?: Partial<BrokerLimits>;
  readonly inlet: Inlet;
  /** Absent: everybody may connect, publish and subscribe. */
  readonly accounts?: Accounts;
  /** Its account has no right to the topic: it is acknowledged, and nothing comes of it. A will is told of as it is left. */
  readonly onDenied?: (publish: Publish, what: 'publish' | 'will') => void;
  /** Absent: sessions, retained messages and wills end with the process. */
  readonly store?: BrokerStore;
  /** The store has written something, again or still. */
  readonly onStored?: () => void;
  /** The store could not be written. What waited for it is not acknowledged. */
  readonly onUnstored?: (error: unknown) => void;
  /** Runs a task later; by default after so much time of this process. */
  readonly after?: After;
  readonly log: Log;
}

/** A message of the bridge itself. */
export interface OwnMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
}
