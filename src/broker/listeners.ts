/**
 * Where clients come in: over TCP, with or without TLS and websockets on top.
 *
 * What comes in is admitted (it has a place, and a timer until its CONNACK) → let in → [TLS handshake] → [HTTP upgrade]
 * → carried: its stream is handed over. States of the listeners: closed → open → closing (nobody comes in) → closed.
 */
import { createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { Arrivals } from './arrivals.ts';
import type { Connection, Connections, Refusal } from './connections.ts';
import type { Entrance, EntranceParts, TlsIdentity } from './entrance.ts';
import type { BrokerLimits } from './limits.ts';
import { closeServer, listen, type Listener, type Listening } from './listen.ts';
import type { Log } from './options.ts';
import { tlsEntrance } from './tls.ts';
import { websocketEntrance } from './websocket.ts';
import { afterwards } from './write-behind.ts';

/** TCP keepalive: finds dead peers of clients that asked for no MQTT keepalive. */
const TCP_KEEPALIVE_MS = 60_000;

export interface ListenersParts {
  readonly listen: readonly Listener[];
  /** There must be one where there is TLS. */
  readonly identity: TlsIdentity | undefined;
  /** Of web pages that may connect. */
  readonly origins: readonly string[];
  readonly limits: BrokerLimits;
  readonly connections: Connections;
  readonly onStream: (connection: Connection, stream: Duplex) => void;
  readonly onRefused: (refusal: Refusal, address: string, detail?: string) => void;
  readonly log: Log;
}

export class Listeners {
  private servers: Server[] = [];
  private entrances: Entrance[] = [];
  private identity: TlsIdentity | undefined;
  private readonly arrivals: Arrivals;

  constructor(private readonly parts: ListenersParts) {
    this.identity = parts.identity;
    const { limits } = parts;
    this.arrivals = new Arrivals({ limits, now: () => performance.now(), after: afterwards });
  }

  /** Tells where. Rejects with a `ListenError`; then none is open. */
  async open(): Promise<Listening[]> {
    const opened: Listening[] = [];
    try {
      for (const listener of this.parts.listen) opened.push(await this.openOne(listener));
      return opened;
    } catch (error) {
      this.parts.connections.destroyAll();
      await this.close();
      throw error;
    }
  }

  /** Nobody comes in any more; resolves when those who are in are gone. */
  async close(): Promise<void> {
    const { servers } = this;
    this.servers = [];
    this.entrances = [];
    this.arrivals.stop();
    await Promise.all(servers.map(closeServer));
  }

  /**
   * Shows another certificate to those who come from now on.
   * @throws where it is of no use; then all stays as it was
   */
  secure(identity: TlsIdentity): void {
    for (const entrance of this.entrances) entrance.secure(identity);
    this.identity = identity;
  }

  private async openOne(listener: Listener): Promise<Listening> {
    const { limits, log, onRefused } = this.parts;
    const { scheme = 'mqtt' } = listener;
    const entrance = this.entranceOf(listener);
    const server = createServer(
      {
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEPALIVE_MS,
        highWaterMark: limits.backlogBytes,
      },
      (socket) => {
        const connection = this.parts.connections.admit(socket);
        if (!connection) return;
        const enter = (): void => {
          connection.isLetIn = true;
          entrance.take(connection);
        };
        this.arrivals.come(connection, enter, connection.cut);
      },
    );
    // `admit` counts over all listeners; this one spares the work where a single one is flooded.
    server.maxConnections = limits.connections;
    server.on('drop', (data) => onRefused('too_many', data?.remoteAddress ?? 'unknown'));
    const bound = await listen(server, listener, this.leavesIpv4(listener));
    this.servers.push(server);
    this.entrances.push(entrance);
    server.on('error', (error) => log('error', 'listener failed', { error: error.message }));
    return { scheme, ...bound };
  }

  /** `[::]` takes IPv4 too, unless `0.0.0.0` is there for it. */
  private leavesIpv4({ host, port }: Listener): boolean {
    return (
      host === '::' && this.parts.listen.some((other) => other.host === '0.0.0.0' && other.port === port)
    );
  }

  private entranceOf({ scheme = 'mqtt', path }: Listener): Entrance {
    const { limits, origins, onStream, onRefused } = this.parts;
    const parts: EntranceParts = { limits, onStream, onRefused };
    switch (scheme) {
      case 'mqtt':
        return {
          take: (connection) => {
            onStream(connection, connection.socket);
          },
          secure: () => undefined,
        };
      case 'mqtts':
        return tlsEntrance(this.identityFor(scheme), parts);
      case 'ws':
        return websocketEntrance({ identity: undefined, path, origins }, parts);
      case 'wss':
        return websocketEntrance({ identity: this.identityFor(scheme), path, origins }, parts);
    }
  }

  private identityFor(scheme: string): TlsIdentity {
    if (!this.identity) throw new Error(`a listener of ${scheme} without a certificate`);
    return this.identity;
  }
}
