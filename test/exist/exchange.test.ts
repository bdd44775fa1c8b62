import { createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import type { LocalDate } from '../../src/core/time.ts';
import { Connection } from '../../src/exist/connection.ts';
import type { ExistClient } from '../../src/exist/exist-client.ts';
import { TOKEN, clientOf, rawServer, response, type RawServer } from './raw-server.ts';
import { CERTIFICATE, KEY } from './self-signed.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function serve(onRequest: (socket: Socket, request: string) => void): Promise<RawServer> {
  const server = await rawServer(onRequest);
  open.push(server);
  return server;
}

const item = { name: 'fridge_opens', date: '2026-08-02' as LocalDate, value: 1 };
const written = JSON.stringify({ success: [{ name: 'fridge_opens', value: 1, current: 5 }], failed: [] });
const whole = response('200 OK', written, ['content-type: application/json']);

function increment(client: ExistClient): ReturnType<ExistClient['increment']> {
  return client.increment([item]);
}

test('a whole answer is answered', async () => {
  const server = await serve((socket) => socket.end(whole));
  expect(await increment(clientOf(server.url))).toEqual({
    kind: 'answered',
    status: 200,
    body: { success: [{ name: 'fridge_opens', current: 5 }], failed: [] },
  });
});

test('an answer cut off anywhere is unknown, however the connection ends', async () => {
  // Every position: no byte at all, in the status line, in the headers, between them and the body, in the body.
  let cut = 0;
  let isReset = false;
  const server = await serve((socket) => {
    const end = (): void => {
      if (isReset) socket.resetAndDestroy();
      else socket.destroy();
    };
    if (cut === 0) end();
    else socket.write(whole.slice(0, cut), end);
  });
  const client = clientOf(server.url);
  const positions = Array.from({ length: whole.length }, (_, position) => position);
  for (isReset of [false, true]) {
    for (cut of positions) expect((await increment(client)).kind, `${cut} ${isReset}`).toBe('unknown');
  }
});

test('a chunked answer without its last chunk is unknown, with it answered', async () => {
  const size = Buffer.byteLength(written).toString(16);
  const chunked = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n${written}\r\n`;
  const answers = [chunked, `${chunked}0\r\n\r\n`];
  const server = await serve((socket) => socket.end(answers.shift() ?? ''));
  const client = clientOf(server.url);
  expect((await increment(client)).kind).toBe('unknown');
  expect((await increment(client)).kind).toBe('answered');
});

test('a content-length that is too long or too short is unknown', async () => {
  const lengths = [written.length + 1, written.length - 1];
  const server = await serve((socket) => {
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${lengths.shift()}\r\n\r\n${written}`);
  });
  const client = clientOf(server.url);
  expect((await increment(client)).kind).toBe('unknown');
  expect((await increment(client)).kind).toBe('unknown');
});

