/**
 * Asks the running daemon how it is; where none answers, says so.
 */
import type { NotDone, Status } from '../core/status.ts';
import { load, printProblems } from './configuration.ts';
import { DaemonDown, statusOf } from './daemon.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export async function status(file: string, asJson: boolean): Promise<ExitCode> {
  const loaded = load(file);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    const answer = await statusOf(loaded.config);
    process.stdout.write(
      asJson ? `${JSON.stringify({ daemon: 'up', ...answer }, null, 2)}\n` : render(answer),
    );
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    if (asJson) process.stdout.write(`${JSON.stringify({ daemon: 'down', reason: error.message })}\n`);
    else process.stderr.write(`daemon    down: ${error.message}\n`);
    return error.code;
  }
}

/** For a terminal: a line per fact, the ones that need attention first. */
function render(status: Status): string {
  const { exist, queue, readings, broker, connections, today } = status;
  const lines = [
    ...status.problems.map((problem) => `attention ${problem}`),
    `daemon    up for ${duration(status.uptime_s)}, version ${status.version}`,
    `broker    ${broker === null ? 'none' : `${broker.listening.join(', ')}; ${broker.clients} connected`}`,
    ...(broker && broker.not_done.length > 0 ? [`refused   ${notDone(broker.not_done)}`] : []),
    ...(broker?.certificate
      ? [`tls       certificate valid until ${broker.certificate.valid_until.slice(0, 10)}`]
      : []),
    ...connections.map(({ name, url, state, since, last_error: error, messages }) => {
      const detail = state === 'connected' || error === null ? '' : ` (${error})`;
      return `source    ${name} at ${url}: ${state} since ${since}${detail}; ${messages} messages`;
    }),
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

function notDone(list: readonly NotDone[]): string {
  return list
    .map(({ what, reason, count }) => `${count} × ${what} (${reason.replaceAll('_', ' ')})`)
    .join(', ');
}

function duration(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}
