/** That the search for secrets can find one, wherever it stands and however it was written down. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { Places } from './search.ts';

const RUN = 'x7QfridgeDoorZ2w';
const SECRET = `"\\% é/+${RUN}&<'=\n`;

const bytes = (before: string): Buffer => Buffer.from(`${before}${SECRET}`);

function whereIs(content: string | Uint8Array): string[] {
  const places = new Places();
  places.add('there', content);
  return places.whereabouts({ secret: RUN });
}

describe('a secret is found', () => {
  test.each<[string, string | Uint8Array]>([
    ['as it is', SECRET],
    ['in JSON', JSON.stringify({ message: SECRET })],
    ['in JSON within JSON', JSON.stringify({ payload: JSON.stringify({ message: SECRET }) })],
    ['in a URL', encodeURIComponent(SECRET)],
    ['in a form', new URLSearchParams({ secret: SECRET }).toString()],
    [
      'in bytes that are no text',
      Buffer.concat([Buffer.from([0xff, 0x00, 0xfe]), bytes(''), Buffer.alloc(9)]),
    ],
    ['in hex', bytes('').toString('hex')],
    ['in hex with capitals', bytes('').toString('hex').toUpperCase()],
    // Basic authentication: the name before it decides where it begins in a group of four characters.
    ...['', 'a', 'ab', 'abc:'].flatMap((before): [string, string][] => [
      [`in base64 behind ${before.length} bytes`, bytes(before).toString('base64')],
      [`in a URL’s base64 behind ${before.length} bytes`, bytes(before).toString('base64url')],
    ]),
  ])('%s', (_, content) => {
    expect(whereIs(content)).toEqual(['secret: there']);
  });

  test('that came in several pieces', () => {
    const places = new Places();
    places.add('output', RUN.slice(0, 5));
    places.add('output', RUN.slice(5));
    expect(places.whereabouts({ secret: RUN })).toEqual(['secret: output']);
  });

  test('in whichever file of a folder, hidden ones and those further down included', () => {
    const folder = temporaryFolder();
    mkdirSync(path.join(folder, 'data', '.hidden'), { recursive: true });
    writeFileSync(path.join(folder, 'data', '.hidden', 'file'), SECRET);
    writeFileSync(path.join(folder, 'other'), 'nothing');
    const places = new Places();
    places.addFiles(folder);
    expect(places.whereabouts({ secret: RUN })).toEqual(['secret: data/.hidden/file']);
  });
});

test.each(['', RUN.slice(1), RUN.toLowerCase(), '***'])('%j is no secret', (content) => {
  expect(whereIs(content)).toEqual([]);
});
