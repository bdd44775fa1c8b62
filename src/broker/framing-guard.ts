/**
 * Looks at the framing of what a client sends before the broker's parser does.
 *
 * The parser of aedes gathers a packet of up to 256 MB before anybody has said who they are. The guard reads
 * only fixed headers (type, remaining length) and the head of the CONNECT packet; it copies nothing.
 *
 * States: `type` (next byte begins a packet) → `length` (1 to 4 bytes) → `body` (bytes to pass over) → `type`.
 */
import type { Readable } from 'node:stream';

export type FramingProblem =
  /** Its first packet is not a CONNECT [MQTT-3.1.0-1]: HTTP, TLS, noise. */
  | 'not_mqtt'
  | 'malformed'
  | 'packet_too_large'
  | 'mqtt_5'
  /** A protocol level nobody knows [MQTT-3.1.2-2]. */
  | 'protocol_level';

/** What of a chunk is passed on. */
export interface Passage {
  readonly bytes: number;
  /** That began in it. */
  readonly packets: number;
  /** Those of them that are more than an answer to the broker. */
  readonly messages: number;
  /** Packets that ended in it. */
  readonly complete: number;
}

const CONNECT = 0x10;

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
const FIRST_ANSWER = 4;
const LAST_ANSWER = 7;

/** Protocol name and level lie within the first nine bytes of a CONNECT's variable header. */
const CONNECT_HEAD_BYTES = 9;

/**
 * Read at once. Of more than that Node would make one piece each time, to have all but a few packets put back again.
 */
const READ_BYTES = 16_384;

/** Four bytes carry the remaining length at most [MQTT-2.2.3]. */
const LAST_LENGTH_FACTOR = 128 ** 3;

export class FramingGuard {
  private state: 'type' | 'length' | 'body' = 'type';
  private length = 0;
  private factor = 1;
  private bodyLeft = 0;
  private packetsBegun = 0;
  private readonly connectHead: number[] = [];

  constructor(private readonly limits: { readonly packetSize: number; readonly connectPacketSize: number }) {}

  /**
   * Whether the stream may go on with `chunk`, and how much of it: no more than `most` packets begin in that, at least
   * one. After a problem the guard is of no more use.
   */
  inspect(chunk: Uint8Array, most = Infinity): FramingProblem | Passage {
    const begunBefore = this.packetsBegun;
    let messages = 0;
    let complete = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.state === 'body') {
        const step = Math.min(this.bodyLeft, chunk.length - at);
        if (this.packetsBegun === 1) {
          const problem = this.inspectConnect(chunk, at, step);
          if (problem !== undefined) return problem;
        }
        this.bodyLeft -= step;
        at += step;
        if (this.bodyLeft === 0) {
          this.state = 'type';
          complete += 1;
        }
        continue;
      }
      const byte = chunk[at] ?? 0;
      if (this.state === 'type') {
        if (this.packetsBegun === 0 && byte !== CONNECT) return 'not_mqtt';
        if (this.packetsBegun - begunBefore >= most) break;
        at += 1;
        this.packetsBegun += 1;
        const type = byte >> 4;
        if (type < FIRST_ANSWER || type > LAST_ANSWER) messages += 1;
        this.length = 0;
        this.factor = 1;
        this.state = 'length';
        continue;
      }
      at += 1;
      this.length += (byte & 0x7f) * this.factor;
      if ((byte & 0x80) !== 0) {
        if (this.factor === LAST_LENGTH_FACTOR) return 'malformed';
        this.factor *= 128;
        continue;
      }
      if (this.length > this.bound) return 'packet_too_large';
      this.bodyLeft = this.length;
      this.state = this.length === 0 ? 'type' : 'body';
      if (this.length === 0) complete += 1;
    }
    return { bytes: at, packets: this.packetsBegun - begunBefore, messages, complete };
  }

  /** Whether the first packet, the CONNECT, has passed as a whole. */
  get isConnectComplete(): boolean {
    return this.packetsBegun > 1 || (this.packetsBegun === 1 && this.state === 'type');
  }

  private get bound(): number {
    const { packetSize, connectPacketSize } = this.limits;
    return this.packetsBegun === 1 ? Math.min(packetSize, connectPacketSize) : packetSize;
  }

  private inspectConnect(chunk: Uint8Array, at: number, step: number): FramingProblem | undefined {
    const wanted = CONNECT_HEAD_BYTES - this.connectHead.length;
    if (wanted <= 0) return undefined;
    this.connectHead.push(...chunk.subarray(at, at + Math.min(wanted, step)));
    return connectProblem(this.connectHead);
  }
}

