/**
 * What an exchange means: answered, surely not applied, or unknown. The rule errs on one side only: whatever is not
 * plainly an answer of Exist's own form, and not plainly turned away at the door, is unknown.
 *
 * | exchange                                              | outcome                       |
 * | ----------------------------------------------------- | ----------------------------- |
 * | no connection: refused, unresolved, timed out, TLS    | not sent                      |
 * | 401, 403, 429, whatever the body                      | not sent                      |
 * | 200, 201, 202 with a whole JSON body of Exist's form  | answered                      |
 * | anything else                                         | unknown                       |
 */
import * as z from 'zod';
import type { NotSent, Outcome } from '../core/delivery/outcome.ts';
import { SECOND_MS, type EpochMs } from '../core/time.ts';
import type { Exchange } from './exchange.ts';

const MOST_CHARACTERS = 300;

type Response = Exchange & { kind: 'response' };

/** @param token what messages must not contain, even where a server repeats it */
export function classify<T>(
  exchanged: Exchange,
  schema: z.ZodType<T>,
  now: EpochMs,
  token: string,
): Outcome<T> {
  const outcome = judge(exchanged, schema, now, token);
  return outcome.kind === 'answered' ? outcome : { ...outcome, message: oneLine(outcome.message, token) };
}

function judge<T>(exchanged: Exchange, schema: z.ZodType<T>, now: EpochMs, token: string): Outcome<T> {
  switch (exchanged.kind) {
    case 'unconnected':
      return { kind: 'not-sent', cause: exchanged.cause, message: exchanged.message };
    case 'no-response':
      return { kind: 'unknown', message: exchanged.message };
    case 'response':
      return judgeResponse(exchanged, schema, now, token);
  }
}

function judgeResponse<T>(response: Response, schema: z.ZodType<T>, now: EpochMs, token: string): Outcome<T> {
  const { status } = response;
  switch (status) {
    case 401:
      return turnedAway('unauthorised', response);
    case 403:
      return turnedAway('forbidden', response);
    case 429: {
      const retryAfterMs = readRetryAfter(response.headers, now);
      return {
        ...turnedAway('rate-limited', response),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      };
    }
    case 200:
    case 201:
    case 202:
      return readAnswer(response, status, schema, token);
    default:
      return { kind: 'unknown', status, message: `${status}: ${exactWords(response)}` };
  }
}

function turnedAway(cause: NotSent['cause'], response: Response): NotSent {
  return { kind: 'not-sent', cause, message: `${response.status}: ${exactWords(response)}` };
}

function readAnswer<T>(
  response: Response,
  status: 200 | 201 | 202,
  schema: z.ZodType<T>,
  token: string,
): Outcome<T> {
  const unknown = (message: string): Outcome<T> => ({
    kind: 'unknown',
    status,
    message: `${status}: ${message}`,
  });
  if (response.flaw !== undefined) return unknown(response.flaw);
  let json: unknown;
  try {
    // The words about single items are kept and shown; names, codes and values are left as they are.
    json = JSON.parse(response.text, (key, value: unknown) =>
      key === 'error' && typeof value === 'string' ? withoutToken(value, token) : value,
    );
  } catch {
    return unknown(`the answer is not JSON; it begins with: ${response.text}`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue && issue.path.length > 0 ? ` at ${issue.path.map(String).join('.')}` : '';
    return unknown(`the answer is not of Exist's form${place}: ${issue?.message ?? 'odd'}`);
  }
  const serverTime = timeOf(response.headers);
  return {
    kind: 'answered',
    status,
    body: parsed.data,
    ...(serverTime === undefined ? {} : { serverTime }),
  };
}

/** The server's time in an answer of its own; one that a cache kept is as old as it may be. */
export function timeOf(headers: Readonly<Record<string, string>>): EpochMs | undefined {
  return headers['age'] === undefined ? readDate(headers['date']) : undefined;
}

const optionalWords = z.string().min(1).optional().catch(undefined);
const errorBody = z.object({ detail: optionalWords, error: optionalWords, error_description: optionalWords });

/** Exist's own words about what went wrong, or the beginning of whatever it is that answered. */
export function exactWords(response: Response): string {
  const text = response.text.trim();
  if (text === '') return response.flaw ?? 'no explanation';
  try {
    const words = errorBody.parse(JSON.parse(text));
    return words.detail ?? words.error_description ?? words.error ?? text;
  } catch {
    const [, title] = /<title[^>]{0,100}>([^<]{1,200})/i.exec(text.slice(0, 4_096)) ?? [];
    return title ?? text;
  }
}

export function withoutToken(words: string, token: string): string {
  return words.replaceAll(token, '[token]');
}

/** One line of at most 300 characters. The token is cut out first: half of it must not be left at the end. */
export function oneLine(message: string, token: string): string {
  const line = withoutToken(message, token)
    .slice(0, 4 * MOST_CHARACTERS)
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    .replace(/[\u0000-\u0020\u007f-\u009f]+/g, ' ')
    .trim();
  return line.length <= MOST_CHARACTERS ? line : `${line.slice(0, MOST_CHARACTERS - 1)}…`;
}

/** `Retry-After` in either of its forms (RFC 9110, 10.2.3); a date is read against the server's own clock. */
export function readRetryAfter(headers: Readonly<Record<string, string>>, now: EpochMs): number | undefined {
  const text = headers['retry-after']?.trim();
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * SECOND_MS;
  const until = readDate(text);
  if (until === undefined) return undefined;
  return Math.max(0, until - (readDate(headers['date']) ?? now));
}

function readDate(text: string | undefined): EpochMs | undefined {
  const at = Date.parse(text ?? '');
  return Number.isFinite(at) && at > 0 ? (at as EpochMs) : undefined;
}
