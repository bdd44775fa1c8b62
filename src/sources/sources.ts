/**
 * All existing brokers that readings are taken from, as the configuration has them now.
 */
import { isDeepStrictEqual } from 'node:util';
import { Farewell } from './farewell.ts';
import { Looks } from './looks.ts';
import type { Announcement, Observer, SourceOptions, SourceParts, SourceStatus } from './ports.ts';
import { predecessorAmong, readSessionKey, urlOf } from './session-key.ts';
import { Source } from './source.ts';

/** Topics that the bridge tells other brokers of; discovery has a few for each attribute. */
const MOST_ANNOUNCEMENTS = 5_000;

interface Running {
  readonly options: SourceOptions;
  readonly source: Source;
}

export class Sources {
  private running: Running[] = [];
  private farewells: Farewell[] = [];
  /** Connections that were taken out, by the key of their session: how their brokers let us in. */
  private readonly former = new Map<string, SourceOptions>();
  private readonly announcements = new Map<string, string>();
  private readonly looks: Looks;
  /** Changes of the configuration, one after the other. */
  private changing: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(private readonly parts: SourceParts) {
    this.looks = new Looks(parts);
  }

  /** Resolves at once: brokers that cannot be reached are tried until they can. */
  start(all: readonly SourceOptions[], filters: readonly string[]): void {
    for (const options of all) this.add(options, filters);
    this.takeLeave();
  }

  /** Idempotent. Resolves when all connections are closed. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([this.changing, this.looks.stop()]);
    await Promise.all(
      [...this.running.map(({ source }) => source), ...this.farewells].map((each) => each.stop()),
    );
  }

  /** Other brokers or other filters from now on; what stays as it is stays connected. */
  reconfigure(all: readonly SourceOptions[], filters: readonly string[]): void {
    this.changing = this.changing.then(() => this.change(all, filters));
  }

  /** Retained, on all of them, now or when they are connected. */
  publish(announcement: Announcement): void {
    const { topic, payload } = announcement;
    if (!this.announcements.has(topic) && this.announcements.size >= MOST_ANNOUNCEMENTS) return;
    this.announcements.set(topic, payload);
    for (const { source } of this.running) source.publish(announcement);
  }

  /** Shows what comes on the topics of `filter`, besides readings, until the function given back is called. */
  look(filter: string, observer: Observer): () => void {
    return this.looks.begin(this.isStopped ? [] : this.running, filter, observer);
  }

  status(): SourceStatus[] {
    return this.running.map(({ source }) => source.status());
  }

  private async change(all: readonly SourceOptions[], filters: readonly string[]): Promise<void> {
    const before = this.running;
    const stays = ({ options }: Running): boolean => all.some((other) => isDeepStrictEqual(other, options));
    const added = all.filter((options) => !before.some((one) => isDeepStrictEqual(one.options, options)));
    const removed = before.filter((one) => !stays(one));
    await Promise.all(this.farewells.map((farewell) => farewell.stop()));
    this.running = before.filter(stays);
    for (const { source } of this.running) source.reconfigure(filters);
    for (const { options, source } of removed) this.former.set(source.key, options);
    await Promise.all(removed.map(({ source }) => this.looks.stop(source)));
    // One client id must not be connected twice: the broker would throw the first one out. Where it is used again, the
    // broker may be the same under another address, and what waits there for us is not to be lost.
    await Promise.all(
      removed.map(({ options, source }) =>
        added.some(({ clientId }) => clientId === options.clientId) ? source.stop() : source.leave(),
      ),
    );
    if (this.isStopped) return;
    for (const options of added) this.add(options, filters);
    this.takeLeave();
  }

  /** Of brokers that keep a session of a connection that there is no longer. */
  private takeLeave(): void {
    const orphans = this.orphans();
    for (const key of this.former.keys()) if (!orphans.includes(key)) this.former.delete(key);
    this.farewells = orphans.flatMap((key) => {
      const options = this.former.get(key) ?? this.optionsOf(key);
      if (!options) return [];
      const rivals = (): Source[] =>
        this.running.flatMap((one) => (one.options.clientId === options.clientId ? [one.source] : []));
      return [new Farewell(options, this.parts, rivals)];
    });
    for (const farewell of this.farewells) farewell.start();
  }

  /** Keys of sessions that no connection has. */
  private orphans(): string[] {
    const taken = new Set(this.running.map(({ source }) => source.key));
    return this.parts.sessions.keys().filter((key) => !taken.has(key));
  }

  /** What is known of a connection that an earlier run had: no password, if no other one shares its address. */
  private optionsOf(key: string): SourceOptions | undefined {
    const read = readSessionKey(key);
    if (!read) return undefined;
    const url = urlOf(read);
    const there = this.running.find(({ options }) => urlOf(options) === url)?.options;
    if (there) return { ...there, clientId: read.clientId };
    return {
      ...read,
      name: read.host,
      username: undefined,
      password: undefined,
      protocol: undefined,
      tls: { ca: undefined, cert: undefined, key: undefined },
      qos: 2,
      keepAliveS: 30,
    };
  }

  private add(options: SourceOptions, filters: readonly string[]): void {
    const predecessor = (): string | undefined => predecessorAmong(this.orphans(), options);
    const source = new Source(options, filters, this.parts, this.announcements, predecessor);
    this.running.push({ options, source });
    source.start();
  }
}
