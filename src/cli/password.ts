import { createInterface } from 'node:readline';
import { hashPassword } from '../accounts/password-hash.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

const MOST_CHARACTERS = 1_000;

/** Reads a password from stdin and prints its hash. It is never an argument: those can be read by every user. */
export async function password(): Promise<ExitCode> {
  const { stdin } = process;
  const line = stdin.isTTY ? await hidden() : await firstLine();
  if (line === '') {
    process.stderr.write('mqtt2exist password: the password is empty; give it on stdin\n');
    return EXIT.usage;
  }
  if (line.length > MOST_CHARACTERS) {
    process.stderr.write(`mqtt2exist password: it has more than ${MOST_CHARACTERS} characters\n`);
    return EXIT.usage;
  }
  process.stdout.write(`${await hashPassword(line)}\n`);
  return EXIT.done;
}

/** Up to the end of the first line, which is no part of it. */
async function firstLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  for await (const line of lines) return line;
  return '';
}

/** Typed twice, and not shown. */
async function hidden(): Promise<string> {
  const once = await typed('Password: ');
  const twice = await typed('Once more: ');
  if (once === twice) return once;
  process.stderr.write('they differ\n');
  return '';
}

function typed(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  return new Promise((resolve) => {
    let text = '';
    const finish = (): void => {
      stdin.off('data', take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      resolve(text);
    };
    const take = (chunk: string): void => {
      for (const character of chunk) {
        if (character === '\r' || character === '\n' || character === '\u0004') {
          finish();
          return;
        }
        if (character === '\u0003') {
          finish();
          // Raw mode takes Ctrl-C from the terminal: it ends the command all the same.
          process.kill(process.pid, 'SIGINT');
          return;
        }
        text = character === '\u007f' || character === '\b' ? text.slice(0, -1) : text + character;
      }
    };
    stdin.on('data', take);
  });
}
