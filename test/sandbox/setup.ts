/**
 * A sandbox on a port of its own, a client of the same kind as the bridge's, and plain requests.
 */
import { request } from 'undici';
import { afterEach } from 'vitest';
import type { LocalDate } from '../../src/core/time.ts';
import { ExistClient, type ExistClientOptions } from '../../src/exist/exist-client.ts';
import { Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';

export const NOW = Date.UTC(2026, 7, 2, 10, 30);
export const TODAY = '2026-08-02' as LocalDate;
export const YESTERDAY = '2026-08-01' as LocalDate;

const started: Sandbox[] = [];

afterEach(async () => {
  for (const sandbox of started.splice(0)) await sandbox.stop();
});

export interface Reply {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  readonly json: unknown;
}

export interface Setup {
  readonly sandbox: Sandbox;
  readonly url: string;
  readonly client: ExistClient;
  readonly send: (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: object,
  ) => Promise<Reply>;
}

export async function setup(
  options: SandboxOptions = {},
  clientOptions: Partial<ExistClientOptions> = {},
): Promise<Setup> {
  const sandbox = new Sandbox({ timezone: 'UTC', clock: () => NOW, ...options });
  started.push(sandbox);
  const { url } = await sandbox.start();
  const client = new ExistClient({
    url,
    token: () => 'token',
    timeoutMs: 5_000,
    userAgent: 'test',
    ...clientOptions,
  });
  return {
    sandbox,
    url,
    client,
    async send(method, path, body, headers = {}) {
      const response = await request(url + path, {
        method,
        headers: { authorization: 'Bearer token', 'content-type': 'application/json', ...headers },
        body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      });
      const text = await response.body.text();
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch {
        json = undefined;
      }
      return { status: response.statusCode, headers: response.headers, text, json };
    },
  };
}

/** With `fridge_opens`, a custom integer, created by the client. */
export async function setupWithFridge(
  options: SandboxOptions = {},
  clientOptions: Partial<ExistClientOptions> = {},
): Promise<Setup> {
  const all = await setup(options, clientOptions);
  await all.client.create([{ label: 'Fridge opens', group: 'food', value_type: 0, manual: false }]);
  return all;
}

export function valueOf(sandbox: Sandbox, name: string, date: string): number | string | undefined {
  return sandbox.state().attributes.find((attribute) => attribute.name === name)?.values[date];
}
