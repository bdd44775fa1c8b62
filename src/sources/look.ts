/**
 * A look at what an existing broker has besides what the mappings name: a second connection beside the session, clean
 * and with QoS 0, for as long as somebody looks. What it brings is shown and nothing else: no reading comes of it,
 * nothing is acknowledged, and the broker keeps nothing of it.
 *
 * ```
 *   start ─▶ connecting ─▶ looking ─▶ over: stopped, lost, refused, or more than may come
 * ```
 *
 * It is not tried again: whoever looks is told, and is there to look again.
 */
import { Bucket } from '../core/bucket.ts';
import { filterTest } from '../core/topic.ts';
import { Link, type Incoming } from './link.ts';
import { subackText } from './failure.ts';
import type { Observer, SourceOptions, SourceParts } from './ports.ts';

/** Topics of one look; those that come later are left out. */
const MOST_TOPICS = 500;
/** A broker begins with all that is retained. */
const BURST = 2_000;
const MOST_A_SECOND = 100;
/** A payload of so many bytes takes the room of one more message. */
const BYTES_LIKE_ONE = 1_024;

export class Look {
  /** Whether it brings what is published to `topic`. */
  readonly shows: (topic: string) => boolean;
  private readonly topics = new Set<string>();
  private link: Link | undefined;
  private isOver = false;
  private isLooking = false;
  private readonly room: Bucket;
  private isFull = false;

  constructor(
    private readonly options: SourceOptions,
    private readonly version: 4 | 5,
    private readonly filter: string,
    private readonly observer: Observer,
    private readonly parts: Pick<SourceParts, 'monotonicMs'>,
    /** The message comes to us another way too. */
    private readonly isKnown: (topic: string) => boolean,
  ) {
    const fits = filterTest(filter);
    this.shows = (topic) => this.isLooking && fits(topic);
    this.room = new Bucket(BURST, MOST_A_SECOND, parts.monotonicMs());
  }

  get clientId(): string {
    return this.options.clientId;
  }

  start(): void {
    this.link = new Link(
      this.options,
      this.version,
      undefined,
      {
        accepted: () => undefined,
        ready: () => void this.subscribe(),
        message: (message, done) => {
          this.take(message);
          done();
        },
        released: () => undefined,
        failed: ({ text }) => this.end(text),
      },
      true,
    );
    this.link.open();
  }

  /** Idempotent. Resolves when the connection is closed. */
  async stop(): Promise<void> {
    this.isOver = true;
    this.isLooking = false;
    await this.link?.close(true);
  }

  private async subscribe(): Promise<void> {
    try {
      // What is retained comes right behind the answer.
      this.isLooking = true;
      const [code = 0x80] = (await this.link?.subscribe([this.filter], 0)) ?? [];
      if (code >= 0x80) this.end(`it refuses ${this.filter}: ${subackText(code)}`);
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
    }
  }

  private take({ topic, payload, retain }: Incoming): void {
    if (this.isOver) return;
    if (!this.hasRoomFor(payload.length)) {
      this.end(`more comes than can be shown; look with a filter that is narrower than ${this.filter}`);
      return;
    }
    if (this.isKnown(topic) || !this.isOneOfFew(topic)) return;
    this.observer.saw({ topic, payload, retain, connection: this.options.name });
  }

  private hasRoomFor(bytes: number): boolean {
    const cost = 1 + Math.floor(bytes / BYTES_LIKE_ONE);
    return this.room.take(cost, this.parts.monotonicMs()) === cost;
  }

  private isOneOfFew(topic: string): boolean {
    if (this.topics.has(topic)) return true;
    if (this.topics.size < MOST_TOPICS) {
      this.topics.add(topic);
      return true;
    }
    if (!this.isFull) {
      this.observer.note(
        `connection ${this.options.name} has more than ${MOST_TOPICS} topics below ${this.filter}: the others are left out`,
      );
    }
    this.isFull = true;
    return false;
  }

  private end(reason: string): void {
    if (this.isOver) return;
    this.observer.note(`connection ${this.options.name} cannot be looked at: ${reason}`);
    void this.stop();
  }
}
