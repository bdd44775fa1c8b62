/**
 * A TCP proxy that spoils one exchange at one byte. The bytes before it pass, then:
 *
 * | fault      | what happens                                                                                |
 * | ---------- | ------------------------------------------------------------------------------------------- |
 * | cut        | both connections end as if the other side had closed them (FIN)                             |
 * | reset      | both connections are torn down (RST)                                                        |
 * | black-hole | what comes after vanishes; the connections stay, and the one who waits must give up         |
 * | late       | a request's rest arrives once the caller has given up, an answer's rest never does          |
 * | delay      | the rest passes after `delayMs`                                                             |
 * | drip       | the rest passes byte by byte                                                                |
 *
 * Every other exchange passes untouched. `seen` keeps what both sides said.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export const FAULTS = ['cut', 'reset', 'black-hole', 'late', 'delay', 'drip'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Spoil {
  readonly side: 'request' | 'answer';
  /** So many bytes pass before; the length of the whole: right after the last byte. */
  readonly at: number;
  readonly fault: Fault;
  readonly delayMs?: number;
  /** Only a request whose first line contains this; default: any. */
  readonly match?: string;
}

export interface ExchangeSeen {
  readonly request: Buffer;
  readonly answer: Buffer;
  readonly spoilt: Spoil | undefined;
}

export class CuttingProxy {
  private readonly waiting: Spoil[] = [];
  private readonly passages = new Set<Passage>();
  private readonly all: Passage[] = [];

  private constructor(
    private readonly server: Server,
    private readonly target: { readonly host: string; readonly port: number },
  ) {
    server.on('connection', (caller) => {
      const passage = new Passage(caller, connect({ ...this.target, allowHalfOpen: true }), (line) =>
        this.take(line),
      );
      this.all.push(passage);
      this.passages.add(passage);
      void passage.over.then(() => this.passages.delete(passage));
    });
  }

  /** Listens on a port of its own in front of `url`. */
  static async start(url: string): Promise<CuttingProxy> {
    const { hostname, port } = new URL(url);
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new CuttingProxy(server, { host: hostname, port: Number(port) });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Spoils the next exchange that matches; several are taken in the order they were given. */
  spoil(...spoils: readonly Spoil[]): void {
    this.waiting.push(...spoils);
  }

  /** What is still to be spoilt. */
  get pending(): number {
    return this.waiting.length;
  }

  get seen(): readonly ExchangeSeen[] {
    return this.all.map(({ request, answer, spoil }) => ({
      request: Buffer.concat(request),
      answer: Buffer.concat(answer),
      spoilt: spoil,
    }));
  }

  /** Resolves when every connection there was is closed on both sides. */
  async finished(): Promise<void> {
    await Promise.all([...this.passages].map(({ over }) => over));
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const passage of this.passages) passage.end();
    await closed;
  }

  private take(requestLine: string): Spoil | undefined {
    const index = this.waiting.findIndex(({ match = '' }) => requestLine.includes(match));
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }
}

/**
 * One connection on each side. undecided ──first line is there──▶ passing ──byte `at`──▶ spoilt ──the delay is over──▶
 * relieved
 */
class Passage {
  readonly request: Buffer[] = [];
  readonly answer: Buffer[] = [];
  spoil: Spoil | undefined;
  readonly over: Promise<unknown>;
  private state: 'undecided' | 'passing' | 'spoilt' | 'relieved' = 'undecided';
  private passed = 0;
  /** What came after the spoilt byte and may have to pass later. */
  private readonly rest: Buffer[] = [];
  private isDripping = false;

  constructor(
    private readonly caller: Socket,
    private readonly target: Socket,
    private readonly decide: (requestLine: string) => Spoil | undefined,
  ) {
    target.setNoDelay(true);
    for (const socket of [caller, target]) socket.on('error', () => undefined);
    caller.on('data', (bytes: Buffer) => this.onRequest(bytes));
    target.on('data', (bytes: Buffer) => {
      this.answer.push(bytes);
      this.pass('answer', bytes);
    });
    caller.on('end', () => this.onCallerGone());
    caller.on('close', () => this.onCallerGone());
    target.on('end', () => {
      if (this.spoil?.side !== 'answer' || this.state !== 'spoilt') caller.end();
    });
    target.on('close', () => {
      if (this.state !== 'spoilt') caller.destroy();
    });
    this.over = Promise.all([closed(caller), closed(target)]);
  }

  end(): void {
    this.caller.destroy();
    this.target.destroy();
  }

  private onRequest(bytes: Buffer): void {
    this.request.push(bytes);
    if (this.state !== 'undecided') {
      this.pass('request', bytes);
      return;
    }
    const soFar = Buffer.concat(this.request);
    const lineEnd = soFar.indexOf('\r\n');
    if (lineEnd < 0) return;
    this.spoil = this.decide(soFar.toString('latin1', 0, lineEnd));
    this.state = 'passing';
    this.pass('request', soFar);
  }

  private pass(side: Spoil['side'], bytes: Buffer): void {
    const to = side === 'request' ? this.target : this.caller;
    if (this.spoil?.side !== side || this.state === 'relieved') {
      // After a cut there may be nobody left to talk to.
      if (to.writable) to.write(bytes);
      return;
    }
    if (this.state === 'spoilt') {
      this.rest.push(bytes);
      if (this.spoil.fault === 'drip') this.drip(to);
      return;
    }
    const room = this.spoil.at - this.passed;
    const head = bytes.subarray(0, room);
    this.passed += head.length;
    if (bytes.length < room) {
      to.write(head);
      return;
    }
    this.state = 'spoilt';
    this.rest.push(bytes.subarray(room));
    if (head.length === 0) this.befall(this.spoil, to);
    else to.write(head, () => this.spoil && this.befall(this.spoil, to));
  }

  private befall({ fault, delayMs = 0 }: Spoil, to: Socket): void {
    switch (fault) {
      case 'cut':
        this.caller.end();
        this.target.end();
        return;
      case 'reset':
        this.caller.resetAndDestroy();
        this.target.resetAndDestroy();
        return;
      case 'delay':
        setTimeout(() => this.flush(to), delayMs);
        return;
      case 'drip':
        this.drip(to);
        return;
      case 'black-hole':
      case 'late':
    }
  }

  private flush(to: Socket): void {
    this.state = 'relieved';
    if (to.writable) to.write(Buffer.concat(this.rest.splice(0)));
  }

  private drip(to: Socket): void {
    if (this.isDripping) return;
    const waiting = Buffer.concat(this.rest.splice(0));
    if (waiting.length === 0 || !to.writable) return;
    this.isDripping = true;
    if (waiting.length > 1) this.rest.push(waiting.subarray(1));
    to.write(waiting.subarray(0, 1), () =>
      setImmediate(() => {
        this.isDripping = false;
        this.drip(to);
      }),
    );
  }

  private onCallerGone(): void {
    const isLate = this.spoil?.fault === 'late' && this.spoil.side === 'request' && this.state === 'spoilt';
    if (isLate && this.target.writable) {
      this.target.end(Buffer.concat(this.rest.splice(0)));
      return;
    }
    if (this.target.writable) this.target.end();
    if (this.caller.writable) this.caller.end();
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
