/**
 * Hands connections that a listener has accepted and counted to a server that does not listen itself (TLS, HTTP), and
 * finds them again when that server is done with its part.
 *
 * The listener comes first so that a connection has its place and its timer from the first byte on: a handshake that
 * never ends is as bounded as a CONNECT that never comes.
 */
import type { Server, Socket } from 'node:net';
import { getDefaultHighWaterMark, setDefaultHighWaterMark } from 'node:stream';
import type { Connection } from './connections.ts';

export class Handover {
  /** By who is at the other end; a server gives back another socket than it got. */
  private readonly open = new Map<string, Connection>();

  constructor(
    private readonly server: Server,
    private readonly highWaterMark: number,
  ) {}

  pass(connection: Connection): void {
    const { socket } = connection;
    const peer = peerOf(socket);
    if (peer === undefined) {
      connection.cut();
      return;
    }
    this.open.set(peer, connection);
    socket.once('close', () => {
      // The system may give the port to another connection before it is told here that this one is closed.
      if (this.open.get(peer) === connection) this.open.delete(peer);
    });
    // Node has no option for the buffers of the TLS sockets that its server makes, and makes them right here.
    const before = getDefaultHighWaterMark(false);
    setDefaultHighWaterMark(false, this.highWaterMark);
    try {
      this.server.emit('connection', socket);
    } finally {
      setDefaultHighWaterMark(false, before);
    }
  }

  /** `undefined` where it is closed already. */
  connectionOf(socket: Socket): Connection | undefined {
    const peer = peerOf(socket);
    return peer === undefined ? undefined : this.open.get(peer);
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort ?? 0}`;
}
