/**
 * A local Exist of its own, for trying things out.
 */
import { Sandbox } from '../sandbox/sandbox.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export async function sandbox(options: { readonly port: number; readonly file: string }): Promise<ExitCode> {
  const server = new Sandbox({ ...options, log: (line) => process.stdout.write(`${line}\n`) });
  let url: string;
  try {
    ({ url } = await server.start());
  } catch (error) {
    process.stderr.write(`mqtt2exist sandbox: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.unavailable;
  }
  process.stdout.write(`a local Exist listens on ${url}; its values are kept in ${options.file}\n`);
  process.stdout.write(`in the configuration write  exist: { url: "${url}", token: anything }\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await server.stop();
  return EXIT.done;
}
