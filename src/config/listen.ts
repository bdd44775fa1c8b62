/**
 * Addresses to listen on, and the one of the web page.
 */
import * as z from 'zod';
import { notYet, section, wrong } from './kinds.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const hostAndPort = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

function addressOf(host: string, port: string): ListenAddress | undefined {
  const number = Number(port);
  return number <= 65_535 ? { host: host.replace(/^\[|\]$/g, ''), port: number } : undefined;
}

/** Whether only programs on this machine can reach `host`. Names are not looked up: but for `localhost` they may change. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return (
    name === 'localhost' ||
    /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name) ||
    /^(?:0{0,4}:){2,7}0{0,3}1$/.test(name)
  );
}

const WEB_HINT = 'write an address and a port: 127.0.0.1:8088';

const webListener = z
  .string(wrong('is not a listener', WEB_HINT))
  .transform((text, context): ListenAddress => {
    const [, host, port] = hostAndPort.exec(text.trim()) ?? [];
    const address = host === undefined || port === undefined ? undefined : addressOf(host, port);
    if (address && isLoopback(address.host)) return address;
    const message = address
      ? 'is open to the network, and that needs a password, which comes in a later version; write a loopback address: 127.0.0.1:8088'
      : `is not a listener; ${WEB_HINT}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .meta({ title: 'address', examples: ['127.0.0.1:8088', '[::1]:8088'] });

export const web = z
  .union(
    [
      z.literal(false),
      section({
        listen: webListener
          .prefault('127.0.0.1:8088')
          .describe(
            'Address and port of the status page. In this version only loopback addresses. Port 0 takes any free port.',
          ),
        password: notYet('a password for the web page', 'listen on a loopback address'),
        password_file: notYet('a password for the web page', 'listen on a loopback address'),
        password_hash: notYet('a password for the web page', 'listen on a loopback address'),
      }),
    ],
    wrong('is neither keys nor false', 'write keys below it, or false for no web page'),
  )
  .prefault({})
  .describe(
    'Status, health (`/healthz`), metrics for Prometheus (`/metrics`), status and what is held as JSON (`/api/status`, `/api/held`) over HTTP. `web: false` for none; `mqtt2exist status` needs it.',
  );
