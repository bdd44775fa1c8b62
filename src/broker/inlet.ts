/**
 * Where publishes leave the broker to be counted, and the gate in front of it: bounded, in order, each done
 * exactly once.
 */
import type { BrokerLimits } from './limits.ts';

export type QoS = 0 | 1 | 2;

export interface Publish {
  readonly topic: string;
  /** A view of the network buffer: copy it to keep it. */
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Only with QoS 1 and 2; a will has none. */
  readonly packetId: number | undefined;
  readonly clientId: string | undefined;
  /** Whose client it is; `undefined`: anonymous. */
  readonly account: string | undefined;
}

/** As aedes has it: a packet, or the will of a CONNECT. */
interface PublishWords {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: QoS | undefined;
  readonly retain?: boolean | undefined;
  readonly dup?: boolean | undefined;
  readonly messageId?: number | undefined;
}

export function asPublish(
  packet: PublishWords,
  clientId: string | undefined,
  account: string | undefined,
  isWill: boolean,
): Publish {
  const { topic, payload, qos = 0, retain = false, dup = false, messageId } = packet;
  return {
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos,
    retain,
    dup: !isWill && dup,
    packetId: !isWill && qos > 0 ? messageId : undefined,
    clientId,
    account,
  };
}

/**
 * Without an error the publish is acknowledged; with one it is not, and its connection is closed so that the
 * device sends it again. `duplicate`: this is a second copy; with QoS 2 it is then acknowledged but not
 * forwarded to subscribers again. An inlet that cannot tell leaves the result out.
 */
export type Taken = (error?: Error, result?: { readonly duplicate: boolean }) => void;

export interface Inlet {
  /** Calls `done` once the publish is durable, or known to need no storing. Never throws. */
  take(publish: Publish, done: Taken): void;
  /**
   * QoS 2: the exchange with this packet id is over (PUBREL came). Called after every `take` of that client
   * and packet id that came before it is done. Also called for ids the inlet has never seen.
   */
  released(clientId: string, packetId: number): void;
}

/** One QoS 2 packet id of one client, from the first PUBLISH to the PUBREL. */
interface Exchange {
  taking: number;
  readonly waiting: (() => void)[];
}

/** Bounds the memory for clients that publish with QoS 2 and never send the PUBREL. */
const MOST_EXCHANGES = 20_000;

export class InletGate {
  private readonly exchanges = new Map<string, Map<number, Exchange>>();
  private exchangeCount = 0;
  private bytes = 0;
  private count = 0;
  private idle: (() => void)[] = [];

  constructor(
    private readonly inlet: Inlet,
    private readonly limits: Pick<BrokerLimits, 'pendingReadings' | 'pendingBytes'>,
    private readonly onFault: (error: unknown) => void,
    /** What was known of this exchange is void, whether it ended or was forgotten. */
    private readonly onExchangeOver: (clientId: string, packetId: number) => void = () => undefined,
  ) {}

  /** Takes up the exchanges that an earlier run of the broker left. */
  restore(exchanges: readonly { readonly clientId: string; readonly packetId: number }[]): void {
    for (const { clientId, packetId } of exchanges) this.open(clientId, packetId);
  }

  /** Whether an exchange with this packet id is open, so that a publish with DUP seems to be a second copy. */
  knows({ clientId, packetId }: Publish): boolean {
    if (clientId === undefined || packetId === undefined) return false;
    return this.exchanges.get(clientId)?.has(packetId) ?? false;
  }

  /** The publish was not acknowledged after all: a second copy is none. */
  undo({ qos, clientId, packetId }: Publish): void {
    if (qos !== 2 || clientId === undefined || packetId === undefined) return;
    this.drop(clientId, packetId, this.exchanges.get(clientId)?.get(packetId));
  }

  /** Publishes the inlet has not done with. */
  get pending(): number {
    return this.count;
  }

  /** Whether another `size` bytes must be refused. */
  isFull(size: number): boolean {
    // One publish always fits: a bound smaller than a packet must not refuse it for ever.
    return (
      this.count >= this.limits.pendingReadings ||
      (this.count > 0 && this.bytes + size > this.limits.pendingBytes)
    );
  }

