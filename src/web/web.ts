/**
 * Health, metrics and status over HTTP, for the machine's own eyes.
 *
 * Only requests that name one of our own hosts are answered: a page from elsewhere that resolves its name to this
 * address (DNS rebinding) gets nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DevicesStatus } from '../core/device-status.ts';
import type { MetricFamily } from '../core/metrics.ts';
import type { Refusal, Settlement } from '../core/delivery/settlement.ts';
import type { TopicSeen, WatchLine } from '../core/sighting.ts';
import type { Status } from '../core/status.ts';
import { filterProblem } from '../core/topic.ts';
import { METRICS_CONTENT_TYPE, metricsText } from './metrics-text.ts';
import { PAGE, PAGE_POLICY } from './page.ts';
import { readSettlement } from './settlement-body.ts';
import { streamWatch } from './watch-stream.ts';

export interface WebSource {
  health(): {
    readonly listening: boolean;
    readonly databaseOpen: boolean;
    readonly problems: readonly string[];
  };
  status(): Status;
  /** The accounts of clients, and what was seen of each. */
  devices(): DevicesStatus;
  /** What was seen lately on the topics of a filter. */
  topics(filter: string): readonly TopicSeen[];
  /**
   * Shows what comes on them until the function given back is called; `undefined` where too many watch.
   * @param isLooking connections are looked at besides: for what no mapping names
   */
  watch(filter: string, show: (line: WatchLine) => void, isLooking: boolean): (() => void) | undefined;
  metrics(): readonly MetricFamily[];
  /** Carries out a decision of the user's, or says why not: nothing of it is done then. */
  settle(settlement: Settlement): Refusal | undefined;
}

export interface WebOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly source: WebSource;
  readonly onFault: (error: unknown) => void;
}

/** The port cannot be listened on. */
export class WebListenError extends Error {
  override readonly name = 'WebListenError';

  constructor(
    readonly code: string,
    readonly host: string,
    readonly port: number,
    options: ErrorOptions,
  ) {
    super(`the web listener cannot use ${host}:${port} (${code})`, options);
  }
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly policy?: string;
}

const REQUEST_TIMEOUT_MS = 10_000;
const MOST_CONNECTIONS = 64;

export class Web {
  private readonly server: Server;

