/**
 * The sandbox's own paths, which Exist has not: its state, the failure switch, other people's hands.
 */
import * as z from 'zod';
import { html, json, type Call, type Reply } from './http.ts';
import { statePage } from './page.ts';
import type { Sandbox } from './sandbox.ts';

const edit = z.strictObject({
  name: z.string(),
  date: z.string(),
  value: z.union([z.number(), z.string()]),
});
const tokens = z.strictObject({ expires_in: z.number().min(0.1).max(315_360_000) });
const named = z.strictObject({ name: z.string() });

/** `undefined` for paths that are not the sandbox's own. */
export function answerControl(call: Call, sandbox: Sandbox): Reply | undefined {
  const { pathname } = call.url;
  if (pathname === '/' && call.method === 'GET') return html(200, statePage(sandbox.state()));
  switch (`${call.method} ${pathname.replace(/\/$/, '')}`) {
    case 'GET /sandbox/state':
      return json(200, sandbox.state());
    case 'GET /sandbox/faults':
      return json(200, sandbox.faults());
    case 'POST /sandbox/faults':
      return change(call, z.array(z.unknown()), (faults) => sandbox.addFaults(faults));
    case 'DELETE /sandbox/faults':
      sandbox.clearFaults();
      return json(200, []);
    case 'POST /sandbox/edit':
      return change(call, edit, ({ name, date, value }) => sandbox.edit(name, date, value));
    case 'POST /sandbox/delete-attribute':
      return change(call, named, ({ name }) => sandbox.deleteAttribute(name));
    case 'POST /sandbox/release':
      return change(call, named, ({ name }) => sandbox.release(name));
    case 'POST /sandbox/tokens':
      return change(call, tokens, ({ expires_in: seconds }) => {
        sandbox.setTokenLifetime(seconds);
        return undefined;
      });
    case 'POST /sandbox/revoke':
      sandbox.revoke();
      return json(200, { ok: true });
    default:
      return pathname.startsWith('/sandbox')
        ? json(404, { error: 'the sandbox has no such call' })
        : undefined;
  }
}

/** `run` says what is wrong, or nothing. */
function change<T>(call: Call, schema: z.ZodType<T>, run: (input: T) => string | undefined): Reply {
  let input: unknown;
  try {
    input = JSON.parse(call.body);
  } catch {
    return json(400, { error: 'the body is not JSON' });
  }
  const parsed = schema.safeParse(input);
  const error = parsed.success ? run(parsed.data) : z.prettifyError(parsed.error);
  return error === undefined ? json(200, { ok: true }) : json(400, { error });
}
