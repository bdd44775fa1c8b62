/**
 * Takes the browser's way back from Exist's page, on this machine only.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Tells the person at the browser what came of it. */
export type Respond = (status: 200 | 400, words: string) => void;

const MOST_CONNECTIONS = 16;

export class LoginListener {
  private constructor(private readonly servers: readonly Server[]) {}

  /**
   * On both loopback addresses: which one `localhost` means is the browser's to decide.
   * @returns why it cannot, where the port is taken, say
   */
  static async open(
    port: number,
    onQuery: (query: URLSearchParams, respond: Respond) => void,
  ): Promise<LoginListener | string> {
    const servers: Server[] = [];
    let problem: string | undefined;
    for (const host of ['127.0.0.1', '::1']) {
      const server = createServer((request, response) => {
        take(request, response, onQuery);
      });
      server.maxConnections = MOST_CONNECTIONS;
      const failed = await new Promise<string | undefined>((resolve) => {
        server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        server.listen(port, host, () => resolve(undefined));
      });
      if (failed === undefined) servers.push(server);
      // A machine without IPv6 has no ::1.
      else if (host === '127.0.0.1' || failed === 'EADDRINUSE') problem ??= failed;
    }
    const listener = new LoginListener(servers);
    if (problem === undefined) return listener;
    await listener.close();
    return problem;
  }

  async close(): Promise<void> {
    await Promise.all(
      this.servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeIdleConnections();
        // Browsers keep connections in reserve; what was answered has left.
        setTimeout(() => server.closeAllConnections(), 200).unref();
        return closed;
      }),
    );
  }
}

function take(
  request: IncomingMessage,
  response: ServerResponse,
  onQuery: (query: URLSearchParams, respond: Respond) => void,
): void {
  const target = request.url ?? '/';
  const url = URL.canParse(target, 'http://localhost') ? new URL(target, 'http://localhost') : undefined;
  // Browsers ask for an icon, too.
  if (request.method !== 'GET' || url?.pathname !== '/') {
    response.writeHead(404, { connection: 'close' }).end();
    return;
  }
  onQuery(url.searchParams, (status, words) => {
    response.writeHead(status, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'",
      // The address has the code in it.
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    });
    response.end(`<!doctype html><meta charset="utf-8"><title>mqtt2exist</title><p>${escaped(words)}</p>\n`);
  });
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? '');
}
