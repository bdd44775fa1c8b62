/**
 * The command `mqtt2exist`. Each subcommand is a file of `cli/`, loaded only when it runs.
 */
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError, Option } from 'commander';
import { EXIT, type ExitCode } from './cli/exit-codes.ts';
import { VERSION } from './version.ts';

// The target has 512 MB: V8 keeps its heap 7 MB smaller for it.
setFlagsFromString('--optimize-for-size');

const CONFIG_FILE = 'mqtt2exist.yaml';

function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file').default(CONFIG_FILE);
}

function wholeNumber(name: string, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    throw new CommanderError(
      EXIT.usage,
      'mqtt2exist.argument',
      `error: ${name} must be a whole number up to ${most}`,
    );
  };
}

function commandLine(finish: (code: ExitCode) => void): Command {
  const program = new Command('mqtt2exist')
    .description('The bridge from sensors at home to Exist: every count arrives exactly once.')
    .version(VERSION, '-V, --version')
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText(
      'after',
      '\nStart with `mqtt2exist run`; docs/configuration.md explains every key of the configuration.',
    );

  program
    .command('run')
    .description('run the daemon in the foreground; SIGTERM stops it, SIGHUP reads the configuration again')
    .addOption(configOption())
    .addOption(
      new Option('--log-format <format>', 'how log lines look').choices(['text', 'json']).default('text'),
    )
    .addOption(
      new Option('--log-level <level>', 'least level that is shown')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .action(
      async (options: {
        config: string;
        logFormat: 'text' | 'json';
        logLevel: 'debug' | 'info' | 'warn' | 'error';
      }) => {
        const { run } = await import('./cli/run.ts');
        finish(await run(options));
      },
    );

  program
    .command('check')
    .description('validate the configuration and name every problem with its place')
    .addOption(configOption())
    .option('--json', 'print the problems as JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { check } = await import('./cli/check.ts');
      finish(check(options.config, options.json === true));
    });

  program
    .command('try')
    .description('show what the mappings would make of a message; touches nothing')
    .argument('<topic>', 'topic name the message would be published to')
    .argument('<payload...>', 'payloads, one message after the other')
    .addOption(configOption())
    .option('--retain', 'as if the publisher had set the retain flag')
    .option('--replay', 'as if it came because of a subscription')
    .option('--at <time>', 'when the first message comes: ISO 8601 (default: now)')
    .option('--every <duration>', 'time between the messages, such as 500ms, 5s or 2h', '1s')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  mqtt2exist try kitchen/fridge/door open closed open\n  mqtt2exist try tele/tv/SENSOR \'{"ENERGY":{"Power":92}}\' --at 2026-11-20T20:00:00Z',
    )
    .action(async (topic: string, payloads: string[], options: TryCommandOptions) => {
      const { tryMessages } = await import('./cli/try.ts');
      finish(await tryMessages(topic, payloads, options));
    });

  program
    .command('status')
    .description('ask the running daemon how it is')
    .addOption(configOption())
    .option('--json', 'print all of it as JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { status } = await import('./cli/status.ts');
      finish(await status(options.config, options.json === true));
    });

  program
    .command('topics')
    .description('show what was seen lately on every topic, and which mapping takes it')
    .argument('[filter]', 'only topics of this filter, such as home/+/door', '#')
    .addOption(configOption())
    .option(
      '--look <seconds>',
      'how long to look at connections first, for what no mapping names; 0 for not at all',
      wholeNumber('--look', 300),
      3,
    )
    .option('--json', 'print all of it as JSON')
    .action(async (filter: string, options: { config: string; look: number; json?: true }) => {
      const { topics } = await import('./cli/topics.ts');
      finish(await topics(filter, options));
    });

  program
    .command('watch')
    .description('follow messages as they come, and what becomes of each')
    .argument('[filter]', 'only topics of this filter, such as home/+/door', '#')
    .addOption(configOption())
    .option('--json', 'print each as a line of JSON')
    .action(async (filter: string, options: { config: string; json?: true }) => {
      const { watch } = await import('./cli/watch.ts');
      finish(await watch(filter, options));
    });

  addLogin(program, finish);
  addHeld(program, finish);
  addDevices(program, finish);
  addCertificate(program, finish);

  program
    .command('password')
    .description('print the hash of a password, for password_hash; the password comes from stdin')
    .action(async () => {
      const { password } = await import('./cli/password.ts');
      finish(await password());
    });

  program
    .command('explain')
    .description('show every contribution, call, outcome and repair behind a total')
    .argument('<attribute>', 'name in the configuration')
    .argument('<day>', 'YYYY-mm-dd')
    .addOption(configOption())
    .option('--json', 'print all of it as JSON')
    .action(async (attribute: string, day: string, options: { config: string; json?: true }) => {
      const { explain } = await import('./cli/explain.ts');
      finish(explain(attribute, day, options));
    });

  program
    .command('backup')
    .description('copy the database into one file; the daemon may run')
    .argument('<file>', 'file to make')
    .addOption(configOption())
    .action(async (file: string, options: { config: string }) => {
      const { backup } = await import('./cli/backup.ts');
      finish(backup(file, options.config));
    });

  program
    .command('restore')
    .description('put a backup in place of the database; the daemon must be down')
    .argument('<file>', 'file that backup made')
    .addOption(configOption())
    .option('--dry-run', 'only show what the backup holds')
    .action(async (file: string, options: { config: string; dryRun?: true }) => {
      const { restore } = await import('./cli/backup.ts');
      finish(restore(file, options.config, options.dryRun === true));
    });

  program
    .command('sandbox')
    .description('run a local Exist to try things out with')
    .option('--port <number>', 'port to listen on, 0 for any free one', wholeNumber('--port', 65_535), 8089)
    .option('--file <path>', 'where its values are kept', 'exist-sandbox.json')
    .action(async (options: { port: number; file: string }) => {
      const { sandbox } = await import('./cli/sandbox.ts');
      finish(await sandbox(options));
    });

  return program;
}

