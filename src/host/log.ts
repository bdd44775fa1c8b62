/**
 * Log lines for a person at a terminal, for journald, or as JSON. Secrets that were registered never appear.
 *
 * Under journald (`JOURNAL_STREAM`) a line begins with its syslog priority and has no time: journald keeps it.
 */
import { styleText } from 'node:util';

export type Level = 'debug' | 'info' | 'warn' | 'error';

export type Log = (level: Level, message: string, fields?: Readonly<Record<string, unknown>>) => void;

export interface LogOptions {
  readonly level: Level;
  readonly format: 'text' | 'json';
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether colours are welcome. */
  readonly isTerminal: boolean;
  readonly write: (line: string) => void;
  /** Texts that must never be shown; may grow. */
  readonly secrets: readonly string[];
}

/** Anything shorter is no secret, and stands in too many words: a local Exist takes any token. */
const SHORTEST_SECRET = 8;

/** sd-daemon(3) */
const PRIORITY: Readonly<Record<Level, string>> = { debug: '<7>', info: '<6>', warn: '<4>', error: '<3>' };

export function createLog(options: LogOptions): Log {
  const { level, format, env, isTerminal, secrets } = options;
  // Before quotes and backslashes are escaped: a secret may have some in it.
  const hide = (text: string): string =>
    secrets.reduce(
      (left, secret) => (secret.length < SHORTEST_SECRET ? left : left.replaceAll(secret, '***')),
      text,
    );
  const json = (value: unknown): string =>
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? hide(inner) : inner));
  const least = Object.keys(PRIORITY).indexOf(level);
  const isJournal = env['JOURNAL_STREAM'] !== undefined;
  return (at, message, fields) => {
    if (Object.keys(PRIORITY).indexOf(at) < least) return;
    if (format === 'json') {
      options.write(`${json({ level: at, time: new Date().toISOString(), ...fields, msg: message })}\n`);
      return;
    }
    const details = Object.entries(fields ?? {}).map(
      ([key, value]) => `${key}=${show(typeof value === 'string' ? hide(value) : json(value))}`,
    );
    const text = oneLine([hide(message), ...details].join('  '));
    options.write(`${isJournal ? PRIORITY[at] : `${timeOfDay()} ${paint(at, isTerminal)} `}${text}\n`);
  };
}

function paint(level: Level, isTerminal: boolean): string {
  const word = level.padEnd(5);
  if (!isTerminal) return word;
  const colour = ({ debug: 'dim', info: 'green', warn: 'yellow', error: 'red' } as const)[level];
  return styleText(colour, word);
}

function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}

function show(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : JSON.stringify(text);
}

/** What devices sent must not forge lines or colours of a terminal. */
function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
