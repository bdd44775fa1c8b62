/**
 * The `openssl` command, which signs certificates: Node itself cannot.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const TIMEOUT_MS = 60_000;

/** It is not there, or does not do what it was told. */
export class OpensslError extends Error {
  override readonly name = 'OpensslError';
}

export async function openssl(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<void> {
  try {
    await execute('openssl', args, { timeout: TIMEOUT_MS, env: { ...env, LC_ALL: 'C' } });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      const message = 'the command openssl is not there; install it: sudo apt install openssl';
      throw new OpensslError(message, { cause: error });
    }
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new OpensslError(`openssl ${args[0] ?? ''} failed: ${words.split('\n').slice(-3).join(' ')}`, {
      cause: error,
    });
  }
}