function addLogin(program: Command, finish: (code: ExitCode) => void): void {
  program
    .command('login')
    .description('log in to Exist by OAuth2, where the configuration has a client_id; the daemon may run')
    .addOption(configOption())
    .option(
      '--listen <port>',
      'wait for the browser on http://localhost:PORT/, which the app at Exist must know; 0 to paste instead',
      wholeNumber('--listen', 65_535),
      8000,
    )
    .option('--redirect <url>', 'where the app at Exist sends the browser instead; its address is pasted')
    .action(async (options: { config: string; listen: number; redirect?: string }) => {
      const { login } = await import('./cli/login.ts');
      finish(await login(options));
    });
}

function addHeld(program: Command, finish: (code: ExitCode) => void): void {
  const held = program
    .command('held')
    .description('list what only you can decide, with its evidence; settle it by a subcommand')
    .addOption(configOption())
    .option('--json', 'print the list as JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { listHeld } = await import('./cli/held.ts');
      finish(await listHeld(options.config, options.json === true));
    });
  const ways = [
    ['retry', '[day]', 'send it again; without a day: look at a held attribute again'],
    ['drop', '<day>', 'forget what is not delivered'],
    ['count', '<day>', 'take what is not delivered as delivered: it stands at Exist already'],
    ['set', '<day> <total>', 'write this total for the day, whatever was counted'],
  ] as const;
  for (const [how, operands, description] of ways) {
    const command = held
      .command(how)
      .description(description)
      .argument('<attribute>', 'name in the configuration');
    for (const operand of operands.split(' ')) command.argument(operand);
    command
      .addOption(configOption())
      .option('--yes', 'do not ask')
      .action(async (attribute: string, ...rest: unknown[]) => {
        const [day, total] = rest.filter((part) => typeof part === 'string');
        // Shared with the parent command: commander gives the option to whichever comes first.
        const options = command.optsWithGlobals<{ config: string; yes?: true }>();
        const { settleHeld } = await import('./cli/held.ts');
        const given = { ...(day !== undefined && { day }), ...(total !== undefined && { total }) };
        finish(
          await settleHeld({
            config: options.config,
            how,
            attribute,
            isSure: options.yes === true,
            ...given,
          }),
        );
      });
  }
}

