/**
 * Asks the running daemon over HTTP.
 */
import { createInterface } from 'node:readline';
import { request } from 'undici';
import type { Config } from '../config/load.ts';
import type { DevicesStatus } from '../core/device-status.ts';
import type { TopicSeen, WatchLine } from '../core/sighting.ts';
import type { Status } from '../core/status.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

const TIMEOUT_MS = 5_000;

/** There is no daemon to ask. */
export class DaemonDown extends Error {
  override readonly name = 'DaemonDown';
  readonly code = EXIT.unavailable;
}

/** Where the daemon of this configuration answers. @throws DaemonDown */
export function webUrl({ web }: Config): string {
  if (web === false)
    throw new DaemonDown('the configuration has `web: false`, so the daemon cannot be asked');
  const { host, port } = web.listen;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** @throws DaemonDown */
export function statusOf(config: Config): Promise<Status> {
  return ask<Status>(config, '/api/status');
}

/** @throws DaemonDown */
export function devicesOf(config: Config): Promise<DevicesStatus> {
  return ask<DevicesStatus>(config, '/api/devices');
}

/** @throws DaemonDown */
export function topicsOf(config: Config, filter: string): Promise<readonly TopicSeen[]> {
  return ask<readonly TopicSeen[]>(config, `/api/topics?filter=${encodeURIComponent(filter)}`);
}

/**
 * What comes on the topics of a filter, and what becomes of it, until the daemon ends; connections are looked at too.
 * Rejects where the daemon cannot be asked, and when `signal` aborts.
 */
export async function* linesOf(
  config: Config,
  filter: string,
  signal: AbortSignal,
): AsyncGenerator<WatchLine, void> {
  const url = `${webUrl(config)}/api/watch?filter=${encodeURIComponent(filter)}`;
  const response = await request(url, {
    headers: { 'x-mqtt2exist': '1' },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: 0,
    signal,
  });
  if (response.statusCode !== 200)
    throw new DaemonDown(`it answers ${response.statusCode}: ${await response.body.text()}`);
  for await (const line of createInterface({ input: response.body })) {
    // Our own daemon's: it writes what this type says.
    if (line !== '') yield JSON.parse(line) as WatchLine;
  }
}

async function ask<Answer>(config: Config, path: string): Promise<Answer> {
  const url = `${webUrl(config)}${path}`;
  try {
    const response = await request(url, { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    if (response.statusCode !== 200) throw new Error(`it answers ${response.statusCode}`);
    // Our own daemon's answer: it writes what this type says.
    return (await response.body.json()) as Answer;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DaemonDown(`nothing answers at ${url} (${why})`, { cause: error });
  }
}

/** The daemon's status; or the exit code, with the reason printed. */
export async function askDaemon(file: string): Promise<Status | ExitCode> {
  const loaded = load(file);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    return await statusOf(loaded.config);
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    process.stderr.write(`mqtt2exist: ${error.message}\n`);
    return error.code;
  }
}
