/** `mqtt2exist login` as a person does it: opens the address that is printed, allows it, and brings back the answer. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'undici';
import { COMMAND } from './daemon.ts';

/** The section `exist` of a configuration, in place of a token. */
export const CLIENT_SECRET = 'x7QclientSecretZ2w';
export const CLIENT = `client_id: bridge, client_secret: ${CLIENT_SECRET}`;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Decides on the page at `address`; gives back where the browser is sent. */
export async function decide(address: string, decision: 'allow' | 'deny' = 'allow'): Promise<string> {
  const url = new URL(address);
  url.searchParams.set('decision', decision);
  const { headers, body } = await request(url);
  await body.dump();
  return String(headers['location']);
}

/** A login under way: its command runs, and has printed the address to open. */
export class LoginCommand {
  private constructor(
    readonly address: string,
    private readonly child: ReturnType<typeof spawn>,
    private readonly output: { stdout: string; stderr: string },
  ) {}

  static async start(config: string, ...more: readonly string[]): Promise<LoginCommand> {
    const args = [COMMAND, 'login', '-c', config, ...more];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    const address = new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => {
        output.stdout += chunk.toString();
        const [found] = /http\S+\/authorize\?\S+(?=\n)/.exec(output.stdout) ?? [];
        if (found !== undefined) resolve(found);
      });
      child.on('close', () => reject(new Error(`it ended: ${output.stdout}${output.stderr}`)));
    });
    child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
    return new LoginCommand(await address, child, output);
  }

  /** What it has said on stderr so far. */
  get stderr(): string {
    return this.output.stderr;
  }

  paste(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Resolves when it has ended. */
  async end(): Promise<Ran> {
    if (this.child.exitCode === null) await once(this.child, 'close');
    return { code: this.child.exitCode, ...this.output };
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** From the first word to the last. */
export async function logIn(config: string): Promise<Ran> {
  const command = await LoginCommand.start(config, '--listen', '0');
  command.paste(await decide(command.address));
  return command.end();
}
