import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ExistClient } from '../../src/exist/exist-client.ts';
import { NOW, TODAY, setup, type Reply, type Setup } from './setup.ts';

const CALLBACK = 'http://localhost:8000/';

function authorizePath(more: Record<string, string> = {}): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: 'bridge',
    redirect_uri: CALLBACK,
    scope: 'food_read food_write',
    ...more,
  });
  return `/oauth2/authorize?${query.toString()}`;
}

async function codeFrom({ send }: Setup, more: Record<string, string> = {}): Promise<string> {
  const { headers } = await send('GET', authorizePath({ decision: 'allow', ...more }));
  return new URL(String(headers['location'])).searchParams.get('code') ?? '';
}

function token({ send }: Setup, form: Record<string, string>): Promise<Reply> {
  const all = { client_id: 'bridge', client_secret: 'secret', redirect_uri: CALLBACK, ...form };
  return send('POST', '/oauth2/access_token', new URLSearchParams(all).toString(), {
    'content-type': 'application/x-www-form-urlencoded',
  });
}

interface Pair {
  access_token: string;
  refresh_token: string;
}

async function login(all: Setup): Promise<Pair> {
  const { json } = await token(all, { grant_type: 'authorization_code', code: await codeFrom(all) });
  return json as Pair;
}

function clientWith({ url }: Setup, accessToken: string): ExistClient {
  return new ExistClient({ url, token: () => accessToken, timeoutMs: 5_000, userAgent: 'test' });
}

test('the user is asked, and allows or denies', async () => {
  const { send } = await setup();
  const page = await send('GET', authorizePath({ client_id: '<b>', state: 'x"y' }));
  expect(page.status).toBe(200);
  expect(page.text).toContain('Allow &lt;b&gt;?');
  expect(page.text).toContain('value="x&quot;y"');
  const allowed = await send('GET', authorizePath({ state: 'xyz', decision: 'allow' }));
  expect(allowed.status).toBe(302);
  expect(allowed.headers['location']).toMatch(/^http:\/\/localhost:8000\/\?code=[0-9a-f]{32}&state=xyz$/);
  const denied = await send('GET', authorizePath({ decision: 'deny' }));
  expect(denied.headers['location']).toBe(`${CALLBACK}?error=access_denied`);
});

test('nobody is sent to an address that is none', async () => {
  const { send } = await setup();
  const bad: Record<string, string>[] = [
    { redirect_uri: '' },
    { redirect_uri: 'javascript:alert(1)' },
    { client_id: '' },
  ];
  for (const more of bad) {
    expect((await send('GET', authorizePath({ ...more, decision: 'allow' }))).status).toBe(400);
  }
});

test('a code is good for one pair of tokens, for its client and address', async () => {
  const all = await setup();
  const code = await codeFrom(all);
  const grant = { grant_type: 'authorization_code', code };
  const first = await token(all, grant);
  expect(first.status).toBe(200);
  expect(first.json).toMatchObject({
    access_token: expect.any(String) as string,
    refresh_token: expect.any(String) as string,
    token_type: 'Bearer',
    scope: 'food_read food_write',
    expires_in: 31_536_000,
  });
  expect((await token(all, grant)).json).toEqual({ error: 'invalid_grant' });
  const other = { grant_type: 'authorization_code', code: await codeFrom(all), client_id: 'other' };
  expect((await token(all, other)).status).toBe(400);
  const elsewhere = {
    grant_type: 'authorization_code',
    code: await codeFrom(all),
    redirect_uri: 'http://x/',
  };
  expect((await token(all, elsewhere)).status).toBe(400);
});

test('a code is dead after ten minutes, a token after a year', async () => {
  let now = NOW;
  const all = await setup({ clock: () => now });
  const code = await codeFrom(all);
  const { access_token } = await login(all);
  const client = clientWith(all, access_token);
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
  now += 10 * 60_000;
  expect((await token(all, { grant_type: 'authorization_code', code })).status).toBe(400);
  now += 365 * 86_400_000;
  expect(await client.profile()).toMatchObject({ cause: 'unauthorised' });
});

