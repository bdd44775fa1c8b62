/**
 * The two ways to a token of Exist: one that is written down, or a login by OAuth2 as a client that is.
 */
import { isSecret } from './kinds.ts';
import type { Finding, Path } from './problem.ts';

export interface ConfiguredClient {
  readonly id: string;
  readonly secret: string;
}

type Entry = Readonly<Record<string, unknown>>;

const TOKEN_KEYS = ['token', 'token_file'] as const;
const SECRET_KEYS = ['client_secret', 'client_secret_file'] as const;

/** Exactly one way, and that one whole. */
export function credentialFindings(exist: Entry): Finding[] {
  const given = (keys: readonly string[]) => keys.filter((key) => exist[key] !== undefined);
  const tokens = given(TOKEN_KEYS);
  const secrets = given(SECRET_KEYS);
  const [token] = tokens;
  const [clientKey] = given(['client_id', ...SECRET_KEYS]);
  const findings: Finding[] = [];
  for (const [first, second] of [tokens, secrets]) {
    if (first === undefined || second === undefined) continue;
    const message = `both ${first} and ${second} are given`;
    findings.push({ path: ['exist', second], message, hint: 'keep one of them' });
  }
  if (token !== undefined && clientKey !== undefined) {
    const hint = 'keep the token, or take it out and log in with `mqtt2exist login`';
    const message = `both ${token} and ${clientKey} are given, which are two ways to one account`;
    findings.push({ path: ['exist', clientKey], message, hint });
  } else if (clientKey !== undefined && exist['client_id'] === undefined) {
    const message = 'there is a secret, and no client_id';
    const hint = 'write client_id: … as Exist shows it on the page of your app';
    findings.push({ path: ['exist', clientKey], message, hint });
  } else if (clientKey !== undefined && secrets.length === 0) {
    const hint = 'write `client_secret: ${EXIST_CLIENT_SECRET}` or `client_secret_file: …` below exist';
    findings.push({ path: ['exist', clientKey], message: 'there is no secret of it', hint, isMissing: true });
  } else if (token === undefined && clientKey === undefined && exist['url'] !== 'sandbox') {
    const hint =
      'write `token: ${EXIST_TOKEN}` or `token_file: …` below exist, or client_id and client_secret_file for `mqtt2exist login` (or `url: sandbox` to try things out)';
    const message = 'the token of your Exist account is missing';
    findings.push({ path: ['exist'], message, hint, isMissing: true });
  }
  return findings;
}

/** What `exist` says as it stands in the file, with what its files say. Complaints of those go to `complain`. */
export function credentialsOf(
  exist: unknown,
  contentOf: (file: string) => { readonly content: string } | { readonly failure: string },
  isBroken: (path: Path) => boolean,
  complain: (finding: Finding) => void,
): { readonly token: string | undefined; readonly client: ConfiguredClient | undefined } {
  const entry: Entry =
    typeof exist === 'object' && exist !== null && !Array.isArray(exist)
      ? (exist as Entry) // An object that is no list is read by its keys, whatever it is.
      : {};
  const secretOf = (key: string, what: string): string | undefined => {
    const { [key]: given, [`${key}_file`]: file } = entry;
    if (typeof given === 'string') return given;
    const path = ['exist', `${key}_file`];
    if (typeof file !== 'string' || file.trim() === '' || isBroken(path)) return undefined;
    const read = contentOf(file);
    if ('failure' in read) {
      const hint = `put the ${what} into it, or name another one (relative to the folder of this file)`;
      complain({ path, message: `the file cannot be read: ${read.failure}`, hint });
      return undefined;
    }
    const content = read.content.replace(/[\r\n]+$/, '');
    if (isSecret(content)) return content;
    const message = `what the file says cannot be a ${what}: it is empty or has white space in it`;
    complain({ path, message, hint: `put nothing but the ${what} into it` });
    return undefined;
  };
  const token = secretOf('token', 'token');
  const secret = secretOf('client_secret', 'secret');
  const { client_id: id } = entry;
  const client = typeof id === 'string' && secret !== undefined ? { id, secret } : undefined;
  return { token, client };
}
