import { afterEach, describe, expect, test } from 'vitest';
import { OAuthClient } from '../../src/exist/oauth-client.ts';
import type { FaultInput } from '../../src/sandbox/faults.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { decide } from '../support/login.ts';

const SECRET = 'the-secret-of-the-client';
const REDIRECT = 'http://localhost:8000/';
const started: Sandbox[] = [];

afterEach(async () => {
  for (const sandbox of started.splice(0)) await sandbox.stop();
});

async function setup() {
  const sandbox = new Sandbox({ timezone: 'UTC' });
  started.push(sandbox);
  const { url } = await sandbox.start();
  const client = new OAuthClient({
    url,
    clientId: 'bridge',
    clientSecret: SECRET,
    timeoutMs: 500,
    userAgent: 'test',
  });
  const authorize = client.authorizeUrl({ redirectUri: REDIRECT, scopes: ['food_read'], state: 'x' });
  const code = new URL(await decide(authorize)).searchParams.get('code') ?? '';
  const fail = (fault: FaultInput['fault']): void => {
    sandbox.faults([{ match: { path: 'access_token' }, fault }]);
  };
  return { sandbox, client, code, fail };
}

test('a code brings a pair, and the pair another one', async () => {
  const { client, code } = await setup();
  const first = await client.exchangeCode(code, REDIRECT);
  expect(first).toMatchObject({
    kind: 'granted',
    issued: { scope: 'food_read', expiresInMs: 365 * 86_400_000, refresh: expect.any(String) },
  });
  if (first.kind !== 'granted') return;
  const again = await client.refresh(first.issued.refresh ?? '', first.issued.access);
  expect(again).toMatchObject({ kind: 'granted' });
  expect(await client.refresh(first.issued.refresh ?? '', first.issued.access)).toEqual({
    kind: 'refused',
    message: '400: invalid_grant',
  });
  expect(await client.exchangeCode(code, REDIRECT)).toMatchObject({ kind: 'refused' });
});

const body = (value: unknown): string => JSON.stringify(value);

describe('what an answer means', () => {
  test.each<[string, FaultInput['fault'], string, string]>([
    ['none', 'lose', 'unknown', ''],
    ['none in time', 'timeout', 'unknown', 'no whole answer within 500 ms'],
    ['503', { kind: 'status', status: 503 }, 'unknown', '503'],
    ['400 that is not OAuth2’s', { kind: 'status', status: 400, body: '<p>no</p>' }, 'unknown', '400'],
    ['a hotel’s page', 'html', 'unknown', 'no pair of tokens'],
    ['half a pair', 'broken-json', 'unknown', 'no pair of tokens'],
    ['a pair that is cut off', 'cut-body', 'unknown', 'cut off'],
    ['429', { kind: 'status', status: 429 }, 'not-sent', '429'],
    [
      'that the client is not known',
      { kind: 'status', status: 401, body: body({ error: 'invalid_client' }) },
      'not-sent',
      'client_id or client_secret is not right',
    ],
    [
      'that the code is not good, whatever the status',
      { kind: 'status', status: 401, body: body({ error: 'invalid_grant' }) },
      'refused',
      'invalid_grant',
    ],
  ])('%s', async (_, fault, kind, words) => {
    const { client, code, fail } = await setup();
    fail(fault);
    const outcome = await client.exchangeCode(code, REDIRECT);
    expect(outcome).toMatchObject({ kind, message: expect.stringContaining(words) });
  });

  test('no connection', async () => {
    const { client, sandbox } = await setup();
    await sandbox.stop();
    expect(await client.refresh('x', 'y')).toMatchObject({ kind: 'not-sent' });
  });

  test('what Exist repeats of the request is cut out of its words', async () => {
    const { client, fail } = await setup();
    fail({ kind: 'status', status: 500, body: `refresh-me, access-me and ${SECRET}` });
    const outcome = await client.refresh('refresh-me', 'access-me');
    expect(outcome).toEqual({ kind: 'unknown', message: '500: [token], [token] and [token]' });
  });
});
