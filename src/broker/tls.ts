/**
 * TLS for listeners: what a server shows, and why handshakes fail.
 */
import { createServer, type Server, type TlsOptions } from 'node:tls';
import type { Entrance, EntranceParts, TlsIdentity } from './entrance.ts';
import { Handover } from './handover.ts';

/** Clients are not asked for certificates: accounts say who they are. */
export function serverOptions({ cert, key, ca }: TlsIdentity): TlsOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) };
}

export function tlsEntrance(identity: TlsIdentity, parts: EntranceParts): Entrance {
  const server = createServer(serverOptions(identity));
  const handover = watchHandshakes(server, parts);
  server.on('secureConnection', (stream) => {
    const connection = handover.connectionOf(stream);
    if (connection) parts.onStream(connection, stream);
    else stream.destroy();
  });
  return secured(server, handover);
}

/** What a TLS server of any kind needs, one for HTTPS too. */
export function watchHandshakes(server: Server, parts: EntranceParts): Handover {
  const handover = new Handover(server, parts.limits.backlogBytes);
  server.on('tlsClientError', (error, stream) => {
    const connection = handover.connectionOf(stream);
    if (connection) parts.onRefused('tls', connection.address, explain(error));
    stream.destroy();
    connection?.cut();
  });
  return handover;
}

export function secured(server: Server, handover: Handover): Entrance {
  return {
    take: (connection) => {
      handover.pass(connection);
    },
    // For connections from now on; those that stand keep what they have.
    secure: (identity) => {
      server.setSecureContext(serverOptions(identity));
    },
  };
}

const EXPLANATIONS: readonly (readonly [RegExp, string])[] = [
  [/UNKNOWN_CA/, 'it does not trust our certificate: give it the certificate of the authority'],
  [/CERTIFICATE_EXPIRED/, 'it takes our certificate for expired: look at both clocks'],
  [/BAD_CERTIFICATE|CERTIFICATE_UNKNOWN/, 'it does not accept our certificate: its host name must be in it'],
  [/HTTP_REQUEST/, 'it speaks HTTP without TLS'],
  [/WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|PACKET_LENGTH/, 'what it says is not TLS'],
  [/UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION/, 'it does not speak TLS 1.2'],
  [/NO_SHARED_CIPHER|NO_SUITABLE|HANDSHAKE_FAILURE/, 'no cipher is known to both sides'],
];

function explain(error: Error): string {
  const code = 'code' in error ? String(error.code) : error.message;
  const [, words] = EXPLANATIONS.find(([pattern]) => pattern.test(code)) ?? [];
  return words === undefined ? code : `${words} (${code})`;
}
