/**
 * Hashes of passwords: made with scrypt, read also as Mosquitto writes them (`$7$`, `$6$`).
 */
import { createHash, pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

export type PasswordHash =
  | {
      readonly kind: 'scrypt';
      /** Logarithm of the cost N. */
      readonly ln: number;
      readonly r: number;
      readonly p: number;
      readonly salt: Buffer;
      readonly key: Buffer;
    }
  | { readonly kind: 'pbkdf2'; readonly iterations: number; readonly salt: Buffer; readonly key: Buffer }
  | { readonly kind: 'sha512'; readonly salt: Buffer; readonly key: Buffer };

export interface HashCost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

/**
 * For passwords that people make up: 16 MB and a quarter of a second on a Pi Zero 2 W, whose 512 MB hold
 * everything else too. It is paid once for each account and start of the daemon.
 */
export const CHOSEN_PASSWORD: HashCost = { ln: 14, r: 8, p: 1 };

/** For random ones of 120 bits, which nobody finds by trying: 4 MB, so that fifty devices at once are no burden. */
export const RANDOM_PASSWORD: HashCost = { ln: 12, r: 8, p: 1 };

/** What one verification may take: a hash copied from elsewhere must not stop a small machine. */
const MOST_MEMORY_BYTES = 64 * 1024 * 1024;
const MOST_PARALLEL = 16;
const MOST_ITERATIONS = 1_000_000;

const SALT_BYTES = 16;
const KEY_BYTES = 32;

const scryptAsync = promisify<
  Buffer,
  Buffer,
  number,
  { N: number; r: number; p: number; maxmem: number },
  Buffer
>(scrypt);
const pbkdf2Async = promisify(pbkdf2);

export type ReadHash = { readonly hash: PasswordHash } | { readonly problem: string; readonly hint: string };

/** Reads the text of a hash; a problem tells what is wrong with it, never what it says. */
export function readPasswordHash(text: string): ReadHash {
  const problem = (what: string, hint = MAKE_ONE): ReadHash => ({ problem: what, hint });
  if (/^[^$:]+:\$/.test(text)) return problem('begins with a name', 'write only what follows the colon');
  if (!text.startsWith('$')) return problem('is not a password hash');
  const [, scheme, ...rest] = text.split('$');
  switch (scheme) {
    case 'scrypt':
      return readScrypt(rest) ?? problem('is a damaged scrypt hash, or one that costs too much here');
    case '7':
      return readPbkdf2(rest) ?? problem('is a damaged hash of Mosquitto, or one that costs too much here');
    case '6':
      return readSha512(rest) ?? problem('is a damaged hash of Mosquitto');
    default:
      return problem('is a password hash of a kind that is not known here');
  }
}

const MAKE_ONE = 'make one with `mqtt2exist password`; Mosquitto’s ($7$…, $6$…) are read too';

/** `$scrypt$ln=14,r=8,p=1$salt$key`, base64 without padding (the PHC string format). */
function readScrypt([parameters = '', salt64 = '', key64 = '', ...more]: string[]): ReadHash | undefined {
  const [, ln, r, p] = (/^ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})$/.exec(parameters) ?? []).map(Number);
  const salt = bytesOf(salt64);
  const key = bytesOf(key64);
  if (ln === undefined || r === undefined || p === undefined || !salt || !key || more.length > 0)
    return undefined;
  const isSound = ln >= 1 && r >= 1 && p >= 1 && p <= MOST_PARALLEL && isLongEnough(salt, key);
  if (!isSound || memoryOf({ ln, r, p }) > MOST_MEMORY_BYTES) return undefined;
  return { hash: { kind: 'scrypt', ln, r, p, salt, key } };
}

/** `$7$101$salt$key`: PBKDF2 with SHA-512. */
function readPbkdf2([count = '', salt64 = '', key64 = '', ...more]: string[]): ReadHash | undefined {
  const iterations = /^\d{1,7}$/.test(count) ? Number(count) : 0;
  const salt = bytesOf(salt64);
  const key = bytesOf(key64);
  if (iterations < 1 || iterations > MOST_ITERATIONS || !salt || !key || more.length > 0) return undefined;
  return key.length === 64 && salt.length > 0
    ? { hash: { kind: 'pbkdf2', iterations, salt, key } }
    : undefined;
}

/** `$6$salt$key`: SHA-512 of password and salt. */
function readSha512([salt64 = '', key64 = '', ...more]: string[]): ReadHash | undefined {
  const salt = bytesOf(salt64);
  const key = bytesOf(key64);
  if (!salt || !key || more.length > 0) return undefined;
  return key.length === 64 && salt.length > 0 ? { hash: { kind: 'sha512', salt, key } } : undefined;
}

function isLongEnough(salt: Buffer, key: Buffer): boolean {
  return salt.length >= 8 && salt.length <= 64 && key.length >= 16 && key.length <= 64;
}

function bytesOf(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length > 200) return undefined;
  return Buffer.from(text, 'base64');
}

function memoryOf({ ln, r, p }: HashCost): number {
  return 128 * r * (2 ** ln + p);
}

/** Takes about as long whether or not the password is right. */
export async function verifyPassword(hash: PasswordHash, password: Uint8Array): Promise<boolean> {
  const given = Buffer.from(password.buffer, password.byteOffset, password.length);
  return timingSafeEqual(await keyOf(hash, given), hash.key);
}

async function keyOf(hash: PasswordHash, password: Buffer): Promise<Buffer> {
  switch (hash.kind) {
    case 'scrypt':
      return scryptKey(password, hash.salt, hash.key.length, hash);
    case 'pbkdf2':
      return pbkdf2Async(password, hash.salt, hash.iterations, hash.key.length, 'sha512');
    case 'sha512':
      return createHash('sha512').update(password).update(hash.salt).digest();
  }
}

function scryptKey(password: Buffer, salt: Buffer, length: number, cost: HashCost): Promise<Buffer> {
  const { ln, r, p } = cost;
  // Node wants some room above what the algorithm needs.
  return scryptAsync(password, salt, length, { N: 2 ** ln, r, p, maxmem: memoryOf(cost) + 1024 * 1024 });
}

/** The text of a new hash, with a salt of its own. */
export async function hashPassword(password: string, cost: HashCost = CHOSEN_PASSWORD): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await scryptKey(Buffer.from(password), salt, KEY_BYTES, cost);
  const [salt64, key64] = [salt, key].map((bytes) => bytes.toString('base64').replace(/=+$/, ''));
  return `$scrypt$ln=${cost.ln},r=${cost.r},p=${cost.p}$${salt64}$${key64}`;
}

/** 120 bits in letters and digits that survive every shell, URL and configuration file. */
export function randomPassword(): string {
  // Rejecting what does not fit keeps every character equally likely.
  let password = '';
  while (password.length < PASSWORD_LENGTH) {
    for (const byte of randomBytes(PASSWORD_LENGTH)) {
      const character = byte < LARGEST_FAIR ? ALPHABET[byte % ALPHABET.length] : undefined;
      if (password.length < PASSWORD_LENGTH) password += character ?? '';
    }
  }
  return password;
}

/** Without those that people confuse when they type them from a screen: 0 O o, 1 I l. */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';
const LARGEST_FAIR = 256 - (256 % ALPHABET.length);
/** log2(56) is 5.8 bits each. */
const PASSWORD_LENGTH = 21;
