/**
 * One HTTP exchange: one request on a connection of its own, one bounded answer, one clock over all of it.
 * Redirects are answers like any other. Nothing is tried again here.
 */
import { Client, type Dispatcher } from 'undici';
import { Connection } from './connection.ts';

export interface ExchangeRequest {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From looking up the name to the last byte. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
}

/** What came of it, before anybody looked at what the answer says. */
export type Exchange =
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      /** The whole body, or as much as came where `flaw` says why it is not whole. */
      readonly text: string;
      readonly flaw?: string;
    }
  /** No byte of the request has left. */
  | { readonly kind: 'unconnected'; readonly cause: 'network' | 'tls'; readonly message: string }
  /** The connection stood, and no status line came. */
  | { readonly kind: 'no-response'; readonly message: string };

/** Never rejects for anything the network or the other side does. */
export async function exchange(request: ExchangeRequest): Promise<Exchange> {
  const { url, timeoutMs } = request;
  const connection = new Connection();
  // The client's own timers tick in half seconds: the one signal below is exact and covers every phase.
  const client = new Client(url.origin, { connect: connection.connect, headersTimeout: 0, bodyTimeout: 0 });
  const overall = new AbortController();
  const timer = setTimeout(() => {
    overall.abort();
    if (connection.phase !== 'open') connection.destroy(new Error('too late'));
  }, timeoutMs);
  const tell = (error: unknown): string =>
    overall.signal.aborted ? `no whole answer within ${timeoutMs} ms` : describe(error);
  try {
    let response: Dispatcher.ResponseData;
    try {
      response = await client.request({
        path: `${url.pathname}${url.search}`,
        method: request.method,
        headers: { ...request.headers },
        body: request.body ?? null,
        signal: overall.signal,
        reset: true,
      });
    } catch (error) {
      if (connection.phase === 'open') return { kind: 'no-response', message: tell(error) };
      const cause = connection.phase === 'handshake' && !overall.signal.aborted ? 'tls' : 'network';
      return { kind: 'unconnected', cause, message: `cannot connect to ${url.host}: ${tell(error)}` };
    }
    const { text, flaw } = await readBody(response.body, request.maxBodyBytes, tell);
    return {
      kind: 'response',
      status: response.statusCode,
      headers: flatten(response.headers),
      text,
      ...(flaw === undefined ? {} : { flaw }),
    };
  } finally {
    clearTimeout(timer);
    await client.destroy();
    connection.destroy();
  }
}

async function readBody(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tell: (error: unknown) => string,
): Promise<{ text: string; flaw?: string }> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let flaw: string | undefined;
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > maxBytes) {
        flaw = `the answer is larger than ${maxBytes} bytes`;
        break;
      }
      chunks.push(chunk);
    }
  } catch (error) {
    flaw = `the answer was cut off: ${tell(error)}`;
  }
  const bytes = Buffer.concat(chunks);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return flaw === undefined ? { text } : { text, flaw };
  } catch {
    return { text: bytes.toString('latin1'), flaw: flaw ?? 'the answer is not UTF-8 text' };
  }
}

function flatten(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const first = Array.isArray(value) ? value[0] : value;
    if (first !== undefined) flat[name] = first;
  }
  return flat;
}

/** The error's code and words; several addresses tried give an error without words of its own. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (error.message === '') return code === '' ? error.name : code;
  return code === '' || error.message.includes(code) ? error.message : `${code}: ${error.message}`;
}
