/**
 * Decides who may connect, and as whom.
 *
 * An attempt goes: known good or bad (remembered) → decided at once; else → queue → hashed once → remembered.
 * What fails is answered late, and later each time the same address fails. An unknown name is hashed too, with
 * the hash of some account, so that time does not tell which names there are.
 *
 * Only keyed digests of name and password are remembered, under a key that dies with the process.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { permissionsOf, type Permissions, type Rights } from '../core/rights.ts';
import { Failures } from './failures.ts';
import { HashingQueue } from './hashing-queue.ts';
import { readPasswordHash, verifyPassword, type PasswordHash } from './password-hash.ts';

export interface Account {
  readonly name: string;
  /** Text of its hash, as `readPasswordHash` accepts it. */
  readonly passwordHash: string;
  readonly rights: Rights;
  /** The only client identifier it may use, and nobody else; `undefined`: any that is not another account's. */
  readonly clientId: string | undefined;
}

export interface Attempt {
  readonly name: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly clientId: string;
  readonly address: string;
  /** The connection was closed: nobody waits for the answer. */
  readonly isGone: () => boolean;
}

/** `credentials`: no such name and password; `client_id`: not this account's; `busy`: try again later. */
export type Refusal = 'credentials' | 'client_id' | 'busy';

export type Admission =
  | {
      /** `undefined`: anonymous. */
      readonly account: string | undefined;
      readonly permissions: Permissions;
    }
  | { readonly refusal: Refusal };

export interface AuthenticatorClock {
  monotonicMs(): number;
  /** Gives back how to call it off. */
  after(delayMs: number, task: () => void): () => void;
}

interface Known {
  readonly account: Account;
  readonly hash: PasswordHash;
  /** Digest of the last attempt with the right password. */
  good: Buffer | undefined;
}

type Answer = boolean | 'busy';

/** A password that waits to be hashed, or is being hashed. */
interface Lookup {
  /** The device may come again while its first attempt still waits. */
  readonly attempts: Attempt[];
  readonly answer: Promise<Answer>;
}

/** Wrong passwords that are remembered: a misconfigured device comes back every few seconds. */
const MOST_BAD = 256;

const ANYTHING: Permissions = { mayPublish: () => true, maySubscribe: () => true };

export class Authenticator {
  private known = new Map<string, Known>();
  private ownerOfClientId = new Map<string, string>();
  private mayBeAnonymous = false;
  private readonly key = randomBytes(32);
  private readonly bad = new Set<string>();
  private readonly failures = new Failures();
  private readonly queue: HashingQueue;
  private readonly lookups = new Map<string, Lookup>();
  private readonly delayed = new Set<() => void>();
  private isStopped = false;

  constructor(private readonly clock: AuthenticatorClock) {
    this.queue = new HashingQueue(() => clock.monotonicMs());
  }

  /**
   * Takes these accounts from now on. Without any, `mayBeAnonymous` lets everybody in; with some, nobody comes in
   * without one.
   * @returns the names whose account is gone or another one now; what they hold must be taken from them
   */
  configure(accounts: readonly Account[], mayBeAnonymous: boolean): string[] {
    const before = this.known;
    this.known = new Map();
    this.ownerOfClientId = new Map();
    for (const account of accounts) {
      const read = readPasswordHash(account.passwordHash);
      // Hashes are checked where they are read; one that is not sound lets nobody in.
      if ('problem' in read) continue;
      const old = before.get(account.name);
      const isSame = old !== undefined && isEqual(old.account, account);
      this.known.set(account.name, isSame ? old : { account, hash: read.hash, good: undefined });
      if (account.clientId !== undefined) this.ownerOfClientId.set(account.clientId, account.name);
    }
    this.bad.clear();
    this.mayBeAnonymous = mayBeAnonymous && this.known.size === 0;
    return [...before].flatMap(([name, old]) => (this.known.get(name) === old ? [] : [name]));
  }

  /** Whether clients without an account are let in. */
  get isAnonymousAllowed(): boolean {
    return this.mayBeAnonymous;
  }

  has(account: string): boolean {
    return this.known.has(account);
  }

