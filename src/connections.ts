/**
 * Existing brokers as part of the bridge: the configuration's words into those of `sources/`, which is loaded when
 * the first connection is configured, or a broker still keeps the session of a former one: an MQTT client is megabytes
 * that others need not carry.
 */
import { randomBytes } from 'node:crypto';
import type { Config } from './config/load.ts';
import { compileMappings } from './config/mappings.ts';
import type { Status } from './core/status.ts';
import type { EpochMs } from './core/time.ts';
import type { Inlet, Log, Observer, SessionStore, SourceOptions } from './sources/ports.ts';
import type { Sources } from './sources/sources.ts';

export interface ConnectionsParts {
  readonly bridgeId: string;
  readonly inlet: Inlet;
  readonly sessions: SessionStore;
  readonly log: Log;
  readonly now: () => EpochMs;
}

export class Connections {
  private sources: Sources | undefined;
  private loading: Promise<void> | undefined;
  private isStopped = false;
  private config: Config | undefined;
  private readonly announced = new Map<string, string>();

  constructor(private readonly parts: ConnectionsParts) {}

  /** Connects to what `config` names, and to nothing else. Brokers that cannot be reached are tried until they can. */
  configure(config: Config): void {
    this.config = config;
    if (this.sources) this.sources.reconfigure(this.options(config), filtersOf(config));
    else if (config.connections.length > 0 || this.parts.sessions.keys().length > 0)
      this.loading ??= this.load();
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.loading;
    await this.sources?.stop();
  }

  /** Retained, on all of them, now or when they are connected. */
  publish(topic: string, payload: string): void {
    this.announced.set(topic, payload);
    this.sources?.publish({ topic, payload });
  }

  /**
   * Shows what comes on the topics of `filter` there and is no reading, until the function given back is called. It is a
   * connection of its own to each broker: neither the session nor what is acknowledged there knows of it.
   */
  look(filter: string, observer: Observer): () => void {
    return this.sources?.look(filter, observer) ?? (() => undefined);
  }

  status(): Status['connections'] {
    return (this.sources?.status() ?? []).map(({ name, url, state, since, lastError, messages }) => ({
      name,
      url,
      state,
      since: new Date(since).toISOString(),
      last_error: lastError ?? null,
      messages,
    }));
  }

  /** What needs attention, in sentences. */
  troubles(): string[] {
    return (this.sources?.status() ?? []).flatMap(({ trouble }) => trouble ?? []);
  }

  private async load(): Promise<void> {
    const { bridgeId, inlet, sessions, log, now } = this.parts;
    const { Sources } = await import('./sources/sources.ts');
    if (this.isStopped || !this.config) return;
    this.sources = new Sources({
      inlet,
      sessions,
      log,
      now,
      monotonicMs: () => performance.now(),
      random: Math.random,
      after: (delayMs, task) => {
        const timer = setTimeout(task, delayMs);
        return () => {
          clearTimeout(timer);
        };
      },
      newSession: () => randomBytes(4).toString('hex'),
      will: { topic: `mqtt2exist/${bridgeId}/availability`, payload: 'offline' },
    });
    for (const [topic, payload] of this.announced) this.sources.publish({ topic, payload });
    this.sources.start(this.options(this.config), filtersOf(this.config));
  }

  /** A broker must not see one client id twice: further connections to it get a number. */
  private options({ connections }: Config): SourceOptions[] {
    const seen = new Map<string, number>();
    return connections.map((connection) => {
      const address = `${connection.host.toLowerCase()}:${connection.port}`;
      const count = (seen.get(address) ?? 0) + 1;
      seen.set(address, count);
      const ours = `mqtt2exist-${this.parts.bridgeId}${count === 1 ? '' : `-${count}`}`;
      return { ...connection, clientId: connection.clientId ?? ours };
    });
  }
}

function filtersOf(config: Config): string[] {
  return compileMappings(config).flatMap(({ mapping }) => mapping.filters);
}
