/**
 * A certificate for the listeners with TLS, of an authority of the household's own. Its files live beside the
 * configuration; a running daemon sees a renewed one by itself.
 */
import { existsSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import path from 'node:path';
import { settingsText, type DeviceSettings } from '../accounts/device-settings.ts';
import {
  Authority,
  AuthorityError,
  authorityFilesOf,
  isHostName,
  pemOf,
  readCertificate,
  type AuthorityFiles,
} from '../certificates/authority.ts';
import { OpensslError } from '../certificates/openssl.ts';
import { dayOf, namesOf } from '../certificates/pem.ts';
import { isLoopback } from '../config/listen.ts';
import { isSecure } from '../config/listeners.ts';
import type { ConfiguredDoors, LoadResult } from '../config/load.ts';
import type { EpochMs } from '../core/time.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { ownerFor } from './owner.ts';

export interface CertificateOptions {
  readonly config: string;
  /** More host names and addresses. */
  readonly name?: readonly string[];
}

const DEFAULT_PORT = 8883;
const WILDCARDS = ['0.0.0.0', '::'];

/** Makes the authority where there is none, and a certificate of it. `mayMake`: an authority, else there must be one. */
export async function makeCertificate(options: CertificateOptions, mayMake: boolean): Promise<ExitCode> {
  const wrong = options.name?.find((name) => !isHostName(name));
  if (wrong !== undefined) return complain(`${wrong} is neither a host name nor an address`, EXIT.usage);
  return attempt(options, async (files, doors, loaded) => {
    const owner = ownerFor([files.ca, ...(loaded.ok ? [loaded.config.dataDir] : []), options.config]);
    const authority = new Authority(files, owner, Date.now() as EpochMs);
    const isNew = !authority.exists;
    if (isNew && !mayMake) throw new AuthorityError('there is none yet; `mqtt2exist certificate` makes one');
    if (isNew) await authority.make(hostname());
    const isFirst = !existsSync(files.cert);
    await authority.issue([...hostNames(), ...listenerNames(doors), ...(options.name ?? [])]);
    process.stdout.write(report(files, isNew ? 'made' : 'kept', isFirst ? 'made' : 'renewed'));
    process.stdout.write(`\n${configurationText(files, doors)}\n`);
    process.stdout.write(`\n${forDevices(files, doors)}`);
  });
}

/** Once more what devices need; touches nothing. */
export async function showCertificate(options: CertificateOptions): Promise<ExitCode> {
  return attempt(options, (files, doors) => {
    if (!existsSync(files.ca) || !existsSync(files.cert)) {
      throw new AuthorityError('there is none yet; `mqtt2exist certificate` makes one');
    }
    process.stdout.write(`${report(files, 'is', 'is')}\n${forDevices(files, doors)}`);
    return Promise.resolve();
  });
}

async function attempt(
  { config: file }: CertificateOptions,
  work: (files: AuthorityFiles, doors: ConfiguredDoors, loaded: LoadResult) => Promise<void>,
): Promise<ExitCode> {
  if (!existsSync(file)) {
    return complain(`there is no configuration ${file}; name it with --config FILE`, EXIT.configuration);
  }
  const loaded = load(file, { certificate: 'to come' });
  const doors = doorsOf(loaded);
  if (!doors) {
    if (!loaded.ok) printProblems(loaded.problems);
    return complain('nothing is done before it can be told where the broker listens', EXIT.configuration);
  }
  try {
    await work(authorityFilesOf(file), doors, loaded);
    if (!loaded.ok) {
      const what = 'the configuration has problems besides, which `mqtt2exist check` shows';
      process.stderr.write(`mqtt2exist certificate: ${what}\n`);
    }
    return EXIT.done;
  } catch (error) {
    if (error instanceof AuthorityError) return complain(error.message, EXIT.configuration);
    if (error instanceof OpensslError) return complain(error.message, EXIT.unavailable);
    throw error;
  }
}

function report(files: AuthorityFiles, authority: string, server: string): string {
  const [ca, cert] = [readCertificate(files.ca), readCertificate(files.cert)];
  const until = (validTo: string): string => `valid until ${dayOf(Date.parse(validTo))}`;
  const rows = [
    [authority, files.ca, `the authority, ${until(ca.validTo)}: this is what devices need`],
    [authority, files.caKey, 'its key: only for making certificates; whoever has it can pose as the broker'],
    [server, files.cert, `the broker's certificate, ${until(cert.validTo)}`],
    ['', files.key, 'its key'],
  ] as const;
  const width = Math.max(...rows.map(([, file]) => file.length));
  const lines = rows.map(([what, file, words]) => `${what.padEnd(8)} ${file.padEnd(width)}  ${words}`);
  return [...lines, `         for ${namesOf(cert).join(', ')}`, ''].join('\n');
}

function configurationText(files: AuthorityFiles, { listen, tls }: ConfiguredDoors): string {
  if (tls?.cert === files.cert && tls.key === files.key) {
    return 'The configuration names these files already; a running daemon shows the certificate within seconds.';
  }
  const secure = listen.some(isSecure);
  return [
    tls
      ? `The configuration names other files (${tls.cert}). To use these:`
      : 'To be written into the configuration (then restart the daemon):',
    '',
    'broker:',
    ...(secure ? [] : [`  listen: ["mqtts://0.0.0.0:${DEFAULT_PORT}"] # beside those that are there`]),
    '  tls:',
    `    cert: ./${path.basename(files.cert)}`,
    `    key: ./${path.basename(files.key)}`,
    `    ca: ./${path.basename(files.ca)}`,
  ].join('\n');
}

function forDevices(files: AuthorityFiles, { listen }: ConfiguredDoors): string {
  const { port = DEFAULT_PORT } = listen.find(({ scheme }) => scheme === 'mqtts') ?? {};
  const place = placeWithTls(files, port);
  if (!place) return '';
  const account = { name: 'NAME', password: 'PASSWORD', topics: ['TOPIC/#'], clientId: undefined };
  return [
    'Settings of devices (`mqtt2exist devices add` prints them with name and password):',
    '',
    settingsText({ ...account, ...place }),
    'A device must connect by a name that is in the certificate; an ESP32 by a host name, not by an address. Its clock',
    'must be set (SNTP) where it checks dates.',
    '',
  ].join('\n');
}

/** Where devices connect with TLS, and whom they trust; `undefined` where there is no certificate of ours. */
export function placeWithTls(
  files: AuthorityFiles,
  port: number,
): Pick<DeviceSettings, 'host' | 'port' | 'tls'> | undefined {
  if (!existsSync(files.ca) || !existsSync(files.cert)) return undefined;
  const names = namesOf(readCertificate(files.cert));
  const host = names.find((name) => name.endsWith('.local')) ?? names[0] ?? hostname();
  return { host, port, tls: { pem: pemOf(files.ca), file: path.relative('', files.ca) } };
}

/** Whatever else is wrong: that there is no account yet makes no difference here. */
function doorsOf(loaded: LoadResult): ConfiguredDoors | undefined {
  if (!loaded.ok) return loaded.doors;
  const { broker } = loaded.config;
  return broker === false ? { listen: [], tls: undefined } : broker;
}

/** Of this machine: what it is called, and its addresses. */
function hostNames(): string[] {
  const full = hostname();
  const [short = full] = full.split('.');
  const addresses = Object.values(networkInterfaces()).flatMap((ofOne) => ofOne ?? []);
  // Addresses of a link mean nothing without the name of the interface.
  const own = addresses.filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0);
  const names = [full, short, `${short}.local`, 'localhost', ...own.map(({ address }) => address)];
  return [...names, '127.0.0.1', '::1'].filter(isHostName);
}

function listenerNames({ listen }: ConfiguredDoors): string[] {
  const hosts = listen.map(({ host }) => host);
  return hosts.filter((host) => !WILDCARDS.includes(host) && !isLoopback(host) && isHostName(host));
}

function complain(problem: string, code: ExitCode): ExitCode {
  process.stderr.write(`mqtt2exist certificate: ${problem}\n`);
  return code;
}
