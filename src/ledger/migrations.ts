/**
 * The schema, as numbered steps. A step that has shipped is never edited: a change is a new step at the end.
 *
 * Amounts are units of 1e-6 (`core/units.ts`), instants milliseconds since the epoch, days `YYYY-mm-dd` local.
 */

/** In the order of what would be missed most. */
export const TABLES = [
  'meta',
  'ledger',
  'attribute',
  'mapping_state',
  'undated',
  'identity',
  'call',
  'note',
  'reading',
  'broker_session',
  'broker_subscription',
  'broker_queue',
  'broker_retained',
  'broker_exchange',
  'broker_will',
  'source_session',
  'source_filter',
  'login',
] as const;

/** The step that made a table, where it was not the first. */
const MADE_BY: Partial<Record<(typeof TABLES)[number], number>> = {
  broker_session: 3,
  broker_subscription: 3,
  broker_queue: 3,
  broker_retained: 3,
  broker_exchange: 3,
  broker_will: 3,
  source_session: 4,
  source_filter: 4,
  login: 5,
};

/** The tables of a database whose schema is at `version`, at least those of the first step. */
export function tablesOf(version: number): (typeof TABLES)[number][] {
  return TABLES.filter((table) => (MADE_BY[table] ?? 1) <= Math.max(version, 1));
}

