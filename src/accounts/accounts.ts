/**
 * The accounts of clients while the daemon runs: those of the configuration and those of the file of devices,
 * which is looked at every second, so that `mqtt2exist devices` needs no way to the daemon.
 *
 * States: stopped → running (the file is watched) → stopped.
 */
import { statSync } from 'node:fs';
import type { DeviceStatus, DevicesStatus } from '../core/device-status.ts';
import { Seldom } from '../core/seldom.ts';
import { HOUR_MS, MINUTE_MS } from '../core/time.ts';
import { Activity, deviceStatus } from './activity.ts';
import {
  Authenticator,
  type Account,
  type Admission,
  type Attempt,
  type AuthenticatorClock,
} from './authenticator.ts';
import { DeviceFile, type Device } from './device-file.ts';
import type { ListedAccount } from './listed-account.ts';
import { hashPassword, RANDOM_PASSWORD, randomPassword } from './password-hash.ts';

export interface AccountsParts {
  /** The file that `mqtt2exist devices` writes. */
  readonly deviceFile: string;
  /** Where to keep what was seen of the accounts. */
  readonly activityFile: string;
  readonly clock: AuthenticatorClock & { now(): number };
  /** What these hold must be taken from them: they are gone or not what they were. `undefined`: the anonymous. */
  readonly onChanged: (names: readonly (string | undefined)[]) => void;
  readonly onPublished: (name: string) => void;
  readonly log: (
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
}

export interface AccountSettings {
  /** Those of the configuration. */
  readonly users: readonly ListedAccount[];
  /** Every listener is on a loopback address. */
  readonly isPrivate: boolean;
}

const LOOK_MS = 1_000;
/** A page or two each time, where anything was seen: a card does not feel it. */
const SAVE_MS = 5 * MINUTE_MS;

export class Accounts {
  private readonly file: DeviceFile;
  private readonly activity: Activity;
  private readonly authenticator: Authenticator;
  private devices: readonly Device[] = [];
  /** For parts of the daemon that are clients themselves. */
  private own: Account | undefined;
  private problem: string | undefined;
  /** What the file looked like when it was last read; `undefined`: not read yet. */
  private stamp: string | undefined;
  private mtimeMs: number | null = null;
  private readonly warnings: Seldom;
  private cancels: (() => void)[] = [];

  constructor(
    private readonly parts: AccountsParts,
    private settings: AccountSettings,
  ) {
    this.file = new DeviceFile(parts.deviceFile);
    this.activity = new Activity(parts.activityFile, () => parts.clock.now());
    this.authenticator = new Authenticator(parts.clock);
    this.warnings = new Seldom(HOUR_MS, () => parts.clock.monotonicMs());
  }

  start(): void {
    this.activity.load();
    this.look();
    this.apply();
    this.every(LOOK_MS, () => {
      this.look();
    });
    this.every(SAVE_MS, () => {
      this.save();
    });
  }

  stop(): void {
    if (this.cancels.length === 0) return;
    for (const cancel of this.cancels.splice(0)) cancel();
    this.authenticator.stop();
    this.save();
  }

  /** Other accounts in the configuration; the file of devices is looked at as well. */
  reconfigure(settings: AccountSettings): void {
    this.settings = settings;
    this.look();
    this.apply();
  }

  /** An account for a part of the daemon itself; it is not shown, and makes no difference to whoever else comes. */
  async openOwn(
    publish: readonly string[],
  ): Promise<{ readonly username: string; readonly password: string }> {
    const password = randomPassword();
    const passwordHash = await hashPassword(password, RANDOM_PASSWORD);
    const rights = { publish, subscribe: [] };
    this.own = { name: OWN_NAME, passwordHash, rights, clientId: undefined };
    this.apply();
    return { username: OWN_NAME, password };
  }

  async admit(attempt: Attempt): Promise<Admission> {
    const admission = await this.authenticator.admit(attempt);
    if ('refusal' in admission) {
      const { name, address, clientId } = attempt;
      const account = name?.slice(0, 100) ?? 'none';
      const fields = { account, address, client: clientId.slice(0, 100), reason: admission.refusal };
      this.warn(`login ${address} ${account} ${admission.refusal}`, 'a client was not let in', fields);
    }
    return admission;
  }

  knows(account: string | undefined): boolean {
    return account === undefined ? this.authenticator.isAnonymousAllowed : this.authenticator.has(account);
  }

  connected(account: string, address: string): void {
    this.activity.connected(account, address);
  }

  disconnected(account: string): void {
    this.activity.disconnected(account);
  }

