/**
 * The looks of all who look. A message is shown once, however many ways it comes: what a session brings is known from
 * there, and of several looks at one broker the first that brings a topic shows it.
 */
import { isOwnTopic } from '../core/topic.ts';
import { Look, type LookParts } from './look.ts';
import type { Observer, SourceOptions } from './ports.ts';

/** A connection as far as a look is concerned. */
export interface Looked {
  readonly options: SourceOptions;
  readonly source: {
    /** Why nothing can be looked at there; `undefined` where it can. */
    readonly blindness: string | undefined;
    readonly protocol: 4 | 5;
    /** Whether the session brings what is published to `topic`. */
    hears(topic: string): boolean;
  };
}

/** That every broker takes in a client id. */
const MOST_CHARACTERS = 23;

interface Running {
  readonly look: Look;
  readonly source: Looked['source'];
}

export class Looks {
  private running: readonly Running[] = [];

  constructor(private readonly parts: LookParts) {}

  /** Looks at all of them until the function given back is called. What cannot be looked at is told. */
  begin(connections: readonly Looked[], filter: string, observer: Observer): () => void {
    // The broker's own figures; and a shared subscription would take messages away from others.
    if (filter.startsWith('$')) {
      if (connections.length > 0) observer.note('connections are not looked at for topics that begin with $');
      return () => undefined;
    }
    const begun = connections.flatMap((connection) => this.look(connection, filter, observer) ?? []);
    return () => {
      void this.end(({ look }) => begun.includes(look));
    };
  }

  /** Ends those at one connection, or all. */
  async stop(source?: Looked['source']): Promise<void> {
    await this.end((one) => source === undefined || one.source === source);
  }

  private look({ options, source }: Looked, filter: string, observer: Observer): Look | undefined {
    const { blindness, protocol } = source;
    if (blindness !== undefined) {
      observer.note(`connection ${options.name} is down: ${blindness}`);
      return undefined;
    }
    const earlier = this.running.filter((one) => one.source === source);
    const isKnown = (topic: string): boolean =>
      isOwnTopic(topic) || source.hears(topic) || earlier.some(({ look }) => look.shows(topic));
    const clientId = this.freeClientId(options.clientId);
    const look = new Look({ ...options, clientId }, protocol, filter, observer, this.parts, isKnown);
    this.running = [...this.running, { look, source }];
    look.start();
    return look;
  }

  /** A broker must not see one twice, and need take no longer one than it has taken, or 23 characters [MQTT-3.1.3-5]. */
  private freeClientId(base: string): string {
    const taken = new Set(this.running.map(({ look }) => look.clientId));
    const most = Math.max(MOST_CHARACTERS, base.length);
    for (let number = 1; ; number += 1) {
      const ending = `-w${number}`;
      const clientId = `${base.slice(0, most - ending.length)}${ending}`;
      if (!taken.has(clientId)) return clientId;
    }
  }

  private async end(isOver: (one: Running) => boolean): Promise<void> {
    const over = this.running.filter(isOver);
    this.running = this.running.filter((one) => !isOver(one));
    await Promise.all(over.map(({ look }) => look.stop()));
  }
}