export const MIGRATIONS: readonly string[] = [
  `
  -- Single facts: the bridge's id, the delivery's account, counters.
  CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- What came in and what it did: the journal. 'effect' is a JSON list of contributions.
  CREATE TABLE reading (
    seq INTEGER PRIMARY KEY,
    received_ms INTEGER NOT NULL,
    topic TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'ignored', 'refused', 'duplicate', 'timer')),
    client TEXT,
    packet_id INTEGER,
    digest TEXT,
    effect TEXT,
    reason TEXT,
    sample TEXT
  ) STRICT;

  -- What a mapping remembers of a topic, and when it wants to be woken.
  CREATE TABLE mapping_state (
    mapping TEXT NOT NULL,
    topic TEXT NOT NULL,
    state TEXT NOT NULL,
    due_ms INTEGER,
    PRIMARY KEY (mapping, topic)
  ) STRICT, WITHOUT ROWID;

  -- Identities that messages carried ('id'), so that one counts once.
  CREATE TABLE identity (
    mapping TEXT NOT NULL,
    topic TEXT NOT NULL,
    identity TEXT NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (mapping, topic, identity)
  ) STRICT, WITHOUT ROWID;

  -- Readings taken before their time could be told.
  CREATE TABLE undated (
    seq INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL,
    monotonic_ms INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    retain INTEGER NOT NULL CHECK (retain IN (0, 1)),
    replay INTEGER NOT NULL CHECK (replay IN (0, 1)),
    client TEXT,
    packet_id INTEGER,
    digest TEXT
  ) STRICT;

  CREATE TABLE attribute (
    name TEXT PRIMARY KEY,
    exist_name TEXT,
    template TEXT,
    label TEXT NOT NULL,
    group_name TEXT NOT NULL,
    value_type TEXT NOT NULL,
    wanted_mode TEXT CHECK (wanted_mode IN ('strict', 'guarded', 'shared')),
    mode TEXT NOT NULL CHECK (mode IN ('strict', 'guarded', 'shared')),
    state TEXT NOT NULL CHECK (state IN ('wanted', 'missing', 'ready', 'held')),
    created_by_us INTEGER NOT NULL CHECK (created_by_us IN (0, 1)),
    reacquired INTEGER NOT NULL CHECK (reacquired IN (0, 1)),
    reason TEXT,
    retry_at_ms INTEGER,
    CHECK (state <> 'ready' OR exist_name IS NOT NULL)
  ) STRICT, WITHOUT ROWID;

  -- The ledger: one row per attribute and local day. See core/delivery/state.ts for every column's meaning.
  CREATE TABLE ledger (
    attribute TEXT NOT NULL,
    day TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('sum', 'value')),
    open_since_ms INTEGER,
    flight TEXT NOT NULL DEFAULT 'none' CHECK (flight IN ('none', 'sending', 'unknown')),
    flight_since_ms INTEGER,
    look_at_ms INTEGER,
    looks_left INTEGER NOT NULL DEFAULT 0,
    sent_at_ms INTEGER,
    held_state TEXT CHECK (held_state IN ('conflict', 'refused')),
    held_reason TEXT,
    held_since_ms INTEGER,
    closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
    -- sums
    total INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    base INTEGER,
    ours INTEGER NOT NULL DEFAULT 0,
    flight_amount INTEGER NOT NULL DEFAULT 0,
    doubt INTEGER NOT NULL DEFAULT 0,
    repair INTEGER NOT NULL DEFAULT 0 CHECK (repair IN (0, 1)),
    repairs INTEGER NOT NULL DEFAULT 0,
    seen_at_ms INTEGER,
    -- values; JSON, since they are numbers or text
    aggregate TEXT,
    wanted TEXT,
    delivered TEXT,
    flight_value TEXT,
    doubted INTEGER NOT NULL DEFAULT 0 CHECK (doubted IN (0, 1)),
    based INTEGER NOT NULL DEFAULT 0 CHECK (based IN (0, 1)),
    -- both; JSON
    seen TEXT,
    PRIMARY KEY (attribute, day),
    CHECK (flight <> 'none' OR flight_amount = 0),
    CHECK (kind = 'sum' OR wanted IS NOT NULL),
    CHECK ((held_state IS NULL) = (held_reason IS NULL))
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX ledger_open ON ledger (day) WHERE closed = 0;

  -- Every call to Exist: written before it leaves, finished when its outcome is known.
  CREATE TABLE call (
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    request TEXT NOT NULL,
    finished_ms INTEGER,
    outcome TEXT CHECK (outcome IN ('answered', 'not-sent', 'unknown', 'crashed')),
    detail TEXT
  ) STRICT;

  -- What the delivery had to say about an attribute or a day.
  CREATE TABLE note (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
    attribute TEXT,
    day TEXT,
    text TEXT NOT NULL
  ) STRICT;
  `,
  `
  -- When a mapping's memory of a topic last changed, to forget topics that fell silent for good.
  ALTER TABLE mapping_state ADD COLUMN changed_ms INTEGER;
  `,
  `
  -- Persistent sessions of the broker's clients. 'used_hour' counts hours that the broker has run.
  CREATE TABLE broker_session (
    client TEXT PRIMARY KEY,
    account TEXT,
    used_hour INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- 'options' is JSON: the QoS, and what MQTT 5 adds.
  CREATE TABLE broker_subscription (
    client TEXT NOT NULL,
    filter TEXT NOT NULL,
    options TEXT NOT NULL,
    PRIMARY KEY (client, filter)
  ) STRICT, WITHOUT ROWID;

  -- Messages that wait for a session's client, or for its acknowledgement.
  CREATE TABLE broker_queue (
    seq INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL CHECK (qos IN (1, 2)),
    packet_id INTEGER CHECK (packet_id BETWEEN 1 AND 65535),
    received INTEGER NOT NULL CHECK (received IN (0, 1))
  ) STRICT;
  CREATE INDEX broker_queue_client ON broker_queue (client);

  -- The last retained message of each topic.
  CREATE TABLE broker_retained (
    topic TEXT PRIMARY KEY,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL CHECK (qos IN (0, 1, 2))
  ) STRICT;

  -- QoS 2 messages of publishers that were put into queues and whose PUBREL has not come.
  CREATE TABLE broker_exchange (
    client TEXT NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (client, packet_id)
  ) STRICT, WITHOUT ROWID;

  -- Wills of connected clients.
  CREATE TABLE broker_will (
    client TEXT PRIMARY KEY,
    account TEXT,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL CHECK (qos IN (0, 1, 2)),
    retain INTEGER NOT NULL CHECK (retain IN (0, 1))
  ) STRICT;
  `,
  `
  -- Existing brokers that keep a session for us: which one, so that marks of redeliveries of an older one are void.
  CREATE TABLE source_session (
    source TEXT PRIMARY KEY,
    session TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- What may be subscribed there, with the QoS asked for; NULL: not yet answered.
  CREATE TABLE source_filter (
    source TEXT NOT NULL,
    filter TEXT NOT NULL,
    qos INTEGER CHECK (qos IN (0, 1, 2)),
    PRIMARY KEY (source, filter)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The login at Exist by OAuth2, at most one. See core/authorization.ts for every column's meaning.
  CREATE TABLE login (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    client_id TEXT NOT NULL,
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_ms INTEGER,
    renew_ms INTEGER,
    access_refused INTEGER NOT NULL CHECK (access_refused IN (0, 1)),
    refresh_refused INTEGER NOT NULL CHECK (refresh_refused IN (0, 1)),
    renewal TEXT NOT NULL CHECK (renewal IN ('none', 'under-way', 'unknown')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    retry_ms INTEGER,
    trouble TEXT
  ) STRICT;
  `,
  `
  -- What a day is to stand at until Exist has confirmed it, and what was taken as somebody else's value.
  ALTER TABLE ledger ADD COLUMN fixed_total INTEGER;
  ALTER TABLE ledger ADD COLUMN fixed_by TEXT
    CHECK (fixed_by IN ('user', 'mapping') AND fixed_total IS NOT NULL OR fixed_by IS NULL AND fixed_total IS NULL);
  ALTER TABLE ledger ADD COLUMN adopted TEXT;
  `,
];
