/**
 * Where a campaign takes place: devices that keep publishing (to the daemon's own broker, and to a Mosquitto that it
 * takes readings from), a daemon that starts and dies, and an Exist where things go wrong.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import { connect, migrate } from '../../src/ledger/connection.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { MIGRATIONS } from '../../src/ledger/migrations.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import type { Random } from '../simulation/random.ts';
import { Daemon, killStarting, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { freePort } from '../support/port.ts';
import {
  CarelessDevice,
  FaithfulDevice,
  MeasuringDevice,
  RestartingDevice,
  StateDevice,
  type Device,
} from './devices.ts';
import { Tally } from './tally.ts';

/** There before the bridge, and the user's: the bridge may correct no more of it than it may have doubled. */
const OLD = { name: 'guarded', value: 1_000 };
/** A day more than a campaign takes. */
const OLD_DAYS = 2;

/** Without a mode it is strict or guarded, by what becomes of the attribute's creation. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  qos1: 'type: integer, mode: strict',
  qos2: 'type: integer',
  ids: 'type: integer, mode: strict',
  qos0: 'type: integer',
  source: 'type: integer',
  [OLD.name]: 'type: integer',
  amounts: 'type: decimal',
  states: 'type: integer',
};

const OPERATIONS: Readonly<Record<string, string>> = {
  ids: 'value: event, id: inst & "/" & $string(seq), count: { each: pressed }',
  amounts: 'value: amount, add: {}',
  states: 'set: {}',
};

export class House {
  readonly devices: Device[] = [];
  readonly tally = new Tally();
  readonly before = new Map<string, Map<string, number>>();
  /** How the daemon shows Exist who it is; by default with a developer's token. */
  login: Pick<DaemonOptions, 'token' | 'exist'> = {};
  private newcomers = 0;

  private constructor(
    readonly folder: string,
    readonly sandbox: Sandbox,
    readonly random: Random,
    private readonly existUrl: string,
    readonly mosquitto: Mosquitto | undefined,
    private readonly port: number,
    /** Lives are short: for the form within the suite. */
    readonly isBrief: boolean,
  ) {}

  static async open(random: Random, isBrief: boolean): Promise<House> {
    const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-campaign-'));
    const tally: { take?: (line: string) => void } = {};
    const sandbox = new Sandbox({
      timezone: 'UTC',
      callsPerHour: 10_000_000,
      log: (line) => tally.take?.(line),
    });
    const { url } = await sandbox.start();
    const mosquitto = NO_MOSQUITTO === undefined ? await startMosquitto(folder) : undefined;
    const house = new House(folder, sandbox, random, url, mosquitto, await freePort(), isBrief);
    tally.take = (line) => {
      house.tally.take(line);
    };
    await house.furnish();
    return house;
  }

  get dataDir(): string {
    return path.join(this.folder, 'data');
  }

  /** Of the daemon as it is to be started next. */
  get options(): DaemonOptions {
    const options = {
      folder: this.folder,
      existUrl: this.existUrl,
      yaml: this.yaml(),
      listen: `mqtt://127.0.0.1:${this.port}`,
      ...this.login,
    };
    const written = readFileSync(writeConfig(options), 'utf8').replace('timeout: 2s', 'timeout: 700ms');
    const config = path.join(this.folder, 'campaign.yaml');
    // Without a zone in the configuration the daemon asks for the account's before all else: not in every life.
    const isZoneAsked = this.random.chance(0.25);
    writeFileSync(config, isZoneAsked ? written.replace(/^timezone:.*\n/m, '') : written);
    return { ...options, args: ['-c', config] };
  }

  start(): Promise<Daemon> {
    return Daemon.start(this.options);
  }

  /** Starts the daemon and kills it after so long. */
  killStarting(afterMs: number): Promise<void> {
    return killStarting(this.options, afterMs);
  }

  /** Something new in the house, for which the next start has an attribute to create. */
  addDevice(): void {
    this.newcomers += 1;
    this.devices.push(
      new FaithfulDevice(this.port, `new_${this.newcomers}`, this.random.pick([1, 2]), ', new'),
    );
  }

  async close(isToBeKept: boolean): Promise<void> {
    for (const device of this.devices) device.stop();
    await this.mosquitto?.kill();
    await this.sandbox.stop();
    if (!isToBeKept) rmSync(this.folder, { recursive: true, force: true });
  }

  private async furnish(): Promise<void> {
    const { port, random, devices, mosquitto } = this;
    devices.push(
      new FaithfulDevice(port, 'qos1', 1),
      new FaithfulDevice(port, 'qos2', 2),
      new RestartingDevice(port, 'ids', random),
      new CarelessDevice(port, 'qos0'),
      new FaithfulDevice(port, OLD.name, 1),
      new MeasuringDevice(port, 'amounts', 2, random),
      new StateDevice(port, 'states', 1),
    );
    if (mosquitto) devices.push(new FaithfulDevice(mosquitto.port, 'source', 2, ' by Mosquitto'));
    this.layOldDatabase();
    await this.layOldAttribute();
  }

  /** What the first version of the program left behind. */
  private layOldDatabase(): void {
    mkdirSync(this.dataDir);
    const db = connect(path.join(this.dataDir, DATABASE_FILE));
    migrate(db, MIGRATIONS.slice(0, 1));
    db.close();
  }

  private async layOldAttribute(): Promise<void> {
    const made = await request(`${this.existUrl}/api/2/attributes/create/`, {
      method: 'POST',
      headers: { authorization: 'Bearer anything', 'content-type': 'application/json' },
      body: JSON.stringify([{ label: OLD.name, group: 'custom', value_type: 0, manual: false }]),
    });
    await made.body.dump();
    const days = new Map<string, number>();
    for (let ahead = 0; ahead < OLD_DAYS; ahead += 1) {
      const day = new Date(Date.now() + ahead * 86_400_000).toISOString().slice(0, 10);
      days.set(day, OLD.value);
      // Twice: it has stood there for long, a read that lags behind shows it as well.
      for (let times = 0; times < 2; times += 1) {
        const error = this.sandbox.edit(OLD.name, day, OLD.value);
        if (error !== undefined) throw new Error(error);
      }
    }
    this.before.set(OLD.name, days);
  }

  private yaml(): string {
    const names = [
      ...Object.keys(ATTRIBUTES),
      ...Array.from({ length: this.newcomers }, (_, index) => `new_${index + 1}`),
    ];
    const attributes = names.map(
      (name) => `  ${name}: { label: ${name}, ${ATTRIBUTES[name] ?? 'type: integer'} }\n`,
    );
    const mappings = names.map((name) => {
      const operation = OPERATIONS[name] ?? 'count: { each: any }';
      return `  - { topic: campaign/${name}, attribute: ${name}, ${operation} }\n`;
    });
    const connections = this.mosquitto
      ? `connections: [{ name: home, url: "mqtt://127.0.0.1:${this.mosquitto.port}" }]\n`
      : '';
    return `${connections}attributes:\n${attributes.join('')}mappings:\n${mappings.join('')}`;
  }
}

function startMosquitto(folder: string): Promise<Mosquitto> {
  const own = path.join(folder, 'mosquitto');
  mkdirSync(own);
  return Mosquitto.start(own, ['max_queued_messages 0']);
}
