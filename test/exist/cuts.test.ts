import { afterEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer } from '../../src/core/delivery/request.ts';
import { addDays, type LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { DeliveryCalls } from '../../src/exist/delivery-calls.ts';
import { ExistClient } from '../../src/exist/exist-client.ts';
import { NOW, setupWithFridge, TODAY, valueOf, type Setup } from '../sandbox/setup.ts';
import { CuttingProxy, type ExchangeSeen, type Fault, type Spoil } from '../support/cutting-proxy.ts';

const proxies: CuttingProxy[] = [];

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
});

interface Case {
  readonly spoil: Spoil;
  /** Each case has a day of its own, so that what was applied can be told when everything is over. */
  readonly day: LocalDate;
  readonly outcome: Outcome<Answer>;
}

const PATIENT_MS = 10_000;
/** Where only giving up ends an exchange. */
const IMPATIENT_MS = 300;

/** Adds 1 to `fridge_opens` on `day` through a proxy that spoils it. */
async function incrementThrough(url: string, spoil: Spoil | undefined, day: LocalDate) {
  const proxy = await CuttingProxy.start(url);
  proxies.push(proxy);
  if (spoil) proxy.spoil(spoil);
  const waits = spoil?.fault === 'black-hole' || spoil?.fault === 'late';
  const client = new ExistClient({
    url: proxy.url,
    token: () => 'token',
    timeoutMs: waits ? IMPATIENT_MS : PATIENT_MS,
    userAgent: 'test',
    now: () => NOW,
  });
  const items = [{ attribute: 'fridge', name: 'fridge_opens', day, value: 1_000_000 as Units }];
  const outcome = await new DeliveryCalls(client).call({ kind: 'increment', items });
  return { proxy, outcome };
}

/** What an unspoilt exchange looks like on the wire, byte by byte. */
async function wholeExchange(url: string): Promise<ExchangeSeen> {
  const { proxy, outcome } = await incrementThrough(url, undefined, addDays(TODAY, 1));
  const [seen] = proxy.seen;
  if (outcome.kind !== 'answered' || !seen) throw new Error('the unspoilt exchange went wrong');
  return seen;
}

interface Place {
  readonly side: Spoil['side'];
  readonly at: number;
}

function everyPlace({ request, answer }: ExchangeSeen): Place[] {
  const places = (side: Spoil['side'], length: number): Place[] =>
    Array.from({ length: length + 1 }, (_, at) => ({ side, at }));
  return [...places('request', request.length), ...places('answer', answer.length)];
}

/** Before and after each byte where one part of the message gives way to the next, and the middle of every part. */
function placesOfInterest({ request, answer }: ExchangeSeen): Place[] {
  return (['request', 'answer'] as const).flatMap((side) => {
    const bytes = side === 'request' ? request : answer;
    const lineEnd = bytes.indexOf('\r\n') + 2;
    const headEnd = bytes.indexOf('\r\n\r\n') + 4;
    const seams = [0, lineEnd, headEnd, bytes.length];
    const middles = [lineEnd / 2, (lineEnd + headEnd) / 2, (headEnd + bytes.length) / 2].map(Math.floor);
    const all = [...seams.flatMap((seam) => [seam - 1, seam, seam + 1]), headEnd - 2, ...middles];
    const inside = all.filter((at) => at >= 0 && at <= bytes.length);
    return [...new Set(inside)].sort((a, b) => a - b).map((at) => ({ side, at }));
  });
}

