/** Power cuts at random instants of a recorded life, and what the next start finds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { Random } from '../simulation/random.ts';
import { Disk } from './disk.ts';
import { CLIENT, DAY } from './facts.ts';
import { record, type Operation } from './recording.ts';

export interface CrashStates {
  readonly states: number;
  readonly operations: number;
  readonly readings: number;
  /** States in which something that was told to others is gone. */
  readonly lost: number;
  /** States in which something counts twice. */
  readonly doubled: number;
  /** States that the start had to repair by setting the database aside, or could not open. */
  readonly damaged: number;
  /** Of the first failures: what is wrong. */
  readonly findings: readonly string[];
}

export interface Options {
  readonly states: number;
  readonly seed: number;
  /** synchronous=NORMAL: has to fail. */
  readonly control?: boolean;
  /** How long a life is recorded. */
  readonly rounds?: number;
}

/** What others were told before the power went. */
interface Told {
  reading: number;
  call: number;
  booked: number;
}

const MOST_FINDINGS = 5;

export function crashStates({ states, seed, control = false, rounds = 150 }: Options): CrashStates {
  const operations = record(rounds, control);
  const random = new Random(seed);
  const instants = Array.from({ length: states }, () => random.whole(1, operations.length)).sort(
    (a, b) => a - b,
  );
  const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-states-'));
  const disk = new Disk();
  const told: Told = { reading: 0, call: 0, booked: 0 };
  const found = { lost: 0, doubled: 0, damaged: 0 };
  const findings: string[] = [];
  let done = 0;
  try {
    for (const [index, instant] of instants.entries()) {
      for (; done < instant; done += 1) {
        const operation = operations[done];
        if (operation) disk.take(operation);
        if (operation) hear(told, operation);
      }
      const state = path.join(folder, String(index));
      // Of its own seed, so that one state can be made again.
      disk.crash(state, new Random(seed + index));
      const finding = examine(state, told);
      rmSync(state, { recursive: true, force: true });
      if (!finding) continue;
      found[finding.kind] += 1;
      if (findings.length < MOST_FINDINGS) {
        findings.push(
          `state ${index} (after ${instant} of ${operations.length} calls): ${finding.kind}: ${finding.text}`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { states, operations: operations.length, readings: told.reading, ...found, findings };
}

function hear(told: Told, operation: Operation): void {
  if (operation.kind !== 'told') return;
  const [what, value] = operation.line.split(' ');
  if (what === 'reading' || what === 'call' || what === 'booked')
    told[what] = Math.max(told[what], Number(value));
}

interface Finding {
  readonly kind: 'lost' | 'doubled' | 'damaged';
  readonly text: string;
}

function examine(folder: string, told: Told): Finding | undefined {
  const reports: string[] = [];
  let ledger: Ledger;
  try {
    ledger = Ledger.open(folder, { onDamage: ({ message }) => reports.push(message) });
  } catch (error) {
    return { kind: 'damaged', text: String(error) };
  }
  try {
    const [report] = reports;
    if (report !== undefined) return { kind: 'damaged', text: report };
    const marks = ledger.journal.recentDeliveries(1_000_000).filter(({ mark }) => mark.client === CLIENT);
    const ids = new Set(marks.map(({ mark }) => mark.packetId));
    const key = ledger.delivery.key('opens', DAY);
    const total = key?.kind === 'sum' ? key.total / 1_000_000 : 0;
    const booked = key?.kind === 'sum' ? key.ours / 1_000_000 : 0;
    const state = ledger.journal.state('opens', 'kitchen/fridge');
    const remembered = state?.kind === 'rise' ? state.last : 0;
    for (let id = 1; id <= told.reading; id += 1) {
      if (!ids.has(id))
        return { kind: 'lost', text: `reading ${id} of ${told.reading} that were acknowledged` };
    }
    if (ids.size !== marks.length)
      return { kind: 'doubled', text: `${marks.length} lines of ${ids.size} readings` };
    if (total < ids.size) return { kind: 'lost', text: `${ids.size} readings, ${total} counted` };
    if (total > ids.size) return { kind: 'doubled', text: `${ids.size} readings, ${total} counted` };
    if (remembered !== ids.size)
      return { kind: 'lost', text: `${ids.size} readings, state of ${remembered}` };
    const { lastCallId } = ledger.delivery.account();
    if (lastCallId < told.call)
      return { kind: 'doubled', text: `call ${told.call} left, ${lastCallId} is known` };
    if (booked < told.booked) return { kind: 'doubled', text: `${told.booked} were booked, ${booked} are` };
  } finally {
    ledger.close();
  }
  const db = new Database(path.join(folder, DATABASE_FILE), { readonly: true });
  try {
    const integrity = db.pragma('integrity_check', { simple: true });
    return integrity === 'ok' ? undefined : { kind: 'damaged', text: String(integrity) };
  } finally {
    db.close();
  }
}