test.each<[string, string | Buffer]>([
  ['SSH speaking', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ['HTML', response('200 OK', '<html><title>Log in</title></html>')],
  ['nothing', response('200 OK', '')],
  ['another JSON', response('200 OK', '{"status":"ok"}')],
  ['an empty object', response('200 OK', '{}')],
  ['a list', response('200 OK', '[]')],
  ['null', response('200 OK', 'null')],
  ['items of another form', response('200 OK', '{"success":[{"current":5}],"failed":[]}')],
  ['bytes that are no UTF-8', Buffer.from(response('200 OK', '{"success":[],"failed":"ÿ"}'), 'latin1')],
  ['deep nesting', response('200 OK', '['.repeat(100_000))],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['redirect', response('302 Found', '', ['location: http://127.0.0.1:1/'])],
  ['permanent redirect', response('308 Moved', '', ['location: http://127.0.0.1:1/'])],
  ['400', response('400 Bad Request', '{"error":"Expected an array of objects"}')],
  ['404', response('404 Not Found', '{"detail":"Not found."}')],
  ['409', response('409 Conflict', '')],
  ['500', response('500 Internal Server Error', 'oops')],
  ['502', response('502 Bad Gateway', '<title>502 Bad Gateway</title>')],
  ['503', response('503 Unavailable', '', ['retry-after: 30'])],
])('%s is unknown', async (_, bytes) => {
  const server = await serve((socket) => void socket.end(bytes));
  expect((await increment(clientOf(server.url))).kind).toBe('unknown');
  expect(server.received).toHaveLength(1);
});

test.each([
  ['401 Unauthorized', 'unauthorised'],
  ['403 Forbidden', 'forbidden'],
  ['429 Too Many Requests', 'rate-limited'],
] as const)('%s is not sent, in the words of the server', async (status, cause) => {
  const server = await serve((socket) => socket.end(response(status, '{"detail":"Go away."}')));
  expect(await increment(clientOf(server.url))).toEqual({
    kind: 'not-sent',
    cause,
    message: `${status.slice(0, 3)}: Go away.`,
  });
});

test('a 401 whose body is cut off is not sent all the same', async () => {
  const server = await serve((socket) => {
    socket.write('HTTP/1.1 401 Unauthorized\r\ncontent-length: 100\r\n\r\n{', () => socket.destroy());
  });
  expect(await increment(clientOf(server.url))).toMatchObject({ kind: 'not-sent', cause: 'unauthorised' });
});

test.each([
  ['seconds', ['retry-after: 120'], 120_000],
  [
    'a date by the server’s clock',
    ['date: Sun, 02 Aug 2026 10:00:00 GMT', 'retry-after: Sun, 02 Aug 2026 10:05:00 GMT'],
    300_000,
  ],
  ['a date by our clock', ['retry-after: Sun, 02 Aug 2026 10:05:00 GMT'], 60_000],
  ['a date that is over', ['retry-after: Sun, 02 Aug 2020 10:05:00 GMT'], 0],
  ['nonsense', ['retry-after: soon'], undefined],
  ['nothing', [], undefined],
])('Retry-After as %s', async (_, headers, expected) => {
  const server = await serve((socket) => socket.end(response('429 Too Many Requests', '', headers)));
  const now = (): number => Date.UTC(2026, 7, 2, 10, 4, 0);
  const outcome = await clientOf(server.url, { now }).profile();
  expect(outcome.kind === 'not-sent' ? outcome.retryAfterMs : 'no').toBe(expected);
});

test('the server’s clock is told', async () => {
  const date = 'date: Sun, 02 Aug 2026 10:00:00 GMT';
  const server = await serve((socket) => socket.end(response('202 Accepted', written, [date])));
  expect(await increment(clientOf(server.url))).toMatchObject({
    status: 202,
    serverTime: Date.UTC(2026, 7, 2, 10),
  });
});

test('a refused connection is not sent', async () => {
  const server = await rawServer(() => undefined);
  await server.close();
  const outcome = await increment(clientOf(server.url));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'network' });
  expect(outcome.kind === 'not-sent' && outcome.message).toContain('ECONNREFUSED');
});

test('a name that does not exist is not sent', async () => {
  // RFC 6761: no name under .invalid ever resolves.
  const outcome = await increment(clientOf('http://exist.invalid'));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'network' });
});

test('TLS with a port that speaks none is not sent, and no request is written', async () => {
  const server = await serve(() => undefined);
  const plain = createTcpServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  });
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => new Promise((resolve) => plain.close(() => resolve())) });
  const address = plain.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const outcome = await increment(clientOf(`https://127.0.0.1:${address.port}`));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'tls' });
  expect(server.received).toEqual([]);
});

