/**
 * All existing brokers that readings are taken from, as the configuration has them now.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Announcement, SourceOptions, SourceParts, SourceStatus } from './ports.ts';
import { Source } from './source.ts';

/** Topics that the bridge tells other brokers of; discovery has a few for each attribute. */
const MOST_ANNOUNCEMENTS = 5_000;

interface Running {
  readonly options: SourceOptions;
  readonly source: Source;
}

export class Sources {
  private running: Running[] = [];
  private readonly announcements = new Map<string, string>();
  /** Changes of the configuration, one after the other. */
  private changing: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(private readonly parts: SourceParts) {}

  /** Resolves at once: brokers that cannot be reached are tried until they can. */
  start(all: readonly SourceOptions[], filters: readonly string[]): void {
    for (const options of all) this.add(options, filters);
  }

  /** Idempotent. Resolves when all connections are closed. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.changing;
    await Promise.all(this.running.map(({ source }) => source.stop()));
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

  status(): SourceStatus[] {
    return this.running.map(({ source }) => source.status());
  }

  private async change(all: readonly SourceOptions[], filters: readonly string[]): Promise<void> {
    const before = this.running;
    const stays = ({ options }: Running): boolean => all.some((other) => isDeepStrictEqual(other, options));
    const added = all.filter((options) => !before.some((one) => isDeepStrictEqual(one.options, options)));
    this.running = before.filter(stays);
    for (const { source } of this.running) source.reconfigure(filters);
    // One client id must not be connected twice: the broker would throw the first one out.
    await Promise.all(
      before
        .filter((one) => !stays(one))
        .map(({ options, source }) =>
          added.some((other) => isSameSession(other, options)) ? source.stop() : source.leave(),
        ),
    );
    if (!this.isStopped) for (const options of added) this.add(options, filters);
  }

  private add(options: SourceOptions, filters: readonly string[]): void {
    const source = new Source(options, filters, this.parts, this.announcements);
    this.running.push({ options, source });
    source.start();
  }
}

/** Its session goes on under other settings. */
function isSameSession(one: SourceOptions, other: SourceOptions): boolean {
  return one.clientId === other.clientId && one.host === other.host && one.port === other.port;
}
