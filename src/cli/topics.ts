/**
 * What the running daemon has seen lately on every topic: what to map, and why something does not count. Of
 * connections it hears what mappings name, so it is asked to look around there for a moment.
 */
import { SECOND_MS } from '../core/time.ts';
import { filterProblem } from '../core/topic.ts';
import type { Config } from '../config/load.ts';
import { wordsOf, type TopicSeen } from '../core/sighting.ts';
import { DaemonDown, linesOf, topicsOf } from './daemon.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface TopicsOptions {
  readonly config: string;
  /** For how many seconds connections are looked at; 0 for not at all. */
  readonly look: number;
  readonly json?: true;
}

export async function topics(filter: string, { config, look, json }: TopicsOptions): Promise<ExitCode> {
  const problem = filterProblem(filter);
  if (problem !== undefined) {
    process.stderr.write(`mqtt2exist topics: ${problem}\n`);
    return EXIT.usage;
  }
  const loaded = load(config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    await lookAround(loaded.config, filter, look);
    const seen = await topicsOf(loaded.config, filter);
    process.stdout.write(json ? `${JSON.stringify(seen, null, 2)}\n` : render(seen));
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    process.stderr.write(`mqtt2exist: ${error.message}\n`);
    return error.code;
  }
}

/** What the daemon sees of it, it remembers. What cannot be looked at is told at once, and why. */
async function lookAround(config: Config, filter: string, seconds: number): Promise<void> {
  const names = config.connections.map(({ name }) => name).join(', ');
  if (names === '' || seconds === 0) return;
  process.stderr.write(`looking at ${names} for ${seconds} s …\n`);
  const tell = (note: string): void => void process.stderr.write(`mqtt2exist: ${note}\n`);
  const over = AbortSignal.timeout(seconds * SECOND_MS);
  try {
    for await (const line of linesOf(config, filter, over)) if ('note' in line) tell(line.note);
  } catch (error) {
    if (!over.aborted)
      tell(`connections are not looked at: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function render(seen: readonly TopicSeen[]): string {
  if (seen.length === 0) return 'nothing was seen there since the daemon was started\n';
  const lines = seen.flatMap((topic) => [
    topic.topic,
    `  last      ${topic.payload}${topic.payload_bytes > 200 ? ` … (${topic.payload_bytes} bytes)` : ''}${topic.retain ? '  (retained)' : ''}`,
    `  seen      ${topic.last_seen}, ${rate(topic)}${topic.from === null ? '' : `, from ${topic.from}`}`,
    `  mapping   ${outcome(topic)}`,
  ]);
  const unmapped = seen.find(({ fate }) => fate === 'unmapped');
  if (unmapped) {
    lines.push(
      '',
      'To count one that has no mapping, write into the configuration, and try it with `mqtt2exist try`:',
      `  - { topic: ${JSON.stringify(unmapped.topic)}, attribute: NAME, count: { each: any } }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function rate({ looked_at, last_10_min, messages }: TopicSeen): string {
  if (looked_at) return `${messages} while it was looked at`;
  return `${last_10_min} in 10 minutes, ${messages} in all`;
}

function outcome({ mappings, fate, reason }: TopicSeen): string {
  const names = mappings.length > 0 ? mappings.join(', ') : 'none';
  if (fate === 'unmapped') return names;
  return `${names}: ${wordsOf(fate)}${reason === null ? '' : `: ${reason}`}`;
}
