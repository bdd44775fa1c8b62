/**
 * What the running daemon has seen lately on every topic: what to map, and why something does not count.
 */
import { filterProblem } from '../core/topic.ts';
import type { TopicSeen } from '../core/sighting.ts';
import { DaemonDown, topicsOf } from './daemon.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface LookOptions {
  readonly config: string;
  readonly json?: true;
}

export async function topics(filter: string, { config, json }: LookOptions): Promise<ExitCode> {
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
    const seen = await topicsOf(loaded.config, filter);
    process.stdout.write(json ? `${JSON.stringify(seen, null, 2)}\n` : render(seen));
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    process.stderr.write(`mqtt2exist: ${error.message}\n`);
    return error.code;
  }
}

function render(seen: readonly TopicSeen[]): string {
  if (seen.length === 0) return 'nothing was published since the daemon was started\n';
  const lines = seen.flatMap((topic) => [
    topic.topic,
    `  last      ${topic.payload}${topic.payload_bytes > 200 ? ` … (${topic.payload_bytes} bytes)` : ''}${topic.retain ? '  (retained)' : ''}`,
    `  seen      ${topic.last_seen}, ${topic.last_10_min} in 10 minutes, ${topic.messages} in all${topic.from === null ? '' : `, from ${topic.from}`}`,
    `  mapping   ${topic.mappings.length > 0 ? `${topic.mappings.join(', ')}: ${topic.fate}${topic.reason === null ? '' : `: ${topic.reason}`}` : 'none'}`,
  ]);
  const unmapped = seen.find(({ mappings }) => mappings.length === 0);
  if (unmapped) {
    lines.push(
      '',
      'To count one that has no mapping, write into the configuration, and try it with `mqtt2exist try`:',
      `  - { topic: ${JSON.stringify(unmapped.topic)}, attribute: NAME, count: { each: any } }`,
    );
  }
  return `${lines.join('\n')}\n`;
}
