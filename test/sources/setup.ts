/** A source with an inlet that tests hold and release, a session store in memory, and a broker made of packets. */
import { EventEmitter, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { generate, parser, type Packet } from 'mqtt-packet';
import { onTestFinished } from 'vitest';
import type {
  Inlet,
  Publish,
  SessionRecord,
  SessionStore,
  SourceOptions,
  SourceParts,
  Taken,
} from '../../src/sources/ports.ts';
import { Source } from '../../src/sources/source.ts';
import { Sources } from '../../src/sources/sources.ts';

interface Take {
  readonly publish: Publish;
  readonly done: Taken;
}

/** Says "done" at once, or, while held, when told to. */
export class TestInlet extends EventEmitter implements Inlet {
  readonly takes: Take[] = [];
  readonly releases: string[] = [];
  isHolding = false;
  /** Decides instead. */
  forward: Inlet | undefined;

  take(publish: Publish, done: Taken): void {
    this.takes.push({ publish: { ...publish, payload: Buffer.from(publish.payload) }, done });
    if (this.forward) this.forward.take(publish, done);
    else if (!this.isHolding) done();
    this.emit('take');
  }

  released(clientId: string, packetId: number): void {
    this.releases.push(`${clientId} ${packetId}`);
    this.forward?.released(clientId, packetId);
    this.emit('released');
  }

  get payloads(): string[] {
    return this.takes.map(({ publish }) => Buffer.from(publish.payload).toString());
  }

  async taken(count: number): Promise<readonly Take[]> {
    while (this.takes.length < count) await once(this, 'take');
    return this.takes;
  }
}

export class MemoryStore implements SessionStore {
  readonly records = new Map<string, SessionRecord>();
  failure: Error | undefined;

  load(key: string): SessionRecord | undefined {
    return this.records.get(key);
  }

  save(key: string, record: SessionRecord): void {
    if (this.failure) throw this.failure;
    this.records.set(key, record);
  }

  remove(key: string): void {
    this.records.delete(key);
  }

  keys(): string[] {
    return [...this.records.keys()];
  }

  get filters(): string[] {
    return [...this.records.values()].flatMap(({ filters }) => Object.keys(filters));
  }
}

export interface Running {
  readonly source: Source;
  readonly inlet: TestInlet;
  readonly store: MemoryStore;
  readonly logged: { readonly level: string; readonly message: string }[];
  readonly events: EventEmitter;
  readonly announcements: Map<string, string>;
  /** Resolves when `source.status().state` is this. */
  readonly reaches: (state: 'connected' | 'down') => Promise<void>;
}

let sessions = 0;

/** Its pauses between tries are a thousandth of the real ones. */
export function startSource(
  options: Partial<SourceOptions> & { readonly port: number },
  filters: readonly string[],
  parts: {
    readonly store?: MemoryStore;
    readonly inlet?: TestInlet;
    readonly will?: SourceParts['will'];
  } = {},
): Running {
  const events = new EventEmitter();
  const logged: { level: string; message: string }[] = [];
  const store = parts.store ?? new MemoryStore();
  const inlet = parts.inlet ?? new TestInlet();
  const announcements = new Map<string, string>();
  const log: SourceParts['log'] = (level, message) => {
    logged.push({ level, message });
    events.emit('log');
  };
  const source = new Source(
    optionsOf(options),
    filters,
    partsOf(inlet, store, log, parts.will),
    announcements,
    () => undefined,
  );
  onTestFinished(() => source.stop());
  source.start();
  const reaches = async (state: string): Promise<void> => {
    while (source.status().state !== state) await once(events, 'log');
  };
  return { source, inlet, store, logged, events, announcements, reaches };
}

export function optionsOf(options: Partial<SourceOptions> & { readonly port: number }): SourceOptions {
  return {
    name: 'test',
    scheme: 'mqtt',
    host: '127.0.0.1',
    path: '/mqtt',
    clientId: 'mqtt2exist-0123abcd',
    username: undefined,
    password: undefined,
    protocol: undefined,
    tls: { ca: undefined, cert: undefined, key: undefined },
    qos: 2,
    keepAliveS: 30,
    ...options,
  };
}

function partsOf(
  inlet: Inlet,
  store: SessionStore,
  log: SourceParts['log'],
  will: SourceParts['will'],
): SourceParts {
  return {
    inlet,
    sessions: store,
    log,
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    random: () => 0,
    after: (delayMs, task) => {
      const timer = setTimeout(task, delayMs / 1_000);
      return () => {
        clearTimeout(timer);
      };
    },
    newSession: () => `s${(sessions += 1)}`,
    will,
  };
}

/** All sources of a bridge, with what an earlier run has left in `store`; not yet started. */
export function sourcesOn(store = new MemoryStore(), parts: Partial<SourceParts> = {}) {
  const inlet = new TestInlet();
  const logged: { level: string; message: string }[] = [];
  const log: SourceParts['log'] = (level, message) => logged.push({ level, message });
  const sources = new Sources({ ...partsOf(inlet, store, log, undefined), ...parts });
  onTestFinished(() => sources.stop());
  /** Resolves when all of them are connected, and have what they want. */
  const settled = () =>
    until(
      () =>
        sources.status().every(({ state }) => state === 'connected') &&
        [...store.records.values()].every(({ filters }) =>
          Object.values(filters).every((qos) => qos !== null),
        ) &&
        store.filters.length > 0,
    );
  return { sources, inlet, store, logged, settled };
}

/** For what happens between here and a socket, which no event tells of. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

/** One connection, as the broker sees it. */
export class Peer extends EventEmitter {
  readonly packets: Packet[] = [];

  constructor(
    readonly socket: Socket,
    private readonly version: () => 4 | 5,
  ) {
    super();
    socket.on('error', () => undefined);
  }

  receive(packet: Packet): void {
    this.packets.push(packet);
    this.emit('packet');
  }

  send(...packets: Packet[]): void {
    this.socket.write(
      Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: this.version() }))),
    );
  }

  /** The first `count` packets of this kind. */
  async got<Cmd extends Packet['cmd']>(cmd: Cmd, count = 1): Promise<Extract<Packet, { cmd: Cmd }>[]> {
    for (;;) {
      const found = this.packets.filter(
        (packet): packet is Extract<Packet, { cmd: Cmd }> => packet.cmd === cmd,
      );
      if (found.length >= count) return found;
      await once(this, 'packet');
    }
  }

  /** All that has come, acknowledgements with their id. */
  get acknowledgements(): string[] {
    return this.packets.flatMap(({ cmd, messageId }) =>
      cmd === 'puback' || cmd === 'pubrec' || cmd === 'pubcomp' ? [`${cmd} ${messageId}`] : [],
    );
  }

  /** Resolves when the other side has read all that was sent, and answered. */
  async inStep(): Promise<void> {
    const before = this.packets.filter(({ cmd }) => cmd === 'pubcomp').length;
    // A PUBREL is always answered, whatever its id.
    this.send({ cmd: 'pubrel', messageId: 65_000 });
    await this.got('pubcomp', before + 1);
  }
}

