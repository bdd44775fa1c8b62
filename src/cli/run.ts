/**
 * The daemon in the foreground: from configuration to `ready`, and from a signal to a clean end.
 */
import { deviceFileOf } from '../accounts/device-file.ts';
import { Bridge } from '../bridge.ts';
import { ListenError } from '../broker/listen.ts';
import { CertificateError } from '../certificates/served-certificate.ts';
import type { Config } from '../config/load.ts';
import type { EpochMs } from '../core/time.ts';
import { SystemClock, bootId } from '../host/clock.ts';
import { gatherClockEvidence } from '../host/clock-trust.ts';
import { createLog, type Level, type Log } from '../host/log.ts';
import { ServiceManager } from '../host/service.ts';
import { DatabaseError } from '../ledger/database.ts';
import { VERSION } from '../version.ts';
import { WebListenError } from '../web/web.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface RunOptions {
  readonly config: string;
  readonly logFormat: 'text' | 'json';
  readonly logLevel: Level;
}

export async function run(options: RunOptions): Promise<ExitCode> {
  const loaded = load(options.config, { certificate: 'checked' });
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  const { config } = loaded;
  const secrets = secretsOf(config);
  const log = createLog({
    level: options.logLevel,
    format: options.logFormat,
    env: process.env,
    isTerminal: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
    write: (line) => process.stderr.write(line),
    secrets,
  });
  const service = new ServiceManager(process.env);
  return new Promise((resolve) => {
    let bridge: Bridge | undefined;
    let isEnding = false;
    const end = async (code: ExitCode): Promise<void> => {
      if (isEnding) return;
      isEnding = true;
      service.stopping();
      await bridge?.stop();
      log('info', 'stopped');
      resolve(code);
    };
    let lastWords: string | undefined;
    // A failing disk fails all that write to it: told once.
    const fail = (error: unknown): void => {
      const { code, message } = explain(error);
      if (message !== lastWords) log('error', message);
      lastWords = message;
      void end(code);
    };
    process.once('SIGTERM', () => void end(EXIT.done));
    process.once('SIGINT', () => void end(EXIT.done));
    process.on('SIGHUP', () => {
      if (bridge) reload(bridge, options.config, log, secrets);
    });
    // A programmer's error: nothing can be relied on any more, the supervisor starts us anew.
    process.once('uncaughtException', (error) => {
      log('error', error.stack ?? error.message);
      process.exit(EXIT.internal);
    });
    const begin = async (): Promise<void> => {
      bridge = new Bridge(config, {
        version: VERSION,
        system: new SystemClock(),
        clockEvidence: () => gatherClockEvidence(Date.now() as EpochMs),
        bootId: bootId(),
        deviceFile: deviceFileOf(options.config),
        log,
        hide: (secret) => {
          if (!secrets.includes(secret)) secrets.push(secret);
        },
        onFatal: fail,
      });
      await bridge.start();
      if (isEnding) return;
      service.ready();
      announce(bridge, config, log);
    };
    begin().catch(fail);
  });
}

function explain(error: unknown): { readonly code: ExitCode; readonly message: string } {
  if (error instanceof DatabaseError) {
    return { code: EXIT.database, message: `${error.message}; ${error.hint}` };
  }
  if (error instanceof CertificateError) return { code: EXIT.configuration, message: error.message };
  if (error instanceof ListenError || error instanceof WebListenError) {
    return { code: EXIT.unavailable, message: `${error.message}; is another one running on that port?` };
  }
  return {
    code: EXIT.internal,
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  };
}

/** What others are told to let us in, and might repeat to us. */
function secretsOf({ exist, connections }: Config): string[] {
  const given = [exist.token, exist.client?.secret, ...connections.map(({ password }) => password)];
  return given.filter((secret) => secret !== undefined);
}

/** Another configuration is taken whole or not at all. */
function reload(bridge: Bridge, file: string, log: Log, secrets: string[]): void {
  const loaded = load(file, { certificate: 'checked' });
  if (!loaded.ok) {
    printProblems(loaded.problems);
    log('error', `${file} has problems: the configuration stays as it was`);
    return;
  }
  // The old ones stay: a call may be on its way with them.
  secrets.push(...secretsOf(loaded.config).filter((secret) => !secrets.includes(secret)));
  const needRestart = bridge.reload(loaded.config);
  log('info', `${file} read again`);
  if (needRestart.length > 0) log('warn', `needs a restart to change: ${needRestart.join(', ')}`);
}

/** One line for a log, and for somebody trying it out what to type next. */
function announce(bridge: Bridge, config: Config, log: Log): void {
  const { broker, web, exist } = bridge.addresses;
  log('info', 'ready', { version: VERSION, broker: broker.join(' '), web: web ?? 'none', exist });
  const door = config.demo;
  const listener = broker.find((url) => url.startsWith('mqtt:'));
  if (!door || listener === undefined) return;
  const { hostname, port } = new URL(listener);
  for (const line of [
    `a simulated fridge door publishes to ${door.topic}; take the section \`demo\` out and it is gone`,
    `publish by hand:  mosquitto_pub -h ${hostname} -p ${port} -q 1 -t ${door.topic} -m open`,
    ...(web === undefined ? [] : [`watch it count:   ${web}/`]),
    `what Exist has:   ${exist}/`,
  ]) {
    log('info', line);
  }
}
