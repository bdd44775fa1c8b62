/**
 * What the recorder watches: a process that lives a bridge's life on the real ledger, and writes a line for all that
 * it would tell others (an acknowledgement to a device, a call to Exist) after the ledger said that it is stored.
 *
 * `workload.ts FOLDER LINES ROUNDS [control]`; as the control, SQLite is left at synchronous=NORMAL.
 */
import { openSync, writeSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { step, type Event } from '../../src/core/delivery/step.ts';
import type { Settings } from '../../src/core/delivery/state.ts';
import { DAY_MS, type EpochMs } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { connect, migrate } from '../../src/ledger/connection.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { MIGRATIONS } from '../../src/ledger/migrations.ts';
import { ExistModel, type Fault } from '../simulation/exist-model.ts';
import { Random } from '../simulation/random.ts';
import { CLIENT, DAY } from './facts.ts';

const SETTINGS: Settings = {
  settleMs: 1_000,
  callsPerHour: 100_000,
  flushEveryMs: 0,
  lingerMs: 0,
  batch: 35,
  timezone: 'UTC',
};
const OPENS = {
  name: 'opens',
  template: null,
  label: 'Opens',
  group: 'food',
  valueType: 'integer',
  wantedMode: null,
} as const;

const [folder = '', lines = '', rounds = '0', control] = process.argv.slice(2);
run(folder, openSync(lines, 'a'), Number(rounds));

/** As on a machine where nobody set it: better-sqlite3's WAL means synchronous=NORMAL. */
function leaveAtNormal(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its `this` below
  const pragma = Database.prototype.pragma;
  Database.prototype.pragma = function (this: Database.Database, source, options) {
    if (source === 'synchronous') return 2;
    return pragma.call(this, source === 'synchronous = FULL' ? 'synchronous = NORMAL' : source, options);
  };
}

function run(dataDir: string, told: number, count: number): void {
  if (control === 'control') leaveAtNormal();
  const tell = (line: string): void => void writeSync(told, `${line}\n`);
  const random = new Random(count);
  const exist = new ExistModel(random, true, new Map());
  let now = Date.parse('2026-11-24T08:00:00Z') as EpochMs;
  // An earlier version was here: the first start migrates.
  const old = connect(path.join(dataDir, DATABASE_FILE));
  migrate(old, MIGRATIONS.slice(0, 1));
  old.close();
  let ledger = Ledger.open(dataDir, { now });
  ledger.delivery.want([OPENS], now);
  let packetId = 0;

  const dispatch = (first: Event): void => {
    for (let event = first; ;) {
      const next = event;
      const decision = ledger.delivery.transact(
        (state) => step(state, next, { settings: SETTINGS, now, random: 0.5 }),
        now,
      );
      const key = ledger.delivery.key('opens', DAY);
      if (key?.kind === 'sum') tell(`booked ${key.ours / 1_000_000}`);
      if (!decision.call) return;
      const { id, request } = decision.call;
      ledger.delivery.depart(id);
      tell(`call ${id}`);
      const fault = random.chance(0.2) ? random.pick<Fault>(['lost', 'applied-lost', 'network']) : undefined;
      event = { type: 'answered', callId: id, outcome: exist.call(request, now, fault) };
    }
  };

  dispatch({ type: 'started' });
  for (let round = 0; round < count; round += 1) {
    now = (now + random.whole(100, 5_000)) as EpochMs;
    const { journal } = ledger;
    const group = random.whole(1, 6);
    journal.transact(() => {
      for (let n = 0; n < group; n += 1) {
        packetId += 1;
        journal.putState('opens', 'kitchen/fridge', { kind: 'rise', last: packetId as Units }, undefined);
        journal.add({
          receivedAt: now,
          topic: 'kitchen/fridge',
          verdict: 'accepted',
          delivery: { client: CLIENT, packetId, digest: 'd' },
          contributions: [{ kind: 'sum', attribute: 'opens', day: DAY, amount: 1_000_000 as Units }],
          reason: undefined,
          sample: undefined,
        });
      }
    });
    tell(`reading ${packetId}`);
    if (random.chance(0.4)) dispatch({ type: 'wake' });
    if (random.chance(0.1)) ledger.retention.prune(now);
    if (random.chance(0.05)) {
      ledger.close();
      ledger = Ledger.open(dataDir, { now });
      dispatch({ type: 'started' });
    }
  }
  if (now - Date.parse('2026-11-24T00:00:00Z') > DAY_MS)
    throw new Error('the workload is longer than its day');
  ledger.close();
}