test('a certificate nobody vouches for is not sent, and no request is written', async () => {
  let received = '';
  const server = createTlsServer({ key: KEY, cert: CERTIFICATE }, (socket) => {
    socket.on('error', () => undefined).on('data', (data: Buffer) => (received += data.toString('latin1')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({ close: () => new Promise((resolve) => server.close(() => resolve())) });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const outcome = await increment(clientOf(`https://127.0.0.1:${address.port}`));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'tls' });
  expect(outcome.kind === 'not-sent' && outcome.message).toMatch(/self.signed/i);
  expect(received).toBe('');
});

test.each([
  ['before the status line', ''],
  ['in the headers', 'HTTP/1.1 200 OK\r\ncontent-le'],
  ['before the body', `HTTP/1.1 200 OK\r\ncontent-length: ${written.length}\r\n\r\n`],
  ['in the body', whole.slice(0, -5)],
])('silence %s is unknown within the time-out', async (_, bytes) => {
  const server = await serve((socket) => void socket.write(bytes));
  const begun = performance.now();
  const outcome = await increment(clientOf(server.url, { timeoutMs: 100 }));
  expect(outcome.kind).toBe('unknown');
  expect(outcome.kind === 'unknown' && outcome.message).toContain('100 ms');
  expect(performance.now() - begun).toBeLessThan(1_000);
});

test('a connection that is not accepted in time is not sent', async () => {
  // TLS whose server says nothing: the connection never comes to stand.
  const server = await serve(() => undefined);
  const begun = performance.now();
  const outcome = await increment(clientOf(`https://127.0.0.1:${server.port}`, { timeoutMs: 100 }));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'network' });
  expect(performance.now() - begun).toBeLessThan(1_000);
});

test('bytes that drip in do not stretch the time-out', async () => {
  const server = await serve((socket) => {
    let position = 0;
    const drip = setInterval(() => socket.write(whole.slice(position, ++position)), 5);
    socket.on('close', () => clearInterval(drip));
  });
  const begun = performance.now();
  expect((await increment(clientOf(server.url, { timeoutMs: 100 }))).kind).toBe('unknown');
  expect(performance.now() - begun).toBeLessThan(1_000);
});

test('an endless body is not read past its bound', async () => {
  let written = 0;
  const server = await serve((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const pour = (): void => {
      while (!socket.destroyed && socket.write('x'.repeat(16_384))) written += 16_384;
      if (!socket.destroyed) socket.once('drain', pour);
    };
    pour();
  });
  const outcome = await increment(clientOf(server.url, { maxBodyBytes: 100_000 }));
  expect(outcome).toMatchObject({ kind: 'unknown', status: 200 });
  expect(outcome.kind === 'unknown' && outcome.message).toContain('larger than 100000 bytes');
  // What the kernel's buffers take is beyond anybody's control.
  expect(written).toBeLessThan(30_000_000);
});

test('endless headers are not read either', async () => {
  const server = await serve((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const pour = (): void => {
      while (!socket.destroyed && socket.write(`x-${'y'.repeat(1_000)}: z\r\n`));
      if (!socket.destroyed) socket.once('drain', pour);
    };
    pour();
  });
  expect((await increment(clientOf(server.url))).kind).toBe('unknown');
});

test('two writes arrive on two connections, one request on each', async () => {
  const server = await serve((socket) => void socket.write(whole));
  const client = clientOf(server.url);
  await increment(client);
  await increment(client);
  expect(server.received).toHaveLength(2);
  for (const request of server.received) {
    expect(request.match(/POST \/api\/2\/attributes\/increment\/ HTTP\/1\.1/g)).toHaveLength(1);
    expect(request).toMatch(/connection: close/i);
  }
});

test('no redirect is followed', async () => {
  const other = await serve((socket) => socket.end(whole));
  const server = await serve((socket) => {
    socket.end(response('307 Temporary Redirect', '', [`location: ${other.url}/`]));
  });
  expect(await increment(clientOf(server.url))).toMatchObject({ kind: 'unknown', status: 307 });
  expect(other.received).toEqual([]);
});

