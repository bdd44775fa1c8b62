/** Runs a TypeScript program of `test/` on its own: `node test/run.mjs FILE [ARGUMENT…]`. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const [file = '', ...args] = process.argv.slice(2);
const folder = path.resolve('node_modules/.cache/mqtt2exist');
const outfile = path.join(folder, `${path.basename(file, '.ts')}-${process.pid}.mjs`);
await mkdir(folder, { recursive: true });
await build({
  entryPoints: [file],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'warning',
});
process.argv = [process.argv[0] ?? 'node', file, ...args];
process.on('exit', () => void rm(outfile, { force: true }));
await import(pathToFileURL(outfile).href);
await rm(outfile, { force: true });
