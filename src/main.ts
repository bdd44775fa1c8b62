/**
 * The command `mqtt2exist`. Each subcommand is a file of `cli/`, loaded only when it runs.
 */
import { Command, CommanderError, Option } from 'commander';
import { EXIT, type ExitCode } from './cli/exit-codes.ts';
import { VERSION } from './version.ts';

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

process.exitCode = await main();