test('the request carries token, user agent, JSON and nothing to decompress', async () => {
  const server = await serve((socket) => socket.end(whole));
  await increment(clientOf(server.url));
  const [request = ''] = server.received;
  expect(request).toContain(`authorization: Bearer ${TOKEN}\r\n`);
  expect(request).toContain('user-agent: test\r\n');
  expect(request).toContain('content-type: application/json\r\n');
  expect(request).toContain('accept-encoding: identity\r\n');
  expect(request.endsWith(JSON.stringify([item]))).toBe(true);
});

test.each([
  ['', '/api/2/accounts/profile/'],
  ['/', '/api/2/accounts/profile/'],
  ['/some/where', '/some/where/api/2/accounts/profile/'],
  ['/some/where/', '/some/where/api/2/accounts/profile/'],
])('the base URL may end with "%s"', async (path, expected) => {
  const server = await serve((socket) => socket.end(response('200 OK', '{}')));
  await clientOf(server.url + path).profile();
  expect(server.received[0]).toContain(`GET ${expected} HTTP/1.1`);
});

test('the token is in no message, even where the server repeats it', async () => {
  const bodies = [`{"detail":"Bad token ${TOKEN}"}`, `${'x'.repeat(290)}${TOKEN}`, `<title>${TOKEN}</title>`];
  for (const status of ['401 Unauthorized', '500 Oops', '200 OK']) {
    for (const body of bodies) {
      const server = await serve((socket) => socket.end(response(status, body)));
      const outcome = await increment(clientOf(server.url));
      expect(JSON.stringify(outcome)).not.toContain(TOKEN.slice(0, 8));
    }
  }
});

test('messages are one line of at most 300 characters', async () => {
  const body = JSON.stringify({ detail: `first\r\nsecond\u0000${'x'.repeat(10_000)}` });
  const server = await serve((socket) => socket.end(response('400 Bad Request', body)));
  const outcome = await increment(clientOf(server.url));
  const message = outcome.kind === 'unknown' ? outcome.message : '';
  expect(message).toMatch(/^400: first second x+…$/);
  expect(message).toHaveLength(300);
});

test.each([
  ['is empty', () => ''],
  ['would split the header', () => 'abc\r\nx-evil: 1'],
  ['cannot be had', () => Promise.reject(new Error('the refresh failed'))],
])('a token that %s sends nothing', async (_, token) => {
  const server = await serve((socket) => socket.end(whole));
  const outcome = await increment(clientOf(server.url, { token }));
  expect(outcome).toMatchObject({ kind: 'not-sent', cause: 'unauthorised' });
  expect(JSON.stringify(outcome)).not.toContain('evil');
  expect(server.received).toEqual([]);
});

test('a URL that is none is the programmer’s error', () => {
  expect(() => clientOf('ftp://exist.io')).toThrow(TypeError);
  expect(() => clientOf('exist')).toThrow(TypeError);
});

test('more than 35 objects, or none, are the programmer’s error', async () => {
  const client = clientOf('http://127.0.0.1:1');
  await expect(client.increment(Array.from({ length: 36 }, () => item))).rejects.toThrow(RangeError);
  await expect(client.update([])).rejects.toThrow(RangeError);
  await expect(client.withValues({ attributes: ['a'], days: 32, dateMax: item.date })).rejects.toThrow(
    RangeError,
  );
  await expect(client.values({ attribute: 'a', limit: 101 })).rejects.toThrow(RangeError);
});

test('a connection is for one request: a second is not even tried', async () => {
  const server = await serve(() => undefined);
  const connection = new Connection();
  const to = { hostname: '127.0.0.1', protocol: 'http:', port: String(server.port) };
  const connect = (): Promise<Error | null> =>
    new Promise((resolve) => {
      connection.connect(to, (...[error]) => resolve(error));
    });
  expect(await connect()).toBeNull();
  expect(connection.phase).toBe('open');
  expect(await connect()).toBeInstanceOf(Error);
  connection.destroy();
});