  /** `done` is called once, whatever the inlet does; `duplicate` is always told for QoS 2. */
  take(publish: Publish, done: (error: Error | undefined, duplicate: boolean) => void): void {
    const size = publish.topic.length + publish.payload.length;
    this.count += 1;
    this.bytes += size;
    const exchange = this.begin(publish);
    let isDone = false;
    const finish: Taken = (error, result) => {
      if (isDone) return;
      isDone = true;
      this.count -= 1;
      this.bytes -= size;
      // An inlet that keeps no track of this topic leaves it to the broker to know the second copy.
      const duplicate = result?.duplicate ?? exchange?.isKnown ?? false;
      exchange?.end(error);
      done(error, duplicate);
      if (this.count === 0) for (const resolve of this.idle.splice(0)) resolve();
    };
    try {
      this.inlet.take(publish, finish);
    } catch (error) {
      this.onFault(error);
      finish(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** PUBREL: waits for copies of the PUBLISH that are still being taken, then tells the inlet. */
  async release(clientId: string, packetId: number): Promise<void> {
    const exchange = this.exchanges.get(clientId)?.get(packetId);
    if (exchange && exchange.taking > 0) {
      await new Promise<void>((resolve) => exchange.waiting.push(resolve));
    }
    this.drop(clientId, packetId, exchange);
    try {
      this.inlet.released(clientId, packetId);
    } catch (error) {
      this.onFault(error);
    }
  }

  /** A clean session begins or ends: what was known of the client's exchanges is void [MQTT-3.1.2-6]. */
  forget(clientId: string): void {
    const known = this.exchanges.get(clientId);
    if (!known) return;
    this.exchangeCount -= known.size;
    this.exchanges.delete(clientId);
    for (const packetId of known.keys()) this.onExchangeOver(clientId, packetId);
  }

  /** Resolves when nothing is pending any more: true; or after `timeoutMs`: false. */
  async drained(timeoutMs: number): Promise<boolean> {
    if (this.count === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, timeoutMs, false)));
    const idle = new Promise<true>((resolve) => this.idle.push(() => resolve(true)));
    const isDrained = await Promise.race([idle, late]);
    clearTimeout(timer);
    return isDrained;
  }

  private begin({ qos, clientId, packetId, dup }: Publish) {
    if (qos !== 2 || clientId === undefined || packetId === undefined) return undefined;
    const known = this.exchanges.get(clientId)?.get(packetId);
    // Without DUP it is a new message, whatever the id meant before: the device may have restarted.
    const isKnown = known !== undefined && dup;
    const begun = known ?? this.open(clientId, packetId);
    begun.taking += 1;
    const end = (error: Error | undefined): void => {
      begun.taking -= 1;
      if (begun.taking > 0) return;
      if (error && !isKnown) this.drop(clientId, packetId, begun);
      for (const resolve of begun.waiting.splice(0)) resolve();
    };
    return { isKnown, end };
  }

  private open(clientId: string, packetId: number): Exchange {
    let ofClient = this.exchanges.get(clientId);
    if (!ofClient) {
      ofClient = new Map();
      this.exchanges.set(clientId, ofClient);
    }
    const exchange: Exchange = { taking: 0, waiting: [] };
    ofClient.set(packetId, exchange);
    this.exchangeCount += 1;
    this.dropOldest(clientId);
    return exchange;
  }

  private drop(clientId: string, packetId: number, exchange: Exchange | undefined): void {
    const ofClient = this.exchanges.get(clientId);
    if (!ofClient || exchange === undefined || ofClient.get(packetId) !== exchange) return;
    ofClient.delete(packetId);
    this.exchangeCount -= 1;
    if (ofClient.size === 0) this.exchanges.delete(clientId);
    this.onExchangeOver(clientId, packetId);
  }

  private dropOldest(except: string): void {
    if (this.exchangeCount <= MOST_EXCHANGES) return;
    for (const clientId of this.exchanges.keys()) {
      if (clientId === except) continue;
      this.forget(clientId);
      return;
    }
  }
}
