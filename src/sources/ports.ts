/**
 * What sources need from outside, and what they are given.
 */

export type QoS = 0 | 1 | 2;

/** An existing broker, as the configuration tells of it. */
export interface SourceOptions {
  /** Unique; shown to the user, and part of the marks by which redeliveries are known. */
  readonly name: string;
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly host: string;
  readonly port: number;
  /** Of a websocket; begins with a slash. */
  readonly path: string;
  /** Stable: the broker keeps the session under it. */
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** `undefined`: 5, and 4 (MQTT 3.1.1) where the broker does not speak it. */
  readonly protocol: 4 | 5 | undefined;
  /** PEM. */
  readonly tls: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
  readonly qos: 1 | 2;
  readonly keepAliveS: number;
}

/** A message for the intake. */
export interface Publish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** Delivered because of a subscription, not because somebody published. */
  readonly replay: boolean;
  readonly dup: boolean;
  /** The broker's; only with QoS 1 and 2. */
  readonly packetId: number | undefined;
  /** Names the connection and the broker's session: packet ids mean the same only within it. */
  readonly clientId: string;
  /** The broker redelivers whatever it still holds, however long the bridge was away. */
  readonly redeliveredWithinMs: number;
}

/** Called once a message is durable, or with the error for which it was not taken. */
export type Taken = (error?: Error) => void;

export interface Inlet {
  take(publish: Publish, done: Taken): void;
  /** The broker knows that it was acknowledged; its packet id is free again. */
  released(clientId: string, packetId: number): void;
}

/** What the broker is believed to keep for one client id; survives restarts. */
export interface SessionRecord {
  /** Random, made anew with every session: marks of an older one mean nothing in it. */
  readonly session: string;
  /** Filters that may be subscribed, with the QoS they were asked for; `null`: not yet answered. */
  readonly filters: Readonly<Record<string, number | null>>;
}

/** Keeps session records; each call is durable when it returns, and throws where that fails. */
export interface SessionStore {
  load(key: string): SessionRecord | undefined;
  save(key: string, record: SessionRecord): void;
  remove(key: string): void;
  /** Of all records. */
  keys(): readonly string[];
}

/** A message of the bridge's own: availability, discovery. */
export interface Announcement {
  readonly topic: string;
  readonly payload: string;
}

export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface SourceParts {
  readonly inlet: Inlet;
  readonly sessions: SessionStore;
  readonly log: Log;
  /** In ms since the epoch, for people. */
  readonly now: () => number;
  readonly monotonicMs: () => number;
  readonly random: () => number;
  /** Runs `task` after `delayMs`, whatever happens to the wall clock; gives back how to call it off. */
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Eight hexadecimal digits from a good source of chance. */
  readonly newSession: () => string;
  /** The bridge's last will on every connection. */
  readonly will: Announcement | undefined;
}

/** As `status` shows it. */
export interface SourceStatus {
  readonly name: string;
  readonly url: string;
  /** `connecting`: not yet answered since the start. */
  readonly state: 'connecting' | 'connected' | 'down';
  /** In ms since the epoch. */
  readonly since: number;
  readonly lastError: string | undefined;
  /** Messages given to the intake since the start. */
  readonly messages: number;
  /** What somebody should do something about, in a sentence. */
  readonly trouble: string | undefined;
}

/** What a look at a broker shows: never a reading. */
export interface Glimpse {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** It came because the look began, not because somebody published. */
  readonly retain: boolean;
  /** The name of the connection. */
  readonly connection: string;
}

/** Who looks. */
export interface Observer {
  readonly saw: (glimpse: Glimpse) => void;
  /** What cannot be shown, and why, in a sentence. */
  readonly note: (note: string) => void;
}
