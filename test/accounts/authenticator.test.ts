import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Failures } from '../../src/accounts/failures.ts';
import { HashingQueue } from '../../src/accounts/hashing-queue.ts';
import { account, outcome, setup } from './setup.ts';

describe('who may come in', () => {
  test('with the right name and password, as that account and with its rights', async () => {
    const { admit } = setup([await account('fridge'), await account('oven')]);
    const admission = await admit('fridge', "fridge's password");
    expect(admission).toMatchObject({ account: 'fridge' });
    if ('refusal' in admission) throw new Error('refused');
    expect(admission.permissions.mayPublish('fridge/door')).toBe(true);
    expect(admission.permissions.mayPublish('oven/door')).toBe(false);
    expect(admission.permissions.maySubscribe('fridge/door')).toBe(false);
  });

  test.each([
    ['a wrong password', 'fridge', 'guess'],
    ['the password of another', 'fridge', "oven's password"],
    ['an unknown name', 'cellar', "fridge's password"],
    ['the name of something every object has', 'constructor', 'x'],
    ['no password', 'fridge', undefined],
    ['an empty password', 'fridge', ''],
    ['no name', undefined, undefined],
    ['name and password parted elsewhere', 'fridg', "efridge's password"],
  ])('not with %s', async (_what, name, password) => {
    const { admit, clock } = setup([await account('fridge'), await account('oven')], true);
    const admission = admit(name, password);
    await clock.held(1);
    clock.advance(10_000);
    expect(outcome(await admission)).toBe('credentials');
  });

  test('anybody while there are no accounts and anonymous clients are allowed', async () => {
    const { admit } = setup([], true);
    expect(outcome(await admit(undefined, undefined))).toBe('in as nobody');
    expect(outcome(await admit('whoever', 'x'))).toBe('in as nobody');
  });

  test('nobody while there are no accounts and anonymous clients are not allowed', async () => {
    const { admit, clock } = setup([], false);
    const admissions = [admit(undefined, undefined), admit('whoever', 'x')];
    await clock.held(2);
    clock.advance(10_000);
    for (const admission of admissions) expect(outcome(await admission)).toBe('credentials');
  });

  test('the very password of the account that stands in for an unknown name does not open anything', async () => {
    const { admit, clock } = setup([await account('fridge', { password: 'secret' })]);
    const admission = admit('nobody', 'secret');
    await clock.held(1);
    clock.advance(10_000);
    expect(outcome(await admission)).toBe('credentials');
  });
});

describe('a client identifier', () => {
  test("that is an account's own is for nobody else, and the account has no other", async () => {
    const accounts = [await account('fridge', { clientId: 'esp-1' }), await account('oven')];
    const { admit } = setup(accounts);
    const fridge = (clientId: string) => admit('fridge', "fridge's password", { clientId });
    const oven = (clientId: string) => admit('oven', "oven's password", { clientId });
    expect(outcome(await fridge('esp-1'))).toBe('in as fridge');
    expect(outcome(await fridge('esp-2'))).toBe('client_id');
    expect(outcome(await oven('esp-1'))).toBe('client_id');
    expect(outcome(await oven('esp-2'))).toBe('in as oven');
  });

  test('fills the rights, and one with wildcards fills none', async () => {
    const rights = { publish: ['home/%u/%c'], subscribe: [] };
    const { admit } = setup([await account('fridge', { rights })]);
    const permissions = async (clientId: string) => {
      const admission = await admit('fridge', "fridge's password", { clientId });
      if ('refusal' in admission) throw new Error('refused');
      return admission.permissions;
    };
    expect((await permissions('door')).mayPublish('home/fridge/door')).toBe(true);
    expect((await permissions('+')).mayPublish('home/fridge/door')).toBe(false);
  });
});

