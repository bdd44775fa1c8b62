/**
 * The oracle: what the devices did = what stands in Exist, less what stood there before + what is visibly held.
 * Exact, for each publisher; lost and doubled apart, on the way in and on the way out.
 *
 * On the way in every press is told from every other by what it said, so one lost and one doubled do not cancel.
 * On the way out there are only sums: there the amounts of the measuring device are what cannot cancel.
 */
import path from 'node:path';
import Database from 'better-sqlite3';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import type { Status } from '../../src/core/status.ts';
import { UNITS_PER_ONE, formatUnits, toUnits, type Units } from '../../src/core/units.ts';
import type { SandboxState } from '../../src/sandbox/sandbox.ts';
import type { Device, Truth } from './devices.ts';

/** One publisher's balance; amounts as people read them. */
export interface BookLine {
  readonly attribute: string;
  readonly publisher: string;
  /** How the ledger is trusted; it depends on what became of the attribute's creation. */
  readonly mode: string;
  readonly presses: number;
  /** After all that time for it. */
  readonly unacknowledged: number;
  /** Of QoS 0: what was taken of it. */
  readonly did: string;
  /** At Exist, less what stood there before. */
  readonly stands: string;
  readonly held: string;
  /** Presses that were acknowledged and are on no record, and presses that are on it twice. */
  readonly lostIn: number;
  readonly doubledIn: number;
  /** What is missing at Exist and not held, and what is there too much. */
  readonly lostOut: string;
  readonly doubledOut: string;
  /** QoS 0. */
  readonly mayLose: boolean;
}

export interface Balance {
  readonly status: Status;
  readonly exist: SandboxState;
  readonly dataDir: string;
  /** What stood at Exist before the bridge, by attribute and day. */
  readonly before: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export function isBalanced(line: BookLine): boolean {
  const isNothing = (amount: string): boolean => amount === '0' || amount === '';
  const isRightOut = isNothing(line.lostOut) && isNothing(line.doubledOut);
  const isRightIn = line.doubledIn === 0 && (line.mayLose || line.lostIn === 0);
  return line.unacknowledged === 0 && isRightIn && isRightOut;
}

export function books(devices: readonly Device[], balance: Balance): BookLine[] {
  const db = new Database(path.join(balance.dataDir, DATABASE_FILE), { readonly: true });
  try {
    return devices.map((device) => bookOf(device, balance, db));
  } finally {
    db.close();
  }
}

function bookOf(device: Device, balance: Balance, db: Database.Database): BookLine {
  const { attribute, publisher, presses, truth } = device;
  const known = db
    .prepare<[string], { exist_name: string | null; mode: string; state: string }>(
      'SELECT exist_name, mode, state FROM attribute WHERE name = ?',
    )
    .get(attribute);
  const values = balance.exist.attributes.find(({ name }) => name === known?.exist_name)?.values ?? {};
  const { all, different } = takenIn(attribute, db);
  const mayLose = truth.kind === 'sum' && truth.mayLose;
  return {
    attribute,
    publisher,
    mode: known?.state === 'ready' ? known.mode : `${known?.mode ?? 'unknown'}, ${known?.state ?? ''}`,
    presses,
    unacknowledged: device.unacknowledged,
    ...(truth.kind === 'sum'
      ? // What was taken of messages that may be lost has to arrive like everything else.
        sumOut(attribute, mayLose ? all * UNITS_PER_ONE : truth.did, values, balance)
      : lastOut(attribute, truth, values, balance.status)),
    lostIn: presses - (mayLose ? all : different),
    doubledIn: mayLose ? Math.max(0, all - presses) : all - different,
    mayLose,
  };
}

/** Every message says something else, so what it said tells it from the others. Not with QoS 0: that leaves no mark. */
function takenIn(attribute: string, db: Database.Database): { all: number; different: number } {
  const taken = db
    .prepare<[string], { all: number; different: number }>(
      `SELECT count(*) AS "all", count(DISTINCT digest) AS different FROM reading
       WHERE topic = ? AND verdict = 'accepted'`,
    )
    .get(`campaign/${attribute}`);
  return taken ?? { all: 0, different: 0 };
}

type Out = Pick<BookLine, 'did' | 'stands' | 'held' | 'lostOut' | 'doubledOut'>;

function sumOut(
  attribute: string,
  did: number,
  values: Readonly<Record<string, number | string>>,
  { before, status }: Balance,
): Out {
  const bases = [...(before.get(attribute)?.values() ?? [])];
  const stands = Object.values(values).reduce<number>((sum, value) => sum + units(value), 0);
  const base = bases.reduce((sum, value) => sum + units(value), 0);
  const held = status.held
    .filter((item) => item.attribute === attribute)
    .reduce((sum, { amount }) => sum + units(amount), 0);
  const missing = did - (stands - base + held);
  return {
    did: formatUnits(did as Units),
    stands: formatUnits((stands - base) as Units),
    held: formatUnits(held as Units),
    lostOut: formatUnits(Math.max(0, missing) as Units),
    doubledOut: formatUnits(Math.max(0, -missing) as Units),
  };
}

function lastOut(
  attribute: string,
  { last, mayStand }: Truth & { kind: 'last' },
  values: Readonly<Record<string, number | string>>,
  { held }: Status,
): Out {
  const days = Object.entries(values);
  const shown = days.map(([, value]) => String(value)).join(', ');
  const isHeld = held.some((item) => item.attribute === attribute);
  const isRight =
    isHeld ||
    (last === 0 ? days.length === 0 : days.length > 0 && days.every(([day, value]) => mayStand(value, day)));
  return {
    did: String(last),
    stands: shown,
    held: isHeld ? 'held' : '0',
    lostOut: isRight ? '0' : `${last}, but ${shown}`,
    doubledOut: '',
  };
}

function units(value: number | string): number {
  return toUnits(Number(value)) ?? Number.NaN;
}