function connectProblem(head: readonly number[]): FramingProblem | undefined {
  const level = levelOf(head, 'MQTT');
  if (level === 5) return 'mqtt_5';
  if (level !== undefined && level !== 3 && level !== 4) return 'protocol_level';
  const oldLevel = levelOf(head, 'MQIsdp');
  if (oldLevel !== undefined && oldLevel !== 3) return 'protocol_level';
  return undefined;
}

/** The level behind the protocol name `name`, once it is there; the top bit is a bridge's mark. */
function levelOf(head: readonly number[], name: string): number | undefined {
  const level = head[2 + name.length];
  if (level === undefined || head[0] !== 0 || head[1] !== name.length) return undefined;
  for (let index = 0; index < name.length; index += 1) {
    if (head[2 + index] !== name.charCodeAt(index)) return undefined;
  }
  return level & 0x7f;
}

/**
 * What a client gets to hear before its connection is closed. MQTT 5 in its own words: a CONNACK with reason
 * code 0x84, unsupported protocol version; any other level with return code 1 [MQTT-3.1.2-2].
 */
export function farewell(problem: FramingProblem): Uint8Array | undefined {
  if (problem === 'mqtt_5') return Uint8Array.of(0x20, 0x03, 0x00, 0x84, 0x00);
  if (problem === 'protocol_level') return Uint8Array.of(0x20, 0x02, 0x00, 0x01);
  return undefined;
}

/**
 * Puts `allowance` and `inspect` between a stream and whoever reads it: how many packets may be read now, and how
 * many bytes of the chunk that is there they are. The rest goes back into the stream. Once `inspect` has said no,
 * nothing is read any more.
 *
 * A chunk is parsed by who reads it before anything else happens. Where a packet of it is done with at once the broker
 * reads again in the middle of that, and its parser would take that packet for the next one's: it gets nothing then, and
 * is told a moment later that there is more.
 *
 * The broker pulls with `read()`, so that is where to stand: a stream piped in between would cost every packet a
 * second passage through Node's stream machinery (a tenth of the throughput), and the broker would lose the socket's
 * own back-pressure.
 */
export function guardReads(
  stream: Readable,
  allowance: () => number,
  inspect: (chunk: Uint8Array, most: number) => Pick<Passage, 'bytes' | 'complete'> | undefined,
): void {
  const read = stream.read.bind(stream);
  let isOver = false;
  let isParsing = false;
  let isAskedFor = false;
  const parses = (): void => {
    isParsing = true;
    queueMicrotask(() => {
      isParsing = false;
      if (!isAskedFor) return;
      isAskedFor = false;
      stream.emit('readable');
    });
  };
  boundReadAhead(stream);
  stream.read = (size?: number): unknown => {
    if (isParsing && size !== 0) {
      isAskedFor = true;
      return null;
    }
    const most = isOver ? 0 : allowance();
    if (most <= 0) return null;
    // Node's own way to have the buffer filled.
    if (size === 0) return read(0);
    const { readableLength } = stream;
    const chunk: unknown = readableLength > READ_BYTES ? read(READ_BYTES) : read();
    if (!(chunk instanceof Uint8Array)) return chunk;
    const passage = inspect(chunk, most);
    isOver = passage === undefined;
    if (passage === undefined) return null;
    parses();
    const { bytes, complete } = passage;
    // A broker that got no whole packet waits to be told of more, and the stream has told of it already.
    if (complete === 0 && stream.readableLength > 0) setImmediate(() => stream.emit('readable'));
    if (bytes === chunk.length) return chunk;
    // What is put back keeps the stream from ending before it is read.
    stream.unshift(chunk.subarray(bytes));
    return chunk.subarray(0, bytes);
  };
}

/**
 * A client that must wait keeps what it says in the network: Node sets both directions of an accepted socket alike, and
 * what waits for a subscriber may be far more than what is read ahead.
 */
export function boundReadAhead(stream: Readable): void {
  stateOf(stream).highWaterMark = READ_BYTES;
}

/** The other side has said all it will, read or not. */
export function hasEnded(stream: Readable): boolean {
  return stateOf(stream).ended;
}

interface ReadableState {
  highWaterMark: number;
  readonly ended: boolean;
}

function stateOf(stream: Readable): ReadableState {
  const { _readableState: state } = stream as { _readableState?: Partial<ReadableState> };
  if (typeof state?.highWaterMark !== 'number' || typeof state.ended !== 'boolean')
    throw new Error('this Node keeps its streams otherwise');
  return state as ReadableState;
}