describe('a password is hashed once', () => {
  /** Hashing is seen by a thousand logins taking no longer than a few. */
  const SLOW =
    '$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$' + hash('sha256', 'x', 'base64').replace(/=+$/, '');

  test('where it is right: a reconnect storm costs no further hashing', async () => {
    const { admit } = setup([await account('fridge')]);
    await admit('fridge', "fridge's password");
    // Ahead of a queue that would refuse so many.
    const storm = await Promise.all(
      Array.from({ length: 1_000 }, () => admit('fridge', "fridge's password")),
    );
    expect(new Set(storm.map(outcome))).toEqual(new Set(['in as fridge']));
  });

  test('and in a storm before the first answer too', async () => {
    const { admit } = setup([await account('fridge')]);
    const storm = await Promise.all(
      Array.from({ length: 1_000 }, () => admit('fridge', "fridge's password")),
    );
    expect(new Set(storm.map(outcome))).toEqual(new Set(['in as fridge']));
  });

  test('and where it is wrong: a device with an old password does not burn the processor', async () => {
    const { admit, clock } = setup([await account('fridge', { passwordHash: SLOW })]);
    const attempt = async (count: number) => {
      const admission = admit('fridge', 'old');
      await clock.held(count);
      clock.advance(10_000);
      expect(outcome(await admission)).toBe('credentials');
    };
    await attempt(1);
    const before = process.cpuUsage().user;
    for (let count = 2; count <= 51; count += 1) await attempt(count);
    // Fifty of them hashed would take four seconds of the processor.
    expect(process.cpuUsage().user - before).toBeLessThan(1_000_000);
  });

  test("again where the account's password was changed: the old one is out at once", async () => {
    const { admit, authenticator, clock } = setup([await account('fridge')]);
    await admit('fridge', "fridge's password");
    const changed = await account('fridge', { password: 'new' });
    expect(authenticator.configure([changed], false)).toEqual(['fridge']);
    expect(outcome(await admit('fridge', 'new'))).toBe('in as fridge');
    const old = admit('fridge', "fridge's password");
    await clock.held(1);
    clock.advance(10_000);
    expect(outcome(await old)).toBe('credentials');
  });

  test('for nothing where the account was removed meanwhile', async () => {
    const { admit, authenticator } = setup([await account('fridge')]);
    const admission = admit('fridge', "fridge's password");
    authenticator.configure([], true);
    expect(outcome(await admission)).toBe('busy');
  });
});

describe('other accounts', () => {
  test('are told apart: what stays as it is keeps its connections', async () => {
    const [fridge, oven, cellar] = [await account('fridge'), await account('oven'), await account('cellar')];
    const { authenticator } = setup([fridge, oven, cellar]);
    const widened = { ...oven, rights: { publish: ['#'], subscribe: [] } };
    expect(authenticator.configure([{ ...fridge }, widened], false)).toEqual(['oven', 'cellar']);
    expect(authenticator.configure([fridge, widened], false)).toEqual([]);
  });

  test('with any of them, anonymous clients are out', async () => {
    const { authenticator } = setup([], true);
    expect(authenticator.isAnonymousAllowed).toBe(true);
    authenticator.configure([await account('fridge')], true);
    expect(authenticator.isAnonymousAllowed).toBe(false);
  });
});

