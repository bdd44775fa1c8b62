/**
 * What the daemon says of the accounts of clients: `GET /api/devices` is this, to the letter.
 */

export interface DevicesStatus {
  /** Why the file of devices cannot be used as it stands now; those of before go on. */
  readonly problem: string | null;
  /** When the file that is in force was written, in ms of the file system; null where there is none. */
  readonly file_mtime_ms: number | null;
  /** Whether clients without an account are let in. */
  readonly anonymous: boolean;
  readonly devices: readonly DeviceStatus[];
}

export interface DeviceStatus {
  readonly name: string;
  /** Made by `mqtt2exist devices`, or written in the configuration. */
  readonly source: 'device' | 'configuration';
  /** Connections at this moment. */
  readonly connections: number;
  /** ISO 8601: when it last connected, published, or was connected; null where it never was. */
  readonly last_seen: string | null;
  /** Where from it last connected. */
  readonly address: string | null;
  /** Publishes since it is known, those without a right included. */
  readonly messages: number;
  /** Readings of it that could not be taken: see `refused_readings` of the status. */
  readonly refused_readings: number;
  /** Publishes, subscriptions and wills that it had no right to. */
  readonly denied: number;
  /** After so long without a publish it is told of; null where it may be silent for as long as it likes. */
  readonly silent_after_s: number | null;
}
