/**
 * What stands between an accepted TCP connection and the stream that carries MQTT.
 */
import type { Duplex } from 'node:stream';
import type { Connection, Refusal } from './connections.ts';
import type { BrokerLimits } from './limits.ts';
import type { TlsIdentity } from './tls.ts';

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