test('a refresh kills both old tokens at once', async () => {
  const all = await setup();
  const old = await login(all);
  const refresh = { grant_type: 'refresh_token', refresh_token: old.refresh_token };
  const renewed = (await token(all, refresh)).json as Pair;
  expect(await clientWith(all, renewed.access_token).profile()).toMatchObject({ kind: 'answered' });
  expect(await clientWith(all, old.access_token).profile()).toMatchObject({ cause: 'unauthorised' });
  expect((await token(all, refresh)).status).toBe(400);
});

test('a refresh whose answer is lost has killed the old tokens all the same', async () => {
  const all = await setup();
  const old = await login(all);
  all.sandbox.faults([{ match: { path: 'access_token' }, fault: 'apply-then-lose' }]);
  await expect(
    token(all, { grant_type: 'refresh_token', refresh_token: old.refresh_token }),
  ).rejects.toThrow();
  expect(await clientWith(all, old.access_token).profile()).toMatchObject({ cause: 'unauthorised' });
});

test('expire-token kills the access token for good; the refresh token still works', async () => {
  const all = await setup();
  const old = await login(all);
  const client = clientWith(all, old.access_token);
  all.sandbox.faults([{ fault: 'expire-token' }]);
  for (let call = 0; call < 2; call += 1) {
    expect(await client.profile()).toMatchObject({ cause: 'unauthorised' });
  }
  const refresh = { grant_type: 'refresh_token', refresh_token: old.refresh_token };
  expect((await token(all, refresh)).status).toBe(200);
});

test('how long tokens live can be set, and they can be taken back', async () => {
  let now = NOW;
  const all = await setup({ clock: () => now });
  expect((await all.send('POST', '/sandbox/tokens', { expires_in: 3 })).status).toBe(200);
  const code = await codeFrom(all);
  const { json } = await token(all, { grant_type: 'authorization_code', code });
  expect(json).toMatchObject({ expires_in: 3 });
  const pair = json as Pair;
  const client = clientWith(all, pair.access_token);
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
  now += 3_000;
  expect(await client.profile()).toMatchObject({ cause: 'unauthorised' });
  await all.send('POST', '/sandbox/revoke');
  const refresh = { grant_type: 'refresh_token', refresh_token: pair.refresh_token };
  expect((await token(all, refresh)).json).toEqual({ error: 'invalid_grant' });
});

test('requests for tokens that are odd are refused', async () => {
  const all = await setup();
  expect((await token(all, { grant_type: 'password' })).json).toEqual({ error: 'unsupported_grant_type' });
  expect((await token(all, { client_secret: '' })).status).toBe(401);
  expect((await all.send('POST', '/oauth2/access_token', '{}')).status).toBe(400);
  expect((await all.send('GET', '/oauth2/access_token')).status).toBe(405);
  const odd = await all.send('GET', authorizePath({ response_type: 'token' }));
  expect(odd.headers['location']).toBe(`${CALLBACK}?error=unsupported_response_type`);
});

test('scopes bound what is read and written, and clients are services of their own', async () => {
  const all = await setup();
  const client = clientWith(all, (await login(all)).access_token);
  await all.client.acquire([
    { template: 'water', manual: false },
    { template: 'weight', manual: false },
  ]);
  expect(await client.attributes()).toMatchObject({ body: { results: [{ name: 'water' }] } });
  expect(await client.update([{ name: 'water', date: TODAY, value: 1 }])).toMatchObject({
    body: { failed: [{ error_code: 'unauthorised' }] },
  });
  expect(
    await client.acquire([
      { template: 'water', manual: false },
      { template: 'weight', manual: false },
    ]),
  ).toMatchObject({
    status: 202,
    body: { success: [{ name: 'water' }], failed: [{ template: 'weight', error_code: 'unauthorised' }] },
  });
  expect(await client.update([{ name: 'water', date: TODAY, value: 1 }])).toMatchObject({ status: 200 });
  expect(await all.client.owned()).toMatchObject({ body: { results: [{ name: 'weight' }] } });
});

test('tokens outlive the sandbox', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-'));
  const file = join(directory, 'sandbox.json');
  const first = await setup({ file });
  const { access_token } = await login(first);
  await first.sandbox.stop();
  const second = await setup({ file });
  expect(await clientWith(second, access_token).profile()).toMatchObject({ kind: 'answered' });
  await second.sandbox.stop();
  rmSync(directory, { recursive: true });
});
