import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hashPassword,
  randomPassword,
  RANDOM_PASSWORD,
  readPasswordHash,
  verifyPassword,
} from '../../src/accounts/password-hash.ts';
import { temporaryFolder } from '../support/folder.ts';

const CHEAP = { ln: 4, r: 8, p: 1 };

async function isRight(hash: string, password: string): Promise<boolean> {
  const read = readPasswordHash(hash);
  if ('problem' in read) throw new Error(read.problem);
  return verifyPassword(read.hash, Buffer.from(password));
}

test('a hash made here knows its password and no other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string(), async (password, other) => {
      const hash = await hashPassword(password, CHEAP);
      expect(await isRight(hash, password)).toBe(true);
      if (other !== password) expect(await isRight(hash, other)).toBe(false);
    }),
    { numRuns: 30 },
  );
});

test('a hash is in the PHC form, of scrypt, with a salt of its own', async () => {
  const hash = await hashPassword('secret');
  expect(hash).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await hashPassword('secret', CHEAP)).not.toBe(await hashPassword('secret', CHEAP));
  expect(await hashPassword('secret', RANDOM_PASSWORD)).toContain('$ln=12,r=8,p=1$');
});

test.each([
  [
    'PBKDF2',
    '$7$101$STWfOerQTtRcEbyl$npZ4CZxUB3t7AuU57irU10QKfFC32XHmv2znftnS8yB7fFvjvKgmNTWd9tTfiBx8ulN2rMLiUPKuY7H6A7KO3w==',
  ],
  [
    'SHA-512',
    '$6$ewP/VtSgLQz3ARWs$I/dSywk20UMc0QtaEbglCiJdJdhOPNt3W78Wt/nNkURABUuSWb+SmO8jbNB5NmLxSJxTFTtKzKECpfjXNSG+OQ==',
  ],
])('the hash with %s that Mosquitto wrote is read', async (_name, hash) => {
  expect(await isRight(hash, 'geheim')).toBe(true);
  expect(await isRight(hash, 'Geheim')).toBe(false);
});

test('the file that mosquitto_passwd writes here and now is read', async ({ skip }) => {
  if (spawnSync('mosquitto_passwd').error) skip('mosquitto_passwd is not installed');
  const file = path.join(temporaryFolder(), 'passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', file, 'fridge', 'a pässword']);
  const [, hash = ''] = readFileSync(file, 'utf8').trim().split(/:(.*)/);
  expect(await isRight(hash, 'a pässword')).toBe(true);
});

describe('what is not a hash is a problem with a hint', () => {
  const salt = 'AAAAAAAAAAAAAAAAAAAAAA';
  const key = 'A'.repeat(43);
  test.each([
    ['', 'is not a password hash'],
    ['secret', 'is not a password hash'],
    ['fridge:$7$101$a$b', 'begins with a name'],
    ['$argon2id$v=19$m=65536$a$b', 'is a password hash of a kind that is not known here'],
    ['$scrypt$', 'is a damaged scrypt hash'],
    [`$scrypt$ln=14,r=8$${salt}$${key}`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=14,r=8,p=1$${salt}`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=14,r=8,p=1$${salt}$${key}$x`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=14,r=8,p=1$${salt}$!!!`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=14,r=8,p=1$AA$${key}`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=30,r=8,p=1$${salt}$${key}`, 'one that costs too much'],
    [`$scrypt$ln=0,r=8,p=1$${salt}$${key}`, 'is a damaged scrypt hash'],
    [`$scrypt$ln=10,r=8,p=99$${salt}$${key}`, 'one that costs too much'],
    ['$7$101$STWfOerQTtRcEbyl$npZ4', 'is a damaged hash of Mosquitto'],
    [`$7$9999999$STWfOerQTtRcEbyl$${'A'.repeat(86)}==`, 'one that costs too much'],
    [`$7$0$STWfOerQTtRcEbyl$${'A'.repeat(86)}==`, 'is a damaged hash of Mosquitto'],
    ['$6$ewP/VtSgLQz3ARWs', 'is a damaged hash of Mosquitto'],
  ])('%j', (text, problem) => {
    expect(readPasswordHash(text)).toMatchObject({
      problem: expect.stringContaining(problem),
      hint: expect.stringMatching(/.+/),
    });
  });

  test('whatever the text is, and the text is never repeated', () => {
    const scheme = fc.constantFrom('', '$scrypt$', '$7$', '$6$', '$scrypt$ln=1,r=1,p=1$', '$7$101$');
    fc.assert(
      fc.property(scheme, fc.string({ minLength: 8 }), (begin, rest) => {
        const read = readPasswordHash(begin + rest);
        if ('problem' in read) expect(read.problem).not.toContain(rest);
      }),
    );
  });
});

test('random passwords are 21 characters that need no quoting, each a new one', () => {
  const passwords = Array.from({ length: 200 }, randomPassword);
  for (const password of passwords) expect(password).toMatch(/^[A-HJ-NP-Za-kmnp-z2-9]{21}$/);
  expect(new Set(passwords).size).toBe(200);
  expect(new Set(passwords.join('')).size).toBe(56);
});
