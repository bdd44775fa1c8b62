/**
 * OAuth2 as Exist does it: the page where the user allows, and the exchange of codes and refresh tokens.
 */
import { SECOND_MS } from '../core/time.ts';
import { escapeHtml, html, json, redirect, type Call, type Reply } from './http.ts';
import type { Tokens } from './tokens.ts';

/** `undefined` for other paths. */
export function answerOAuth(call: Call, tokens: Tokens): Reply | undefined {
  switch (call.url.pathname.replace(/\/$/, '')) {
    case '/oauth2/authorize':
      return call.method === 'GET' ? authorize(call, tokens) : json(405, { error: 'method_not_allowed' });
    case '/oauth2/access_token':
      return call.method === 'POST' ? accessToken(call, tokens) : json(405, { error: 'method_not_allowed' });
    default:
      return undefined;
  }
}

/** Without `decision` a page that asks for one; with it, back to where the user came from. */
function authorize({ url }: Call, tokens: Tokens): Reply {
  const query = url.searchParams;
  const clientId = query.get('client_id') ?? '';
  const redirectUri = query.get('redirect_uri') ?? '';
  const scope = query.get('scope') ?? '';
  // Without these two there is nobody to send an error back to (RFC 6749, 4.1.2.1).
  if (clientId === '' || !URL.canParse(redirectUri) || !/^https?:/i.test(redirectUri)) {
    return html(400, '<!doctype html><p>client_id or redirect_uri is missing or odd.</p>');
  }
  const back = (answer: Record<string, string>): Reply => {
    const target = new URL(redirectUri);
    const state = query.get('state');
    for (const [name, value] of Object.entries({ ...answer, ...(state === null ? {} : { state }) })) {
      target.searchParams.set(name, value);
    }
    return redirect(target.href);
  };
  if (query.get('response_type') !== 'code') return back({ error: 'unsupported_response_type' });
  switch (query.get('decision')) {
    case 'allow':
      return back({ code: tokens.authorize(clientId, redirectUri, scope) });
    case 'deny':
      return back({ error: 'access_denied' });
    default:
      return html(200, decisionPage(query, clientId, scope));
  }
}

function decisionPage(query: URLSearchParams, clientId: string, scope: string): string {
  const fields = [...query]
    .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`)
    .join('');
  return `<!doctype html><meta charset="utf-8"><title>Allow ${escapeHtml(clientId)}?</title>
<h1>Allow ${escapeHtml(clientId)}?</h1><p>It asks for: ${escapeHtml(scope) || 'nothing'}</p>
<form method="get">${fields}<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>`;
}

function accessToken({ body, contentType }: Call, tokens: Tokens): Reply {
  if (!/^application\/x-www-form-urlencoded\b/i.test(contentType)) {
    return json(400, { error: 'invalid_request', error_description: 'the body must be form-encoded' });
  }
  const form = new URLSearchParams(body);
  const clientId = form.get('client_id') ?? '';
  if (clientId === '' || (form.get('client_secret') ?? '') === '') {
    return json(401, { error: 'invalid_client' });
  }
  switch (form.get('grant_type')) {
    case 'authorization_code':
      return grant(tokens.exchange(form.get('code') ?? '', clientId, form.get('redirect_uri') ?? ''), tokens);
    case 'refresh_token':
      return grant(tokens.refresh(form.get('refresh_token') ?? '', clientId), tokens);
    default:
      return json(400, { error: 'unsupported_grant_type' });
  }
}

function grant(pair: ReturnType<Tokens['exchange']>, { lifetimeMs }: Tokens): Reply {
  if (!pair) return json(400, { error: 'invalid_grant' });
  return json(200, {
    access_token: pair.access,
    refresh_token: pair.refresh,
    token_type: 'Bearer',
    scope: pair.scope,
    expires_in: lifetimeMs / SECOND_MS,
  });
}