/** All cases, many at a time; resolves when the sandbox has seen the end of every connection. */
async function spoilAt(places: readonly Place[], fault: Fault, { sandbox, url }: Setup): Promise<Case[]> {
  const spoils = places.map((place): Spoil => ({ ...place, fault, delayMs: 20 }));
  const cases: Case[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < spoils.length; index = next++) {
      const spoil = spoils[index];
      if (!spoil) return;
      const day = addDays(TODAY, -index);
      const { proxy, outcome } = await incrementThrough(url, spoil, day);
      await proxy.finished();
      expect(proxy.pending, 'every exchange is spoilt').toBe(0);
      cases.push({ spoil, day, outcome });
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  await sandbox.stop();
  return cases;
}

/** What the outcome says and what the sandbox did, where they contradict each other. */
function lies(cases: readonly Case[], { sandbox }: Setup): string[] {
  return cases.flatMap(({ spoil, day, outcome }) => {
    const stands = valueOf(sandbox, 'fridge_opens', day);
    const says = saysApplied(outcome, day);
    if (says === undefined || says === (stands === 1)) return [];
    const { side, at, fault } = spoil;
    return [
      `${fault} at byte ${at} of the ${side}: ${JSON.stringify(outcome)}, but ${String(stands)} stands`,
    ];
  });
}

/** Whether the item counts as applied; `undefined` where nobody can tell. */
function saysApplied(outcome: Outcome<Answer>, day: LocalDate): boolean | undefined {
  if (outcome.kind === 'unknown') return undefined;
  if (outcome.kind === 'not-sent' || outcome.body.kind !== 'written') return false;
  const { success, failed } = outcome.body;
  if (success.some((item) => item.name === 'fridge_opens' && (item.day ?? day) === day)) return true;
  return failed.length > 0 ? false : undefined;
}

function asNotSent(outcome: Outcome<Answer>): Outcome<Answer> {
  if (outcome.kind !== 'unknown') return outcome;
  return { kind: 'not-sent', cause: 'network', message: outcome.message };
}

function counts(cases: readonly Case[], { sandbox }: Setup) {
  const applied = cases.filter(({ day }) => valueOf(sandbox, 'fridge_opens', day) === 1);
  const answered = cases.filter(({ outcome }) => outcome.kind === 'answered');
  const notSent = cases.filter(({ outcome }) => outcome.kind === 'not-sent');
  return { applied: applied.length, answered: answered.length, notSent: notSent.length };
}

describe('what the client says of an increment is never wrong', () => {
  test.each<Fault>(['cut', 'reset'])('%s at every byte of the request and of the answer', async (fault) => {
    const all = await setupWithFridge();
    const whole = await wholeExchange(all.url);
    const cases = await spoilAt(everyPlace(whole), fault, all);
    expect(lies(cases, all)).toEqual([]);
    const { applied, answered, notSent } = counts(cases, all);
    // Both kinds of truth did occur, and no place after the connection stood was called "not sent".
    expect(applied).toBeGreaterThanOrEqual(whole.answer.length + 1);
    expect(applied).toBeLessThanOrEqual(whole.answer.length + 2);
    expect(answered).toBeLessThanOrEqual(1);
    expect(notSent).toBe(0);
    // The control: a client that takes a broken connection for "not sent" would lie here.
    const gullible = cases.map((one): Case => ({ ...one, outcome: asNotSent(one.outcome) }));
    expect(lies(gullible, all).length).toBeGreaterThanOrEqual(whole.answer.length);
  });

  test.each<Fault>(['black-hole', 'late'])('%s at every seam', async (fault) => {
    const all = await setupWithFridge();
    const cases = await spoilAt(placesOfInterest(await wholeExchange(all.url)), fault, all);
    expect(lies(cases, all)).toEqual([]);
    const { applied, notSent } = counts(cases, all);
    expect(notSent).toBe(0);
    // Late requests are all applied in the end, though nobody was there any more to be told.
    if (fault === 'late') expect(applied).toBe(cases.length);
    else expect(applied).toBeLessThan(cases.length);
  });

  test.each<Fault>(['delay', 'drip'])(
    '%s at every seam, and slowness alone loses no answer',
    async (fault) => {
      const all = await setupWithFridge();
      const cases = await spoilAt(placesOfInterest(await wholeExchange(all.url)), fault, all);
      expect(lies(cases, all)).toEqual([]);
      expect(counts(cases, all)).toEqual({ applied: cases.length, answered: cases.length, notSent: 0 });
    },
  );
});
