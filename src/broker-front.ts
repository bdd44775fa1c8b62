/**
 * The broker as clients meet it: its listeners, the certificate that they show, and its announcement in the network.
 */
import { hostname } from 'node:os';
import type { Broker } from './broker/broker.ts';
import { refusalsOf } from './broker/counters.ts';
import { ServedCertificate } from './certificates/served-certificate.ts';
import { isLoopback } from './config/listen.ts';
import type { Config } from './config/load.ts';
import type { Status } from './core/status.ts';
import type { EpochMs } from './core/time.ts';
import { Announcer, type Service } from './host/announcer.ts';
import type { Log } from './narrator.ts';

type Settings = Exclude<Config['broker'], false>;

export interface BrokerFrontParts {
  readonly broker: Broker;
  readonly clock: {
    readonly now: () => EpochMs;
    readonly monotonicMs: () => number;
    readonly after: (delayMs: number, task: () => void) => () => void;
  };
  readonly isTimeKnown: () => boolean;
  readonly log: Log;
}

/** A label of DNS has 63 bytes. */
const LONGEST_NAME = 63;

/** The second one is what IANA knows for MQTT over TLS. Websockets have no name of their own. */
const SERVICE_TYPES = {
  mqtt: '_mqtt._tcp',
  mqtts: '_secure-mqtt._tcp',
  ws: undefined,
  wss: undefined,
} as const;

export class BrokerFront {
  private readonly certificate: ServedCertificate | undefined;
  private readonly announcer: Announcer | undefined;
  private urls: readonly string[] = [];

  constructor(
    private readonly parts: BrokerFrontParts,
    settings: Settings,
  ) {
    const { broker, clock, isTimeKnown, log } = parts;
    this.certificate =
      settings.tls &&
      new ServedCertificate(
        {
          clock,
          isTimeKnown,
          onCertificate: (identity) => {
            broker.secure(identity);
          },
          log,
        },
        settings.tls,
      );
    this.announcer = settings.mdns
      ? new Announcer({
          env: process.env,
          monotonicMs: () => clock.monotonicMs(),
          after: (delayMs, task) => clock.after(delayMs, task),
          log,
        })
      : undefined;
  }

  /** Where it listens, as URLs. */
  get listening(): readonly string[] {
    return this.urls;
  }

  get isListening(): boolean {
    return this.urls.length > 0;
  }

  /** What needs attention, in sentences. */
  troubles(): string[] {
    const trouble = this.certificate?.trouble;
    return trouble === undefined ? [] : [trouble];
  }

  /** For the status. */
  get status(): NonNullable<Status['broker']> {
    const shown = this.certificate?.shown;
    return {
      listening: this.urls,
      clients: this.parts.broker.clientCount,
      not_done: refusalsOf(this.parts.broker.counters),
      certificate: shown
        ? { valid_until: new Date(shown.validUntil).toISOString(), names: shown.names }
        : null,
    };
  }

  /** @throws ListenError where a port is taken, CertificateError where its files are of no use */
  async start(): Promise<void> {
    this.certificate?.start();
    const listening = await this.parts.broker.start();
    this.urls = listening.map(({ scheme, host, port }) => urlOf(scheme, { host, port }));
    const services = new Map<string, Service>();
    const name = `mqtt2exist on ${hostname()}`.slice(0, LONGEST_NAME);
    for (const { scheme, host, port } of listening) {
      const type = SERVICE_TYPES[scheme];
      if (type && !isLoopback(host)) services.set(`${type} ${port}`, { name, type, port });
    }
    this.announcer?.start([...services.values()]);
  }

  /** Listeners change with a restart only; the certificate is read again. */
  reconfigure({ tls }: Settings): void {
    if (tls) this.certificate?.use(tls);
  }

  async stop(): Promise<void> {
    this.certificate?.stop();
    await Promise.all([this.announcer?.stop(), this.parts.broker.stop()]);
  }
}

export function urlOf(
  scheme: string,
  { host, port }: { readonly host: string; readonly port: number },
): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
