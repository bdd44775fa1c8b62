/**
 * Asks the running daemon over HTTP; where none answers, says so.
 */
import { request } from 'undici';
import type { Status } from '../core/status.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

const TIMEOUT_MS = 5_000;

export async function status(file: string, asJson: boolean): Promise<ExitCode> {
  const loaded = load(file);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  const { web } = loaded.config;
  if (web === false) {
    process.stderr.write(
      'mqtt2exist status: the configuration has `web: false`, so the daemon cannot be asked\n',
    );
    return EXIT.unavailable;
  }
  const host = web.listen.host.includes(':') ? `[${web.listen.host}]` : web.listen.host;
  const url = `http://${host}:${web.listen.port}/api/status`;
  let answer: Status;
  try {
    const response = await request(url, { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
    if (response.statusCode !== 200) throw new Error(`it answers ${response.statusCode}`);
    // Our own daemon's answer: `overview.ts` writes what this type says.
    answer = (await response.body.json()) as Status;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (asJson) process.stdout.write(`${JSON.stringify({ daemon: 'down', url, reason: why })}\n`);
    else process.stderr.write(`daemon    down: nothing answers at ${url} (${why})\n`);
    return EXIT.unavailable;
  }
  process.stdout.write(asJson ? `${JSON.stringify({ daemon: 'up', ...answer }, null, 2)}\n` : render(answer));
  return EXIT.done;
}

/** For a terminal: a line per fact, the ones that need attention first. */
export function render(status: Status): string {
  const { exist, queue, readings, broker, today } = status;
  const lines = [
    ...status.problems.map((problem) => `attention ${problem}`),
    `daemon    up for ${duration(status.uptime_s)}, version ${status.version}`,
    `broker    ${broker === null ? 'none' : `${broker.listening.join(', ')}; ${broker.clients} connected`}`,
    `exist     ${exist.url}: ${exist.state}${exist.detail === null ? '' : ` (${exist.detail})`}; ${exist.calls_left} calls left this hour`,
    `flush     last ${exist.last_flush ?? 'never'}, next ${exist.next_flush ?? 'when something comes in'}`,
    `queue     ${queue.pending_items} pending, ${queue.in_flight_items} in flight, ${queue.unknown_items} unknown, ${queue.conflict_items} in conflict, ${queue.refused_items} refused`,
    `readings  ${readings.accepted} accepted, ${readings.ignored} ignored, ${readings.refused} refused, ${readings.duplicates} duplicates`,
  ];
  for (const { attribute, day, state, reason } of status.held)
    lines.push(`held      ${attribute} ${day}: ${state}: ${reason}`);
  if (today.length > 0) {
    const width = Math.max(9, ...today.map(({ attribute }) => attribute.length));
    lines.push('', `${'today'.padEnd(width)}  ${'total'.padStart(12)}  ${'at Exist'.padStart(12)}`);
    for (const { attribute, total, delivered } of today) {
      lines.push(
        `${attribute.padEnd(width)}  ${String(total).padStart(12)}  ${String(delivered ?? '-').padStart(12)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}
