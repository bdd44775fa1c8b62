/**
 * Accounts of devices: made, listed, removed. They live beside the configuration; a running daemon sees the change
 * by itself within a second, and the command waits to tell so.
 */
import { existsSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { grantProblem } from '../core/rights.ts';
import { Activity, activityFileOf, deviceStatus } from '../accounts/activity.ts';
import {
  DeviceFile,
  DeviceFileError,
  deviceFileOf,
  deviceNameProblem,
  type Device,
} from '../accounts/device-file.ts';
import {
  DEVICE_KINDS,
  settingsText,
  type DeviceKind,
  type DeviceSettings,
} from '../accounts/device-settings.ts';
import { hashPassword, RANDOM_PASSWORD, randomPassword } from '../accounts/password-hash.ts';
import { parseDuration } from '../config/duration.ts';
import type { Config } from '../config/load.ts';
import type { DeviceStatus } from '../core/device-status.ts';
import { MINUTE_MS, SECOND_MS } from '../core/time.ts';
import { authorityFilesOf } from '../certificates/authority.ts';
import { brokerAddress, type BrokerAddress } from './broker-address.ts';
import { placeWithTls } from './certificate.ts';
import { load, printProblems } from './configuration.ts';
import { DaemonDown, devicesOf } from './daemon.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { ownerFor, type Owner } from './owner.ts';

interface PrintOptions {
  readonly config: string;
  readonly for?: string;
  readonly json?: boolean;
}

export interface AddOptions extends PrintOptions {
  readonly topic?: readonly string[];
  readonly publishOnly?: boolean;
  readonly clientId?: string;
  readonly silentAfter?: string;
}

/** A daemon looks at the file every second. */
const TAKEN_WITHIN_MS = 4_000;
const LOOK_MS = 200;

export async function addDevice(name: string, options: AddOptions): Promise<ExitCode> {
  const topics = options.topic ?? [`${name}/#`];
  const wrong = deviceNameProblem(name) ?? kindProblem(options.for) ?? topicsProblem(topics);
  if (wrong !== undefined) return complain(wrong, EXIT.usage);
  const silentAfterMs = options.silentAfter === undefined ? undefined : parseDuration(options.silentAfter);
  if (options.silentAfter !== undefined && !(silentAfterMs !== undefined && silentAfterMs >= MINUTE_MS)) {
    return complain(`${options.silentAfter} is no time to wait; write 10m, 24h or 7d`, EXIT.usage);
  }
  if (options.clientId === '') return complain('the client identifier is empty', EXIT.usage);
  const clash = clashWithUsers(options.config, name, options.clientId);
  if (clash !== undefined) return complain(clash, EXIT.usage);
  const password = randomPassword();
  const device: Device = {
    name,
    passwordHash: await hashPassword(password, RANDOM_PASSWORD),
    rights: { publish: topics, subscribe: options.publishOnly === true ? [] : topics },
    clientId: options.clientId,
    silentAfterMs,
    addedAt: new Date().toISOString(),
  };
  const code = change(options.config, (devices) => {
    if (devices.some((other) => other.name === name)) {
      return `there is a device ${name} already; \`devices password ${name}\` gives it another password`;
    }
    const same = devices.find(({ clientId }) => clientId !== undefined && clientId === options.clientId);
    if (same) return `the client identifier ${options.clientId ?? ''} belongs to ${same.name} already`;
    return [...devices, device];
  });
  if (code !== EXIT.done) return code;
  return show(device, password, options, 'added');
}

export async function changeDevicePassword(name: string, options: PrintOptions): Promise<ExitCode> {
  const wrong = kindProblem(options.for);
  if (wrong !== undefined) return complain(wrong, EXIT.usage);
  const password = randomPassword();
  const passwordHash = await hashPassword(password, RANDOM_PASSWORD);
  let changed: Device | undefined;
  const code = change(options.config, (devices) => {
    const device = devices.find((other) => other.name === name);
    if (!device) return noSuchDevice(name);
    changed = { ...device, passwordHash };
    return devices.map((other) => (other === device ? { ...device, passwordHash } : other));
  });
  if (code !== EXIT.done || !changed) return code;
  return show(changed, password, options, 'has another password');
}

export async function removeDevice(name: string, config: string): Promise<ExitCode> {
  const code = change(config, (devices) => {
    const others = devices.filter((device) => device.name !== name);
    return others.length < devices.length ? others : noSuchDevice(name);
  });
  if (code !== EXIT.done) return code;
  process.stdout.write(`${name} is removed\n`);
  const loaded = load(config);
  if (loaded.ok) await tellWhetherTaken(loaded.config, config);
  else {
    // Without accounts, a listener that is open to the network is a mistake.
    process.stderr.write('the configuration has problems now; the daemon would not start with it:\n');
    printProblems(loaded.problems);
  }
  return EXIT.done;
}

export async function listDevices(file: string, asJson: boolean): Promise<ExitCode> {
  const missing = missingConfiguration(file);
  if (missing !== undefined) return complain(missing, EXIT.configuration);
  const read = new DeviceFile(deviceFileOf(file)).read();
  if ('problem' in read) return complain(`${read.problem}; ${read.hint}`, EXIT.configuration);
  const loaded = load(file);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  const { devices } = read;
  const seen = await seenOf(loaded.config, devices);
  if (asJson) process.stdout.write(`${JSON.stringify(asListed(devices, seen), null, 2)}\n`);
  else process.stdout.write(table(devices, seen));
  return EXIT.done;
}

/** As the daemon tells it; where it cannot be asked, as it was last written down. `undefined`: nothing is known. */
async function seenOf(
  config: Config,
  devices: readonly Device[],
): Promise<readonly DeviceStatus[] | undefined> {
  try {
    return (await devicesOf(config)).devices;
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    const activity = new Activity(activityFileOf(config.dataDir), Date.now);
    const asOfMs = activity.load();
    const known =
      asOfMs === undefined ? 'nothing is known of when they were seen' : `as of ${instant(asOfMs)}`;
    process.stderr.write(`${known}: ${error.message}\n`);
    if (asOfMs === undefined) return undefined;
    return [
      ...devices.map((device) => deviceStatus(device, 'device', activity.of(device.name))),
      ...config.users.map((user) => deviceStatus(user, 'configuration', activity.of(user.name))),
    ];
  }
}

/** To the second, for people. */
function instant(at: number | string): string {
  return new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}

/** Those of the file, and those of the configuration that the daemon tells of. */
function asListed(devices: readonly Device[], seen: readonly DeviceStatus[] | undefined): object[] {
  const known = new Map(seen?.map((device) => [device.name, device]));
  const listed = devices.map(({ name, rights, clientId, silentAfterMs, addedAt }) => ({
    name,
    publish: rights.publish,
    subscribe: rights.subscribe,
    client_id: clientId ?? null,
    added_at: addedAt,
    silent_after_s: silentAfterMs === undefined ? null : silentAfterMs / SECOND_MS,
    ...known.get(name),
  }));
  const others = seen?.filter(({ source }) => source === 'configuration') ?? [];
  return [...listed, ...others];
}

function table(devices: readonly Device[], seen: readonly DeviceStatus[] | undefined): string {
  const known = new Map(seen?.map((device) => [device.name, device]));
  const others = seen?.filter(({ source }) => source === 'configuration') ?? [];
  if (devices.length + others.length === 0)
    return 'there are no devices; `mqtt2exist devices add NAME` adds one\n';
  const rows = [
    ['NAME', 'LAST SEEN', 'ADDRESS', 'MESSAGES', 'REFUSED', 'DENIED', 'MAY PUBLISH'],
    ...devices.map(({ name, rights }) => [name, ...seenCells(known.get(name)), rights.publish.join(' ')]),
    ...others.map((other) => [other.name, ...seenCells(other), '(in the configuration)']),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function seenCells(seen: DeviceStatus | undefined): string[] {
  if (!seen) return ['?', '?', '?', '?', '?'];
  const when = seen.connections > 0 ? 'now' : seen.last_seen === null ? 'never' : instant(seen.last_seen);
  const counts = [seen.messages, seen.refused_readings, seen.denied].map(String);
  return [when, seen.address ?? '-', ...counts];
}

/** Writes the change; what is wrong is told. */
function change(config: string, work: (devices: readonly Device[]) => readonly Device[] | string): ExitCode {
  const missing = missingConfiguration(config);
  if (missing !== undefined) return complain(missing, EXIT.configuration);
  try {
    const problem = new DeviceFile(deviceFileOf(config)).change(work, ownerOf(config));
    return problem === undefined ? EXIT.done : complain(problem, EXIT.usage);
  } catch (error) {
    if (error instanceof DeviceFileError) return complain(error.message, EXIT.configuration);
    throw error;
  }
}

/** The password is on the screen this once: nothing keeps it. */
async function show(
  device: Device,
  password: string,
  options: PrintOptions,
  done: string,
): Promise<ExitCode> {
  const loaded = load(options.config);
  const { name, rights, clientId } = device;
  const address = await brokerAddress(loaded.ok ? loaded.config : undefined);
  if (options.json === true) {
    const { scheme, host, port } = address;
    const shown = { name, password, scheme, host, port, ...rights, client_id: clientId ?? null };
    process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  } else {
    const settings = {
      name,
      password,
      ...placeOf(address, options.config),
      topics: rights.publish,
      clientId,
    };
    const kinds = DEVICE_KINDS.filter((kind) => options.for === undefined || kind === options.for);
    process.stdout.write(
      [
        `${name} ${done}. Its password is shown this once:`,
        '',
        `  ${password}`,
        '',
        `It may publish    ${rights.publish.join(' ')}`,
        `It may subscribe  ${rights.subscribe.join(' ') || 'to nothing'}`,
        '',
        settingsText(settings, kinds),
      ].join('\n'),
    );
  }
  for (const note of address.notes) process.stderr.write(`note: ${note}\n`);
  if (loaded.ok) await tellWhetherTaken(loaded.config, options.config);
  else {
    process.stderr.write('the daemon does not start with this configuration:\n');
    printProblems(loaded.problems);
  }
  return EXIT.done;
}

/** With TLS a device must connect by a name that is in the certificate. */
function placeOf(
  { scheme, host, port }: BrokerAddress,
  config: string,
): Pick<DeviceSettings, 'host' | 'port' | 'tls'> {
  if (scheme === 'mqtt') return { host, port, tls: undefined };
  return placeWithTls(authorityFilesOf(config), port) ?? { host, port, tls: undefined };
}

async function tellWhetherTaken(config: Config, configFile: string): Promise<void> {
  const { mtimeMs } = statSync(deviceFileOf(configFile), { bigint: true });
  const until = performance.now() + TAKEN_WITHIN_MS;
  try {
    for (;;) {
      const { file_mtime_ms: takenMs, problem } = await devicesOf(config);
      if (takenMs !== null && takenMs >= Number(mtimeMs)) {
        process.stderr.write('the running daemon has taken it\n');
        return;
      }
      if (performance.now() > until) {
        process.stderr.write(
          `the running daemon has not taken it${problem === null ? '' : `: ${problem}`}\n`,
        );
        return;
      }
      await pause(LOOK_MS);
    }
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    process.stderr.write(
      'no daemon answers; one that runs takes it within a second, else the next start does\n',
    );
  }
}

/** An account of the configuration that is in the way. */
function clashWithUsers(config: string, name: string, clientId: string | undefined): string | undefined {
  const loaded = load(config, { alsoDevices: [name] });
  if (loaded.ok) {
    const owner = loaded.config.users.find((user) => clientId !== undefined && user.clientId === clientId);
    return owner && `the client identifier belongs to the user ${owner.name} of the configuration already`;
  }
  const isTaken = loaded.problems.some(
    ({ message, path }) => path.endsWith(`.${name}`) && message.includes('a device has an account'),
  );
  return isTaken ? `the configuration has a user ${name} already` : undefined;
}

function ownerOf(config: string): Owner | undefined {
  const loaded = load(config);
  return ownerFor([deviceFileOf(config), ...(loaded.ok ? [loaded.config.dataDir] : []), config]);
}

function missingConfiguration(config: string): string | undefined {
  if (existsSync(config)) return undefined;
  return `there is no configuration ${config}; name it with --config FILE`;
}

function kindProblem(kind: string | undefined): string | undefined {
  if (kind === undefined || DEVICE_KINDS.some((known: DeviceKind) => known === kind)) return undefined;
  return `no settings are known for ${kind}; write one of ${DEVICE_KINDS.join(', ')}`;
}

function topicsProblem(topics: readonly string[]): string | undefined {
  for (const topic of topics) {
    const problem = grantProblem(topic);
    if (problem !== undefined) return `${topic}: ${problem}`;
  }
  return undefined;
}

function noSuchDevice(name: string): string {
  return `there is no device ${name}; \`mqtt2exist devices list\` shows those there are`;
}

function complain(problem: string, code: ExitCode): ExitCode {
  process.stderr.write(`mqtt2exist devices: ${problem}\n`);
  return code;
}
