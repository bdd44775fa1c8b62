/** Writes the configuration reference and the editors' JSON Schema from the schema in src/config/. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { format, resolveConfig } from 'prettier';

// Inside of node_modules, so that the packages it imports are found.
const outfile = path.resolve('node_modules/.cache/mqtt2exist/reference.mjs');
await build({
  entryPoints: ['src/config/reference.ts'],
  outfile,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
});
const { referenceText, schemaText } = await import(pathToFileURL(outfile).href);
for (const [file, text] of [
  ['docs/configuration.md', referenceText()],
  ['config/mqtt2exist.schema.json', schemaText()],
]) {
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}
