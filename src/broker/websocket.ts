/**
 * MQTT over websockets (MQTT 3.1.1, section 6): the bytes of binary messages are the stream, wherever messages begin.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import type { Connection, Refusal } from './connections.ts';
import type { Entrance, EntranceParts, TlsIdentity } from './entrance.ts';
import { Handover } from './handover.ts';
import { secured, serverOptions, watchHandshakes } from './tls.ts';

/** [MQTT-6.0.0-4]; the second is what clients of MQTT 3.1 ask for. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];

/** What is read at once, and what several packets in one message may take on top of the largest packet. */
const SLACK_BYTES = 65_536;

/** A client that breaks the protocol has so long to answer the close frame. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface WebsocketSettings {
  /** `undefined`: without TLS. */
  readonly identity: TlsIdentity | undefined;
  /** The only one that is served; `undefined`: any. */
  readonly path: string | undefined;
  /** Of pages whose scripts may connect; `*` is any. Programs other than browsers name none and are not asked. */
  readonly origins: readonly string[];
}

interface Refused {
  readonly refusal: Refusal;
  readonly status: string;
  readonly text: string;
}

export function websocketEntrance(settings: WebsocketSettings, parts: EntranceParts): Entrance {
  const { identity } = settings;
  if (!identity) {
    const server = createHttpServer();
    const handover = new Handover(server, parts.limits.backlogBytes);
    serve(server, handover, settings, parts);
    return { take: (connection) => handover.pass(connection), secure: () => undefined };
  }
  const server = createHttpsServer(serverOptions(identity));
  const handover = watchHandshakes(server, parts);
  serve(server, handover, settings, parts);
  return secured(server, handover);
}

function serve(
  server: Pick<Server, 'on'>,
  handover: Handover,
  settings: WebsocketSettings,
  parts: EntranceParts,
): void {
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: parts.limits.packetSize + SLACK_BYTES,
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: (offered: Set<string>) =>
      SUBPROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
  };
  const websockets = new WebSocketServer(options);
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => undefined);
    const connection = handover.connectionOf(request.socket);
    if (!connection) {
      socket.destroy();
      return;
    }
    const refused = refusalOf(request, settings);
    if (refused) {
      parts.onRefused(refused.refusal, connection.address, refused.text);
      socket.end(answer(refused), () => connection.cut());
      return;
    }
    websockets.handleUpgrade(request, socket, head, (websocket) => {
      carry(connection, websocket, request.socket, head.length, parts);
    });
  });
  server.on('request', (request: IncomingMessage) => {
    const { socket } = request;
    const connection = handover.connectionOf(socket);
    const text = 'MQTT is spoken here, over a websocket';
    if (connection) parts.onRefused('websocket', connection.address, 'an ordinary HTTP request');
    const refused: Refused = { refusal: 'websocket', status: '426 Upgrade Required', text };
    socket.end(answer(refused), () => socket.destroy());
  });
  server.on('clientError', (_error, socket: Duplex) => {
    socket.destroy();
  });
}

/** Why a websocket is not opened. */
function refusalOf(
  { url = '/', headers }: IncomingMessage,
  { path, origins, identity }: WebsocketSettings,
): Refused | undefined {
  const [asked] = url.split('?', 1);
  if (path !== undefined && asked !== path) {
    return { refusal: 'websocket', status: '404 Not Found', text: `MQTT is served at ${path}` };
  }
  const { origin } = headers;
  const isWelcome =
    origin === undefined ||
    origins.includes('*') ||
    origins.includes(origin.toLowerCase()) ||
    isOurs(origin, headers.host, identity !== undefined);
  if (!isWelcome) {
    const text = 'this page may not connect: its origin is not one of broker.origins';
    return { refusal: 'origin', status: '403 Forbidden', text };
  }
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  if (offered.some((name) => SUBPROTOCOLS.includes(name))) return undefined;
  // [MQTT-6.0.0-3]
  return { refusal: 'websocket', status: '400 Bad Request', text: 'the sub-protocol must be mqtt' };
}

/**
 * Whether it names this very listener, as paho-mqtt for Python does, a program. No page comes from here, but one may say
 * so whose owner has pointed its domain at this address (DNS rebinding): without TLS, which no such page gets through,
 * only what stands in no public DNS counts.
 */
function isOurs(origin: string, host: string | undefined, isSecure: boolean): boolean {
  const [, at = ''] = /^https?:\/\/(.+)$/i.exec(origin) ?? [];
  if (host === undefined || at.toLowerCase() !== host.toLowerCase()) return false;
  const name = at.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return isSecure || isIP(name) !== 0 || !name.includes('.') || /\.local$/i.test(name);
}

function answer({ status, text }: Refused): string {
  const headers = [
    'Connection: close',
    'Content-Type: text/plain',
    ...(status.startsWith('426') ? ['Upgrade: websocket'] : []),
    `Content-Length: ${text.length + 1}`,
  ];
  return `HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n\r\n${text}\n`;
}

function carry(
  connection: Connection,
  websocket: WebSocket,
  socket: Socket,
  headBytes: number,
  parts: EntranceParts,
): void {
  const { limits, onRefused, onStream } = parts;
  const refuse = (refusal: Refusal): void => {
    if (connection.socket.destroyed) return;
    onRefused(refusal, connection.address);
    connection.cut();
  };
  websocket.on('error', () => undefined);
  websocket.on('message', (_message, isBinary) => {
    // [MQTT-6.0.0-1]
    if (!isBinary) refuse('not_mqtt');
  });
  // A message is handed on when all of it is there: what gathers of one from somebody who is not let in yet is
  // bounded here, before the framing guard sees it.
  let bytes = headBytes;
  const count = (chunk: Uint8Array): void => {
    if (connection.isReady) {
      socket.off('data', count);
      return;
    }
    bytes += chunk.length;
    if (bytes > limits.connectPacketSize + SLACK_BYTES) refuse('packet_too_large');
  };
  socket.on('data', count);
  const stream = createWebSocketStream(websocket, {
    readableHighWaterMark: SLACK_BYTES,
    writableHighWaterMark: limits.backlogBytes,
  });
  onStream(connection, stream);
}