  published(account: string): void {
    this.activity.published(account);
    this.parts.onPublished(account);
  }

  denied(account: string, what: 'publish' | 'subscribe' | 'will', topic: string): void {
    this.activity.denied(account);
    const fields = { account, what, topic: topic.slice(0, 200) };
    this.warn(`denied ${account} ${what} ${topic}`, 'a client has no right to that', fields);
  }

  refusedReading(account: string): void {
    this.activity.refusedReading(account);
  }

  /** Those there are now, the daemon's own left out. */
  get listed(): readonly ListedAccount[] {
    return [...this.devices, ...this.settings.users];
  }

  status(): DevicesStatus {
    return {
      problem: this.problem ?? null,
      file_mtime_ms: this.mtimeMs,
      anonymous: this.authenticator.isAnonymousAllowed,
      devices: [
        ...this.devices.map((device) => this.statusOf(device, 'device')),
        ...this.settings.users.map((user) => this.statusOf(user, 'configuration')),
      ],
    };
  }

  private statusOf(account: ListedAccount, source: DeviceStatus['source']): DeviceStatus {
    return deviceStatus(account, source, this.activity.of(account.name));
  }

  /** Reads the file where it has changed. One that cannot be used changes nothing. */
  private look(): void {
    const { stamp, mtimeMs } = stampOf(this.file.path);
    if (stamp === this.stamp) return;
    const isFirst = this.stamp === undefined;
    this.stamp = stamp;
    const read = this.file.read();
    if ('problem' in read) {
      this.problem = `${read.problem}; ${read.hint}`;
      this.parts.log('error', this.problem);
      return;
    }
    this.problem = undefined;
    this.mtimeMs = mtimeMs;
    const before = new Map(this.devices.map(({ name, addedAt }) => [name, addedAt]));
    const after = new Map(read.devices.map(({ name, addedAt }) => [name, addedAt]));
    for (const name of isFirst ? [] : [...before.keys(), ...after.keys()]) {
      // Another device of the same name is another one.
      if (before.get(name) !== after.get(name)) this.activity.forget(name);
    }
    this.devices = read.devices;
    if (isFirst) return;
    this.parts.log('info', 'took the accounts of devices', { devices: read.devices.length });
    this.apply();
  }

  private apply(): void {
    const { isPrivate } = this.settings;
    const accounts = this.listed.map(withoutSilence);
    // A file that cannot be read is not one without devices.
    const mayBeAnonymous = isPrivate && accounts.length === 0 && this.problem === undefined;
    const wasAnonymous = this.authenticator.isAnonymousAllowed;
    if (this.own && !mayBeAnonymous) accounts.push(this.own);
    const changed: (string | undefined)[] = this.authenticator.configure(accounts, mayBeAnonymous);
    if (wasAnonymous && !mayBeAnonymous) changed.push(undefined);
    if (changed.length > 0) this.parts.onChanged(changed);
  }

  private save(): void {
    try {
      this.activity.save(new Set(this.listed.map(({ name }) => name)));
    } catch (error) {
      this.parts.log('debug', 'what was seen of the devices cannot be kept', { error: String(error) });
    }
  }

  /** Once an hour each: a device that is turned away comes back every few seconds. */
  private warn(key: string, message: string, fields: Readonly<Record<string, unknown>>): void {
    this.parts.log(this.warnings.isDue(key) ? 'warn' : 'debug', message, fields);
  }

  private every(delayMs: number, task: () => void): void {
    let cancel = (): void => undefined;
    const again = (): void => {
      cancel = this.parts.clock.after(delayMs, () => {
        task();
        again();
      });
    };
    again();
    this.cancels.push(() => {
      cancel();
    });
  }
}

/** Changes with the file; when it was written. */
function stampOf(file: string): { readonly stamp: string; readonly mtimeMs: number | null } {
  try {
    const stats = statSync(file, { throwIfNoEntry: false, bigint: true });
    if (!stats) return { stamp: 'none', mtimeMs: null };
    const { ino, size, mtimeNs, ctimeNs, mtimeMs } = stats;
    return { stamp: `${ino} ${size} ${mtimeNs} ${ctimeNs}`, mtimeMs: Number(mtimeMs) };
  } catch {
    return { stamp: 'out of reach', mtimeMs: null };
  }
}

/** When an account counts as silent makes no difference to who is connected with it. */
function withoutSilence(account: ListedAccount): Account {
  const alike: ListedAccount = { ...account, silentAfterMs: undefined };
  return alike;
}

/** A name that no device can have. */
const OWN_NAME = '(mqtt2exist)';
