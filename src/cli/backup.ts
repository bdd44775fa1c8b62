/**
 * One file that holds all: made beside the running daemon, put back while it is down.
 */
import { backup as makeBackup, restore as putBack, type BackupInfo } from '../ledger/backup.ts';
import { DatabaseError } from '../ledger/database.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export function backup(toFile: string, config: string): ExitCode {
  return withDataDir(config, 'backup', (dataDir) => {
    const info = makeBackup(dataDir, toFile);
    process.stdout.write(`${toFile}: ${info.bytes} bytes\n${contentsOf(info)}`);
  });
}

export function restore(fromFile: string, config: string, isDryRun: boolean): ExitCode {
  return withDataDir(config, 'restore', (dataDir, needsLogin) => {
    const { info, held, setAside } = putBack(fromFile, dataDir, { isDryRun });
    process.stdout.write(contentsOf(info));
    if (isDryRun) {
      process.stdout.write('dry run: nothing was changed\n');
      return;
    }
    process.stdout.write(`restored${setAside === null ? '' : `; what was there is in ${setAside}`}\n`);
    process.stdout.write(
      `${JSON.stringify(held)} held: what was open then may have been sent since; see mqtt2exist held\n`,
    );
    if (needsLogin)
      process.stdout.write('a backup has no login in it: log in again with `mqtt2exist login`\n');
  });
}

function contentsOf({ madeAt, firstDay, lastDay, attributes, readings, open }: BackupInfo): string {
  const names = JSON.stringify(attributes);
  const days = firstDay === null ? 'no days' : `days ${firstDay} to ${lastDay ?? firstDay}`;
  return `  made ${madeAt === null ? 'at an unknown time' : new Date(madeAt).toISOString()}, ${days}, ${readings} readings, ${open.length} open amounts, attributes ${names}\n`;
}

function withDataDir(
  file: string,
  command: string,
  work: (dataDir: string, needsLogin: boolean) => void,
): ExitCode {
  const loaded = load(file);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    work(loaded.config.dataDir, loaded.config.exist.client !== undefined);
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    process.stderr.write(`mqtt2exist ${command}: ${error.message}; ${error.hint}\n`);
    return EXIT.database;
  }
}
