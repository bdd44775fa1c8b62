/**
 * A server that writes exactly the bytes it is told to, for answers no HTTP library would give.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { ExistClient, type ExistClientOptions } from '../../src/exist/exist-client.ts';

export interface RawServer {
  readonly url: string;
  readonly port: number;
  /** One entry for each connection: all that came over it. */
  readonly received: string[];
  close(): Promise<void>;
}

/** `onRequest` runs once a connection, when the head and the announced body are there. */
export async function rawServer(onRequest: (socket: Socket, request: string) => void): Promise<RawServer> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const index = received.push('') - 1;
    let isAnswered = false;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    socket.on('data', (data) => {
      const text = (received[index] ?? '') + data.toString('latin1');
      received[index] = text;
      if (isAnswered || !isWhole(text)) return;
      isAnswered = true;
      onRequest(socket, text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    received,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const [, length = '0'] = /content-length: (\d+)/i.exec(text) ?? [];
  return text.length >= end + 4 + Number(length);
}

export function response(status: string, body: string, headers: readonly string[] = []): string {
  const head = [`HTTP/1.1 ${status}`, `content-length: ${Buffer.byteLength(body)}`, ...headers];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

export const TOKEN = 'a-very-secret-token';

export function clientOf(url: string, options: Partial<ExistClientOptions> = {}): ExistClient {
  return new ExistClient({ url, token: () => TOKEN, timeoutMs: 5_000, userAgent: 'test', ...options });
}
