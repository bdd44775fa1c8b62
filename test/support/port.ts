import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give to connections going out: a client that tries again and again would else take it. */
const FROM = 10_240;
const UNTIL = 32_768;

/** A port of the loopback for who must know it before it is listened on, or come back to it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FROM + Math.floor(Math.random() * (UNTIL - FROM));
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