describe('failures', () => {
  test('are answered later each time, up to a bound, by address', async () => {
    const { admit, clock } = setup([await account('fridge')]);
    for (let count = 1; count <= 5; count += 1) {
      const admission = admit('fridge', `guess ${count}`);
      await clock.held(count);
      clock.advance(clock.delays[count - 1] ?? 0);
      await admission;
    }
    expect(clock.delays).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
    const other = admit('fridge', 'guess', { address: '192.168.1.6' });
    await clock.held(6);
    clock.advance(10_000);
    await other;
    expect(clock.delays[5]).toBe(1_000);
  });

  test('are not answered a moment before', async () => {
    const { admit, clock } = setup([await account('fridge')]);
    let isAnswered = false;
    const admission = admit('fridge', 'guess').then(() => (isAnswered = true));
    await clock.held(1);
    clock.advance(999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAnswered).toBe(false);
    clock.advance(1);
    await admission;
  });

  test('do not hold up whoever has the right password at the same address', async () => {
    const { admit, clock } = setup([await account('fridge'), await account('oven')]);
    void admit('fridge', 'guess');
    await clock.held(1);
    expect(outcome(await admit('oven', "oven's password"))).toBe('in as oven');
  });

  test('in parallel gain nothing: past eight unanswered ones no password is looked at', async () => {
    const { admit, clock } = setup([await account('fridge'), await account('oven')]);
    await admit('oven', "oven's password");
    for (let count = 1; count <= 8; count += 1) void admit('fridge', `guess ${count}`);
    await clock.held(8);
    expect(outcome(await admit('fridge', "fridge's password"))).toBe('busy');
    // Who was in before comes in again, and other addresses do not notice.
    expect(outcome(await admit('oven', "oven's password"))).toBe('in as oven');
    const elsewhere = { address: '192.168.1.6' };
    expect(outcome(await admit('fridge', "fridge's password", elsewhere))).toBe('in as fridge');
    clock.advance(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(outcome(await admit('fridge', "fridge's password"))).toBe('in as fridge');
  });

  test('that wait are answered when the daemon stops', async () => {
    const { admit, clock, authenticator } = setup([await account('fridge')]);
    const admission = admit('fridge', 'guess');
    await clock.held(1);
    authenticator.stop();
    expect(outcome(await admission)).toBe('credentials');
  });

  test('are forgotten after ten minutes', () => {
    const failures = new Failures();
    expect(failures.add('10.0.0.1', 0)).toBe(1_000);
    expect(failures.add('10.0.0.1', 600_000)).toBe(2_000);
    expect(failures.add('10.0.0.1', 1_200_001)).toBe(1_000);
  });

  test('of a whole IPv6 network of one host count together, those of others do not', () => {
    const failures = new Failures();
    expect(failures.add('2001:db8:1:2::5', 0)).toBe(1_000);
    expect(failures.add('2001:db8:1:2:a:b:c:d', 0)).toBe(2_000);
    expect(failures.add('2001:db8:1:3::5', 0)).toBe(1_000);
    expect(failures.add('2001:db8::5', 0)).toBe(1_000);
    expect(failures.add('2001:db8:0:0:1::', 0)).toBe(2_000);
  });

  test('of any number of addresses take no more memory than those of a thousand', () => {
    const failures = new Failures();
    for (let n = 0; n <= 1_000; n += 1) {
      const address = `10.0.${n >> 8}.${n & 255}`;
      failures.add(address, 0);
      failures.release(address);
    }
    // The first was pushed out, the last was not.
    expect(failures.add('10.0.3.232', 0)).toBe(2_000);
    expect(failures.add('10.0.0.0', 0)).toBe(1_000);
  });

  test('whose answers are held back are pushed out by none: further guesses from there stay unanswered', () => {
    const failures = new Failures();
    for (let n = 0; n < 8; n += 1) failures.add('192.168.0.7', 0);
    for (let n = 0; n <= 1_000; n += 1) failures.add(`10.0.${n >> 8}.${n & 255}`, 0);
    expect(failures.isFull('192.168.0.7')).toBe(true);
  });
});

describe('the queue', () => {
  const work = (address = 'a', isGone = () => false) => {
    let settle: (isRight: boolean) => void = () => undefined;
    const hash = () => new Promise<boolean>((resolve) => (settle = resolve));
    return { address, isGone, hash, settle: (isRight: boolean) => settle(isRight) };
  };

  test('hashes one at a time, in order', async () => {
    const queue = new HashingQueue(() => 0);
    const [first, second] = [work(), work()];
    const answers = [queue.run(first), queue.run(second)];
    second.settle(false); // has no effect: it has not begun
    first.settle(true);
    expect(await answers[0]).toBe(true);
    second.settle(false);
    expect(await answers[1]).toBe(false);
  });

  test('is bounded, and no address has all of it', async () => {
    const queue = new HashingQueue(() => 0);
    void queue.run(work('a'));
    for (let n = 0; n < 32; n += 1) void queue.run(work('a'));
    expect(await queue.run(work('a'))).toBe('busy');
    for (let n = 0; n < 32; n += 1) void queue.run(work(`b${n}`));
    expect(await queue.run(work('c'))).toBe('busy');
    queue.clear();
  });

  test('passes over those that are gone and those that waited too long', async () => {
    let nowMs = 0;
    const queue = new HashingQueue(() => nowMs);
    const first = work();
    const answers = [queue.run(first), queue.run(work('a', () => true)), queue.run(work())];
    nowMs = 8_001;
    const last = work();
    answers.push(queue.run(last));
    first.settle(true);
    expect(await Promise.all(answers.slice(0, 3))).toEqual([true, 'busy', 'busy']);
    last.settle(true);
    expect(await answers[3]).toBe(true);
  });

  test('goes on after a hash that failed', async () => {
    const queue = new HashingQueue(() => 0);
    const broken = queue.run({ ...work(), hash: () => Promise.reject(new Error('no memory')) });
    const next = work();
    const answer = queue.run(next);
    await expect(broken).rejects.toThrow('no memory');
    next.settle(true);
    expect(await answer).toBe(true);
  });
});