function addDevices(program: Command, finish: (code: ExitCode) => void): void {
  const devices = program
    .command('devices')
    .description('accounts of devices: a name, a random password, and the topics it may use')
    .action(() => devices.help({ error: true }));
  const kinds = 'esphome, tasmota, arduino, micropython, shelly, zigbee2mqtt or mosquitto';

  devices
    .command('add')
    .description('make an account, and print its password once, with settings ready to paste')
    .argument('<name>', 'letters, digits, dots, dashes and underscores')
    .addOption(configOption())
    .option('--topic <filter...>', 'what it may publish and subscribe to (default: <name>/#)')
    .option('--publish-only', 'it may not subscribe to anything')
    .option('--client-id <id>', 'the only client identifier it may use')
    .option('--silent-after <duration>', 'tell where it publishes nothing for longer, such as 24h')
    .option('--for <kind>', `print only the settings for ${kinds}`)
    .option('--json', 'print name, password and rights as JSON')
    .action(async (name: string, options: AddCommandOptions) => {
      const { addDevice } = await import('./cli/devices.ts');
      finish(await addDevice(name, options));
    });

  devices
    .command('list')
    .description('show when each was last seen, its address, messages and refused readings')
    .addOption(configOption())
    .option('--json', 'print the list as JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { listDevices } = await import('./cli/devices.ts');
      finish(await listDevices(options.config, options.json === true));
    });

  devices
    .command('remove')
    .description('take the account away; what is connected with it is disconnected')
    .argument('<name>')
    .addOption(configOption())
    .action(async (name: string, options: { config: string }) => {
      const { removeDevice } = await import('./cli/devices.ts');
      finish(await removeDevice(name, options.config));
    });

  devices
    .command('password')
    .description('give it another password, and print it once; what is connected with it is disconnected')
    .argument('<name>')
    .addOption(configOption())
    .option('--for <kind>', `print only the settings for ${kinds}`)
    .option('--json', 'print name, password and rights as JSON')
    .action(async (name: string, options: PasswordCommandOptions) => {
      const { changeDevicePassword } = await import('./cli/devices.ts');
      finish(await changeDevicePassword(name, options));
    });
}

function addCertificate(program: Command, finish: (code: ExitCode) => void): void {
  const names = new Option(
    '--name <name...>',
    'host names and addresses to put in besides those of this machine',
  );
  const certificate = program
    .command('certificate')
    .description('make or renew the certificate of listeners with TLS, and print what devices need')
    .addOption(configOption())
    .addOption(names)
    .action(async (options: CertificateCommandOptions) => {
      const { makeCertificate } = await import('./cli/certificate.ts');
      finish(await makeCertificate(options, true));
    });
  const renew = certificate
    .command('renew')
    .description('the same, but never make a new authority')
    .addOption(configOption())
    .addOption(names)
    .action(async () => {
      const { makeCertificate } = await import('./cli/certificate.ts');
      finish(await makeCertificate(renew.optsWithGlobals<CertificateCommandOptions>(), false));
    });
  const show = certificate
    .command('show')
    .description('print once more what devices need')
    .addOption(configOption())
    .action(async () => {
      const { showCertificate } = await import('./cli/certificate.ts');
      finish(await showCertificate(show.optsWithGlobals<CertificateCommandOptions>()));
    });
}

interface CertificateCommandOptions {
  config: string;
  name?: string[];
}

interface PasswordCommandOptions {
  config: string;
  for?: string;
  json?: true;
}

interface AddCommandOptions extends PasswordCommandOptions {
  topic?: string[];
  publishOnly?: true;
  clientId?: string;
}

interface TryCommandOptions {
  config: string;
  retain?: true;
  replay?: true;
  at?: string;
  every: string;
  json?: true;
}

async function main(): Promise<ExitCode> {
  let code: ExitCode = EXIT.done;
  const program = commandLine((result) => (code = result));
  try {
    await program.parseAsync();
    return code;
  } catch (error) {
    // Commander has printed what is wrong; asking for help or the version is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    process.stderr.write(
      `mqtt2exist: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT.internal;
  }
}

// Whoever read it has gone, as `head` does: there is nobody to write for.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.internal);
});
process.exitCode = await main();