  constructor(private readonly options: WebOptions) {
    this.server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: 8_192 },
      (request, response) => {
        this.handle(request, response);
      },
    );
    this.server.maxConnections = MOST_CONNECTIONS;
  }

  /** Resolves with the address that is listened on; rejects with a `WebListenError`. */
  async start(): Promise<{ host: string; port: number }> {
    const { host, port } = this.options.listen;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new WebListenError(error.code ?? error.message, host, port, { cause: error }));
      });
      this.server.listen(port, host, resolve);
    });
    this.server.on('error', this.options.onFault);
    return { host, port: this.port };
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  private get port(): number {
    const address = this.server.address() as AddressInfo | null;
    return address?.port ?? this.options.listen.port;
  }

  private handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'GET' && pathOf(request) === '/api/watch' && this.startWatch(request, response))
      return;
    if (request.method !== 'POST') {
      this.send(
        request,
        response,
        this.guarded(() => this.answer(request)),
      );
      return;
    }
    void this.takePost(request).then((answer) => {
      this.send(request, response, answer);
    });
  }

  /** Whatever goes wrong in here is ours to look into, not the caller's. */
  private guarded(answer: () => Answer): Answer {
    try {
      return answer();
    } catch (error) {
      this.options.onFault(error);
      return json(500, { error: 'internal error; see the log' });
    }
  }

  private async takePost(request: IncomingMessage): Promise<Answer> {
    const refusal = this.refusalOf(request);
    if (refusal) return refusal;
    if (request.url !== '/api/held') return json(405, { error: 'only GET and HEAD here' });
    // A form or script of another site can send neither this type nor this header without being asked first.
    const isOwn = request.headers['content-type'] === 'application/json' && isOurProgram(request);
    if (!isOwn) return json(415, { error: 'send application/json and the header X-Mqtt2exist: 1' });
    const settlement = await readSettlement(request);
    if ('error' in settlement) return json(400, settlement);
    return this.guarded(() => settled(this.options.source.settle(settlement)));
  }

  private send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'content-length': Buffer.byteLength(answer.body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'content-security-policy': answer.policy ?? "default-src 'none'; frame-ancestors 'none'",
      ...(answer.status === 405 && { allow: 'GET, HEAD' }),
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  private refusalOf({ headers }: IncomingMessage): Answer | undefined {
    const { host } = headers;
    if (host === undefined) return json(400, { error: 'the request names no Host' });
    if (this.isOurs(host)) return undefined;
    return json(421, { error: `this is not ${host}: ask by localhost or by the address listened on` });
  }

  private answer(request: IncomingMessage): Answer {
    const refusal = this.refusalOf(request);
    if (refusal) return refusal;
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'only GET and HEAD here' });
    const { source } = this.options;
    switch (pathOf(request)) {
      case '/':
        return { status: 200, type: 'text/html; charset=utf-8', body: PAGE, policy: PAGE_POLICY };
      case '/healthz':
        return this.health();
      case '/metrics':
        return { status: 200, type: METRICS_CONTENT_TYPE, body: metricsText(source.metrics()) };
      case '/api/status':
        return json(200, source.status());
      case '/api/held': {
        const { held, held_attributes } = source.status();
        return json(200, { held, held_attributes });
      }
      case '/api/devices':
        return json(200, source.devices());
      case '/api/topics': {
        const filter = filterOf(request);
        const problem = filterProblem(filter);
        return problem === undefined ? json(200, source.topics(filter)) : json(400, { error: problem });
      }
      case '/api/watch':
        return json(503, { error: filterProblem(filterOf(request)) ?? 'too many are watching already' });
      default:
        return json(404, {
          error:
            'there is /, /healthz, /metrics, /api/status, /api/held, /api/devices, /api/topics and /api/watch',
        });
    }
  }

  /** Whether the request is taken care of; else it is answered like others. */
  private startWatch(request: IncomingMessage, response: ServerResponse): boolean {
    const filter = filterOf(request);
    if (this.refusalOf(request) || filterProblem(filter) !== undefined) return false;
    // A look makes connections: no page of another site is to set one off.
    const isLooking = isOurProgram(request);
    return streamWatch(response, (show) => this.options.source.watch(filter, show, isLooking));
  }

  private health(): Answer {
    const { listening, databaseOpen, problems } = this.options.source.health();
    if (!listening || !databaseOpen) {
      const words = [
        ...(listening ? [] : ['the broker does not listen']),
        ...(databaseOpen ? [] : ['the database is closed']),
      ];
      return json(503, { status: 'down', problems: words });
    }
    return json(200, { status: problems.length === 0 ? 'ok' : 'degraded', problems });
  }

  private isOurs(host: string): boolean {
    const name = host
      .toLowerCase()
      .replace(/:\d+$/, '')
      .replace(/^\[|\]$/g, '');
    return [this.options.listen.host.toLowerCase(), 'localhost', '127.0.0.1', '::1'].includes(name);
  }
}

function settled(refusal: Refusal | undefined): Answer {
  switch (refusal?.kind) {
    case undefined:
      return json(200, { settled: true });
    case 'not-held':
      return json(404, { error: 'nothing is held there' });
    case 'total':
      return json(400, { error: refusal.reason });
    case 'attribute-held':
      return json(409, { error: refusal.reason });
    case 'unwritten':
      return json(503, { error: refusal.reason });
  }
}

/** Pages of other sites cannot send this header without asking first. */
function isOurProgram({ headers }: IncomingMessage): boolean {
  return 'x-mqtt2exist' in headers;
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '/';
}

/** `?filter=home/%23`; all topics without it. */
function filterOf({ url = '/' }: IncomingMessage): string {
  const [, query = ''] = url.split('?');
  return new URLSearchParams(query).get('filter') ?? '#';
}

function json(status: number, body: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(body, null, 2)}\n` };
}