export interface RawBroker {
  readonly port: number;
  readonly peers: Peer[];
  /** The n-th connection, from 0, once its CONNECT was answered. */
  peer(index: number): Promise<Peer>;
}

export interface RawOptions {
  /** Answers the CONNECT; default: accepted, with a session from the second connection on. */
  readonly connack?: (index: number) => Partial<Extract<Packet, { cmd: 'connack' }>> | 'hang up';
  /** Sent in the same segment as the CONNACK. */
  readonly early?: (index: number) => Packet[];
  readonly speaks?: readonly (4 | 5)[];
  readonly granted?: (filter: string) => number;
  readonly answersPings?: boolean;
}

/** Answers CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ and our own PUBLISH; all else is the test's. */
export async function rawBroker(options: RawOptions = {}): Promise<RawBroker> {
  const { speaks = [4, 5], granted = () => 2, answersPings = true } = options;
  const peers: Peer[] = [];
  const events = new EventEmitter();
  const server = createServer((socket) => {
    let version: 4 | 5 = 4;
    const index = peers.length;
    const peer = new Peer(socket, () => version);
    const incoming = parser();
    incoming.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        version = packet.protocolVersion === 5 ? 5 : 4;
        const answer = options.connack?.(index) ?? {};
        if (answer === 'hang up') {
          socket.destroy();
        } else if (!speaks.includes(version)) {
          socket.end(Buffer.from([0x20, 2, 0, 1]));
        } else {
          peer.send(
            {
              cmd: 'connack',
              sessionPresent: index > 0,
              ...(version === 5 ? { reasonCode: 0 } : { returnCode: 0 }),
              ...answer,
            },
            ...(options.early?.(index) ?? []),
          );
        }
        peer.receive(packet);
        events.emit('peer');
        return;
      }
      if (packet.cmd === 'subscribe') {
        const codes = packet.subscriptions.map(({ topic }) => granted(topic));
        peer.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: codes });
      } else if (packet.cmd === 'unsubscribe') {
        peer.send({
          cmd: 'unsuback',
          messageId: packet.messageId ?? 0,
          granted: packet.unsubscriptions.map(() => 0),
        });
      } else if (packet.cmd === 'pingreq') {
        if (answersPings) peer.send({ cmd: 'pingresp' });
      } else if (packet.cmd === 'publish' && packet.qos === 1)
        peer.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
      peer.receive(packet);
    });
    incoming.on('error', () => socket.destroy());
    socket.on('data', (chunk) => incoming.parse(chunk));
    peers.push(peer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const { socket } of peers) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    peers,
    peer: async (index) => {
      for (;;) {
        const peer = peers[index];
        if (peer && peer.packets.length > 0) return peer;
        await once(events, 'peer');
      }
    },
  };
}

export function message(
  payload: string,
  more: Partial<Extract<Packet, { cmd: 'publish' }>> = {},
): Extract<Packet, { cmd: 'publish' }> {
  return {
    cmd: 'publish',
    topic: 'home/button',
    payload,
    qos: 1,
    dup: false,
    retain: false,
    messageId: 1,
    ...more,
  };
}
