/**
 * What stands between an accepted TCP connection and the stream that carries MQTT.
 */
import type { Duplex } from 'node:stream';
import type { Connection, Refusal } from './connections.ts';
import type { BrokerLimits } from './limits.ts';

/** PEM. */
export interface TlsIdentity {
  /** The server's certificate, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** Certificates of authorities, sent along where they are part of the chain. */
  readonly ca?: string | undefined;
}

export interface Entrance {
  /** It has its place and its timer. */
  readonly take: (connection: Connection) => void;
  /** Another certificate, for those who come from now on. */
  readonly secure: (identity: TlsIdentity) => void;
}

export interface EntranceParts {
  readonly limits: Pick<BrokerLimits, 'backlogBytes' | 'packetSize' | 'connectPacketSize'>;
  readonly onStream: (connection: Connection, stream: Duplex) => void;
  readonly onRefused: (refusal: Refusal, address: string, detail?: string) => void;
}