  async admit(attempt: Attempt): Promise<Admission> {
    const { name, password, address } = attempt;
    const arrivedMs = this.clock.monotonicMs();
    if (this.mayBeAnonymous) return { account: undefined, permissions: ANYTHING };
    if (this.failures.isFull(address) && !this.isKnownGood(name, password)) return { refusal: 'busy' };
    if (name === undefined || password === undefined) return this.fail(address, arrivedMs);
    const known = this.known.get(name);
    const isRight = await this.isRight(known, name, password, attempt);
    if (isRight === 'busy') return { refusal: 'busy' };
    if (!isRight || !known) return this.fail(address, arrivedMs);
    return this.decide(known.account, attempt.clientId);
  }

  /** Everybody who waits gets an answer. */
  stop(): void {
    this.isStopped = true;
    this.queue.clear();
    for (const answer of this.delayed) answer();
  }

  private decide(account: Account, clientId: string): Admission {
    const owner = this.ownerOfClientId.get(clientId);
    const isAnothers = owner !== undefined && owner !== account.name;
    if (isAnothers || (account.clientId !== undefined && account.clientId !== clientId)) {
      return { refusal: 'client_id' };
    }
    const permissions = permissionsOf(account.rights, { user: account.name, clientId });
    return { account: account.name, permissions };
  }

  /** `busy` as well where the account became another one meanwhile. */
  private isRight(
    known: Known | undefined,
    name: string,
    password: Uint8Array,
    attempt: Attempt,
  ): Answer | Promise<Answer> {
    const digest = this.digestOf(name, password);
    if (known?.good && timingSafeEqual(known.good, digest)) return true;
    const text = digest.toString('base64');
    if (this.bad.has(text)) return false;
    const running = this.lookups.get(text);
    if (running) {
      running.attempts.push(attempt);
      return running.answer;
    }
    const attempts = [attempt];
    const hash = known?.hash ?? this.decoyFor(name);
    const { address } = attempt;
    const work = this.queue.run({
      address,
      isGone: () => attempts.every(({ isGone }) => isGone()),
      hash: () => this.look(hash, password, address),
    });
    const answer = work
      .then((isRight) => {
        if (isRight === 'busy' || this.known.get(name) !== known) return 'busy';
        if (isRight && known) known.good = digest;
        else this.rememberBad(text);
        return isRight && known !== undefined;
      })
      .finally(() => this.lookups.delete(text));
    this.lookups.set(text, { attempts, answer });
    return answer;
  }

  private async look(hash: PasswordHash, password: Uint8Array, address: string): Promise<Answer> {
    // Others of its address may have failed while it waited.
    return this.failures.isFull(address) ? 'busy' : verifyPassword(hash, password);
  }

  private isKnownGood(name: string | undefined, password: Uint8Array | undefined): boolean {
    const good = name === undefined ? undefined : this.known.get(name)?.good;
    if (name === undefined || password === undefined || !good) return false;
    return timingSafeEqual(good, this.digestOf(name, password));
  }

  private async fail(address: string, arrivedMs: number): Promise<Admission> {
    const nowMs = this.clock.monotonicMs();
    // Counted from its arrival: how long the hashing took cannot be told from the answer.
    const delayMs = this.failures.add(address, nowMs) - (nowMs - arrivedMs);
    if (delayMs > 0 && !this.isStopped) await this.rest(delayMs);
    this.failures.release(address);
    return { refusal: 'credentials' };
  }

  private rest(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const answer = (): void => {
        cancel();
        this.delayed.delete(answer);
        resolve();
      };
      const cancel = this.clock.after(delayMs, answer);
      this.delayed.add(answer);
    });
  }

  private rememberBad(digest: string): void {
    this.bad.add(digest);
    const [oldest] = this.bad;
    if (this.bad.size > MOST_BAD && oldest !== undefined) this.bad.delete(oldest);
  }

  /** Always the same one for a name, so that unknown names are as slow and as different as known ones. */
  private decoyFor(name: string): PasswordHash {
    const hashes = Array.from(this.known.values(), ({ hash }) => hash);
    const index = this.digestOf(name, new Uint8Array()).readUInt32LE(0) % Math.max(1, hashes.length);
    return hashes[index] ?? DECOY;
  }

  private digestOf(name: string, password: Uint8Array): Buffer {
    // The length keeps `ab`+`c` apart from `a`+`bc`.
    return createHmac('sha256', this.key).update(`${name.length}:${name}`).update(password).digest();
  }
}

/** There is no account at all: whatever is said is wrong. */
const DECOY: PasswordHash = {
  kind: 'scrypt',
  ln: 12,
  r: 8,
  p: 1,
  salt: randomBytes(16),
  key: randomBytes(32),
};

function isEqual(one: Account, other: Account): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
