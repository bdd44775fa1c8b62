/**
 * One connection for one exchange, and how far it came:
 *
 * ```
 * resolving ──TCP is up (https only)──▶ handshake ──TLS is up──▶ open
 *     └──────────TCP is up (http)──────────────────────────────▶ ┘
 * ```
 *
 * Before `open` no byte of the request can have left, so an error is surely "not sent". From `open` on nobody can
 * tell. A connection of its own for every exchange rules out the case where a kept-alive socket is closed by the
 * other side just as the request is written, and the one where a library writes a request a second time.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';

export class Connection {
  phase: 'resolving' | 'handshake' | 'open' = 'resolving';
  private socket: Socket | undefined;

  /** Undici's hook for making sockets. */
  readonly connect: buildConnector.connector = (to, callback) => {
    if (this.socket) {
      callback(new Error('the connection ended before the request was written'), null);
      return;
    }
    const isTls = to.protocol === 'https:';
    const port = Number(to.port === '' ? (isTls ? 443 : 80) : to.port);
    const socket = isTls
      ? connectTls({
          host: to.hostname,
          port,
          ALPNProtocols: ['http/1.1'],
          ...(isIP(to.hostname) === 0 ? { servername: to.hostname } : {}),
        })
      : connectTcp({ host: to.hostname, port });
    this.socket = socket;
    socket.setNoDelay(true);
    if (isTls) socket.once('connect', () => (this.phase = 'handshake'));
    const fail = (error: Error): void => {
      socket.off('error', fail).off('close', close);
      // A second error of the same socket has nobody to tell, and without a listener it would end the process.
      socket.on('error', () => undefined);
      callback(error, null);
    };
    const close = (): void => fail(new Error('the other side closed the connection'));
    socket.once('error', fail).once('close', close);
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      socket.off('error', fail).off('close', close);
      this.phase = 'open';
      callback(null, socket);
    });
  };

  /** Ends whatever there is, an attempt under way included: undici itself waits for that to come to its own end. */
  destroy(reason?: Error): void {
    if (this.socket?.destroyed === false) this.socket.destroy(reason);
  }
}
