/**
 * The accounts of clients: `broker.users`, and whether there must be any.
 */
import * as z from 'zod';
import { grantProblem } from '../core/rights.ts';
import type { Finding } from './problem.ts';
import { contentOf, resolved, type ReadFile } from './files.ts';
import { duration, filePath, section, text } from './kinds.ts';
import { isOpen } from './listeners.ts';

/** What is known of accounts elsewhere. */
export interface AccountCheck {
  /** What is wrong with the text of a password hash; never quotes it. */
  readonly passwordHash: (text: string) => { readonly problem: string; readonly hint: string } | undefined;
  /** The accounts that `mqtt2exist devices` made beside this configuration. */
  readonly devices: (
    configFile: string,
  ) => { readonly names: readonly string[] } | { readonly problem: string; readonly hint: string };
}

export interface ConfiguredUser {
  readonly name: string;
  readonly passwordHash: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly clientId: string | undefined;
  readonly silentAfterMs: number | undefined;
}

const grant = text(1_000).superRefine((given, context) => {
  const message = grantProblem(given);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

const grants = () =>
  z
    .union([grant.transform((one) => [one]), z.array(grant).max(100)])
    .default([])
    .meta({ title: 'topic filter, or a list of them', examples: [['kitchen/fridge/#'], ['home/%u/#']] });

const user = section({
  password_hash: text(500)
    .optional()
    .describe(
      'The hash of the password, as `mqtt2exist password` prints it. Those of `mosquitto_passwd` (`$7$…`, `$6$…`) are read too: what follows the colon. In quotes, as all that begins with `$`.',
    )
    .meta({ title: 'password hash' }),
  password_hash_file: filePath()
    .optional()
    .describe('A file with the hash in it, instead of `password_hash`.'),
  publish: grants().describe(
    'What it may publish. `%u` stands for its name, `%c` for the client identifier; one with `+`, `#` or `/` in it grants nothing. A publish without a right is acknowledged and comes to nothing.',
  ),
  subscribe: grants().describe(
    'What it may subscribe to: one of these must hold all of the subscription’s filter. Everything else is refused (0x80).',
  ),
  client_id: text(65_535)
    .optional()
    .describe(
      'The only client identifier it may use; nobody else may use it then. Without it: any that no other account is using.',
    ),
  silent_after: duration('1m', '366d')
    .optional()
    .describe('Where nothing was published with this account for longer, the status and the metrics say so.')
    .meta({ examples: ['24h'] }),
});

const MOST_USERS = 1_000;

export const users = z
  .record(
    z
      .string()
      .min(1, 'is empty; write a name')
      .max(200, 'is too long; write at most 200 characters')
      .regex(/^\P{Cc}*$/u, 'has control characters in it; write a name without them'),
    user,
  )
  .refine((all) => Object.keys(all).length <= MOST_USERS, `are too many; write at most ${MOST_USERS} users`)
  .default({})
  .describe(
    'Accounts for clients, by name; without rights an account may connect and nothing else. `mqtt2exist devices add NAME` makes accounts without touching this file. While there is none of either, clients are anonymous and may do everything, which is why every listener must be on a loopback address then.',
  );

/** What is wrong with the accounts as they stand in the file. */
export function accountFindings(root: unknown, configFile: string, check: AccountCheck): Finding[] {
  const broker = recordOf(recordOf(root)['broker']);
  if (recordOf(root)['broker'] === false) return [];
  const given = Object.entries(recordOf(broker['users']));
  const made = check.devices(configFile);
  const findings = given.flatMap(([name, settings]) => userFindings(name, recordOf(settings), check));
  const path = ['broker', 'users'];
  if ('problem' in made) {
    findings.push({ path: ['broker'], message: made.problem, hint: made.hint, isMissing: true });
  } else {
    const { names } = made;
    for (const [name] of given.filter(([name]) => names.includes(name))) {
      const hint = `take it out here, or \`mqtt2exist devices remove ${name}\``;
      findings.push({ path: [...path, name], message: 'a device has an account of this name already', hint });
    }
    if (given.length === 0 && names.length === 0) findings.push(...openFindings(broker['listen']));
  }
  const owners = new Map<unknown, string>();
  for (const [name, settings] of given) {
    const { client_id: clientId } = recordOf(settings);
    const other = owners.get(clientId);
    if (clientId !== undefined && other !== undefined) {
      const message = `the client identifier belongs to ${other} already`;
      findings.push({ path: [...path, name, 'client_id'], message, hint: 'write another one' });
    }
    owners.set(clientId, name);
  }
  return findings;
}

function userFindings(name: string, settings: Entry, check: AccountCheck): Finding[] {
  const path = ['broker', 'users', name];
  const { password_hash: hash, password_hash_file: file, publish, subscribe } = settings;
  const findings: Finding[] = [];
  if (hash !== undefined && file !== undefined) {
    const message = 'both password_hash and password_hash_file are given';
    findings.push({ path: [...path, 'password_hash_file'], message, hint: 'keep one of them' });
  } else if (hash === undefined && file === undefined) {
    const hint = 'make a hash with `mqtt2exist password`, and write it as password_hash: "…"';
    findings.push({ path, message: 'the hash of the password is missing', hint, isMissing: true });
  } else if (typeof hash === 'string') {
    const wrong = check.passwordHash(hash.trim());
    if (wrong) findings.push({ path: [...path, 'password_hash'], message: wrong.problem, hint: wrong.hint });
  }
  if (!/[+#/]/.test(name)) return findings;
  for (const [key, given] of Object.entries({ publish, subscribe })) {
    const grants: unknown[] = Array.isArray(given) ? given : [given];
    if (!grants.some((grant) => typeof grant === 'string' && grant.includes('%u'))) continue;
    const message = `%u grants nothing: there is + # or / in the name ${name}`;
    findings.push({ path: [...path, key], message, hint: 'write the topics out' });
  }
  return findings;
}

/** Listeners that others can reach, while everybody would be let in. */
function openFindings(listen: unknown): Finding[] {
  const urls: unknown[] = Array.isArray(listen) ? listen : [listen];
  return urls.flatMap((url, index) => {
    if (!isOpen(url)) return [];
    const path = Array.isArray(listen) ? ['broker', 'listen', index] : ['broker', 'listen'];
    const message = 'is open to the network, and nobody has an account';
    const hint =
      'make one with `mqtt2exist devices add NAME` (or write broker.users), or listen on mqtt://127.0.0.1:1883 alone';
    return [{ path, message, hint }];
  });
}

/** The users with their hashes, from their files where they have one; complaints of those go to `complain`. */
export function usersOf(
  given: z.output<typeof users>,
  configFile: string,
  readFile: ReadFile,
  check: AccountCheck,
  complain: (finding: Finding) => void,
): ConfiguredUser[] {
  return Object.entries(given).flatMap(([name, settings]) => {
    const { password_hash_file: file, publish, subscribe, client_id: clientId } = settings;
    const { silent_after: silentAfterMs } = settings;
    const hash = settings.password_hash ?? (file === undefined ? undefined : hashIn(file, name));
    return hash === undefined
      ? []
      : [{ name, passwordHash: hash, publish, subscribe, clientId, silentAfterMs }];
  });

  function hashIn(file: string, name: string): string | undefined {
    const path = ['broker', 'users', name, 'password_hash_file'];
    const read = contentOf(resolved(configFile, file), readFile);
    if ('failure' in read) {
      const hint = 'put the hash into it, or name another one (relative to the folder of this file)';
      complain({ path, message: `the file cannot be read: ${read.failure}`, hint });
      return undefined;
    }
    const content = read.content.trim();
    const wrong = check.passwordHash(content);
    if (!wrong) return content;
    complain({ path, message: `what the file says ${wrong.problem}`, hint: wrong.hint });
    return undefined;
  }
}

type Entry = Readonly<Record<string, unknown>>;

function recordOf(candidate: unknown): Entry {
  return typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate)
    ? (candidate as Entry) // An object that is no list is read by its keys, whatever it is.
    : {};
}
