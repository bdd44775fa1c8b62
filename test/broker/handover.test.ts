import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import { connect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { Connection } from '../../src/broker/connections.ts';
import { Handover } from '../../src/broker/handover.ts';
import { makeCertificates, NO_OPENSSL } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { skipped } from '../support/skip.ts';

it.skipIf(NO_OPENSSL)(
  `what TLS makes of a connection has its buffers, and leads back to it until it is closed${skipped(NO_OPENSSL)}`,
  async () => {
    const { identity } = await makeCertificates(temporaryFolder());
    const secure = createTlsServer(identity);
    const handover = new Handover(secure, 123_456);
    const before = getDefaultHighWaterMark(false);
    const passed: Connection[] = [];
    const listener = createServer((socket) => {
      const connection = new Connection(socket, 'somewhere', 10_000, () => undefined);
      onTestFinished(() => connection.closed());
      passed.push(connection);
      handover.pass(connection);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as AddressInfo;
    const callers = [1, 2].map(() => connect({ port, host: '127.0.0.1', ca: identity.ca }));
    const streams: TLSSocket[] = [];
    secure.on('secureConnection', (stream) => streams.push(stream));
    while (streams.length < 2) await once(secure, 'secureConnection');

    expect(streams.map(({ writableHighWaterMark }) => writableHighWaterMark)).toEqual([123_456, 123_456]);
    expect(getDefaultHighWaterMark(false)).toBe(before);
    const found = streams.map((stream) => handover.connectionOf(stream));
    expect(new Set(found)).toEqual(new Set(passed));

    const [first, second] = streams;
    const left = found[0];
    left?.carriedBy(first!);
    left?.cut();
    await once(left!.socket, 'close');
    expect(handover.connectionOf(first!)).toBeUndefined();
    expect(handover.connectionOf(second!)).toBe(found[1]);
    for (const caller of callers) caller.destroy();
    await once(found[1]!.socket, 'close');
  },
);
