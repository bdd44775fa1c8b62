/**
 * The composition root: makes the parts, introduces them to each other, starts and stops them.
 *
 * A reading's way: broker → intake → ledger → flusher → Exist; `delivery.ts` has its last part.
 */
import { Accounts } from './accounts/accounts.ts';
import { activityFileOf } from './accounts/activity.ts';
import { Broker } from './broker/broker.ts';
import { BrokerFront, urlOf } from './broker-front.ts';
import type { Config } from './config/load.ts';
import { Connections } from './connections.ts';
import { readPayload, type Payload } from './core/payload.ts';
import type { Status } from './core/status.ts';
import type { EpochMs } from './core/time.ts';
import { isOwnTopic } from './core/topic.ts';
import { Delivery } from './delivery.ts';
import { Timekeeper, type TimekeeperParts } from './host/timekeeper.ts';
import { Intake } from './intake/intake.ts';
import { Sightings } from './intake/sightings.ts';
import { deviceKey, Silence, type Watch } from './intake/silence.ts';
import { DatabaseError } from './ledger/database.ts';
import { Ledger } from './ledger/ledger.ts';
import { Lookout } from './lookout.ts';
import { Narrator, type Log } from './narrator.ts';
import { metricsOf } from './metrics.ts';
import { overview } from './overview.ts';
import { Playground } from './playground.ts';
import {
  accountSettings,
  deviceWatches,
  mappingWatches,
  restartKeys,
  rulesOf,
  settingsOf,
  wantedAttributes,
} from './settings.ts';
import { Upkeep } from './upkeep.ts';
import { Web } from './web/web.ts';

export interface BridgeParts {
  readonly version: string;
  readonly system: TimekeeperParts['system'];
  readonly clockEvidence: TimekeeperParts['evidence'];
  readonly bootId: string;
  /** Where `mqtt2exist devices` keeps its accounts. */
  readonly deviceFile: string;
  readonly log: Log;
  /** Whatever is logged from now on, this is cut out of it. */
  readonly hide: (secret: string) => void;
  /** The daemon cannot go on; a supervisor should start it anew. */
  readonly onFatal: (error: unknown) => void;
}

export class Bridge {
  private readonly log: Log;
  private readonly narrator: Narrator;
  private readonly time: Timekeeper;
  private readonly ledger: Ledger;
  private readonly intake: Intake<Payload>;
  private readonly delivery: Delivery;
  private readonly sightings: Sightings;
  private readonly lookout: Lookout;
  private readonly silence: Silence;
  private mappingWatches: readonly Watch[];
  private readonly accounts: Accounts;
  private readonly broker: Broker | undefined;
  private readonly front: BrokerFront | undefined;
  private readonly connections: Connections;
  private readonly playground: Playground;
  private readonly upkeep: Upkeep;
  private readonly web: Web | undefined;
  /** By the monotonic clock. */
  private readyMs = 0;
  /** What was wrong with the database at the start. */
  private readonly damage: string[] = [];
  private isStopping = false;

  /**
   * Opens the database; everything else waits for `start()`.
   * @throws DatabaseError
   */
  constructor(
    private config: Config,
    private readonly parts: BridgeParts,
  ) {
    const { log, bootId } = parts;
    this.log = log;
    this.time = new Timekeeper({
      system: parts.system,
      evidence: parts.clockEvidence,
      askExist: () => this.delivery.askTime(),
      onCorrected: (byMs, from) => {
        this.intake.timeCorrected(byMs, from);
        this.delivery.timeCorrected(byMs);
      },
      onKnown: () => {
        this.delivery.timeKnown();
        this.intake.timeKnown();
      },
      log,
    });
    const clock = this.time;
    this.narrator = new Narrator(log, () => clock.monotonicMs());
    this.ledger = Ledger.open(config.dataDir, {
      onDamage: ({ message }) => {
        log('error', message);
        this.damage.push(message);
      },
    });
    this.ledger.delivery.want(wantedAttributes(config), clock.now());
    this.sightings = new Sightings(() => clock.monotonicMs());
    const { journal } = this.ledger;
    const known = (): EpochMs | undefined => (clock.problem === undefined ? clock.now() : undefined);
    this.silence = new Silence({
      watches: () => [...this.mappingWatches, ...deviceWatches(this.accounts.listed)],
      now: known,
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, task) => clock.after(delayMs, task),
      load: () => journal.lastHeard(),
      save: (heard) => {
        try {
          journal.saveLastHeard(heard);
        } catch (error) {
          // Not worth ending for: a full disk, say.
          log('debug', 'what was heard of sensors could not be saved', { error: String(error) });
        }
      },
      log,
    });
    this.mappingWatches = mappingWatches(config);
    this.intake = new Intake(
      {
        journal: this.ledger.journal,
        clock,
        bootId,
        zone: () => this.zone(),
        parse: (payload) => readPayload(payload),
        onContributions: () => {
          this.delivery.contributed();
        },
        onRefused: (topic, reason, sample, account) => {
          if (account !== undefined) this.accounts.refusedReading(account);
          this.narrator.refused(topic, reason, sample);
        },
        onSeen: (sighting) => {
          this.sightings.saw(sighting);
          if (!sighting.replay) for (const key of sighting.keys) this.silence.heard(key, sighting.topic);
        },
        onEstimated: (messages) => {
          this.narrator.estimated(messages);
        },
        onStored: () => {
          this.narrator.stored();
        },
        onFault: (error) => {
          this.storingFailed(error);
        },
      },
      rulesOf(config),
    );
    this.delivery = new Delivery(config, {
      version: parts.version,
      ledger: this.ledger,
      clock,
      narrator: this.narrator,
      onWritten: () => {
        this.announce('status', JSON.stringify(this.status()));
      },
      onDecision: () => {
        // The zone may have come with its answer.
        this.intake.timeKnown();
      },
      log,
      hide: parts.hide,
      onFault: parts.onFatal,
    });
    this.accounts = new Accounts(
      {
        deviceFile: parts.deviceFile,
        activityFile: activityFileOf(config.dataDir),
        clock,
        onChanged: (names) => {
          this.broker?.expel(names);
        },
        onPublished: (name) => {
          this.silence.heard(deviceKey(name));
        },
        log,
      },
      accountSettings(config),
    );
    if (config.broker !== false) {
      const broker = this.makeBroker(config.broker);
      this.broker = broker;
      const isTimeKnown = (): boolean => clock.problem === undefined;
      this.front = new BrokerFront({ broker, clock, isTimeKnown, log }, config.broker);
    }
    this.connections = new Connections({
      bridgeId: this.ledger.bridgeId,
      inlet: this.intake,
      sessions: this.ledger.sources,
      log,
      now: () => clock.now(),
    });
    this.lookout = new Lookout({
      sightings: this.sightings,
      mappingsOf: (topic) => this.intake.mappingsOf(topic),
      look: (filter, observer) => this.connections.look(filter, observer),
      now: () => clock.now(),
      after: (delayMs, task) => clock.after(delayMs, task),
    });
    this.playground = new Playground(config, log);
    this.upkeep = new Upkeep({
      prune: (now) => this.ledger.retention.prune(now),
      now: known,
      after: (delayMs, task) => clock.after(delayMs, task),
      log,
    });
    this.web = config.web === false ? undefined : this.makeWeb(config.web);
  }

  /** Where a person can look: the broker, the status page, Exist. */
  get addresses(): {
    readonly broker: readonly string[];
    readonly web: string | undefined;
    readonly exist: string;
  } {
    return { broker: this.front?.listening ?? [], web: this.webUrl, exist: this.delivery.url };
  }

  private webUrl: string | undefined;

  /** Resolves when the broker listens. Rejects with a `ListenError` where a port is taken. */
  async start(): Promise<void> {
    const { config } = this;
    this.delivery.open(await this.playground.startExist());
    await this.time.start();
    this.intake.start();
    this.accounts.start();
    if (this.web) this.webUrl = urlOf('http', await this.web.start());
    await this.front?.start();
    this.connections.configure(config);
    this.readyMs = this.time.monotonicMs();
    this.announce('availability', 'online');
    this.delivery.start();
    this.silence.start();
    this.upkeep.start();
    const plain = this.front?.listening.find((url) => url.startsWith('mqtt:'));
    await this.playground.startDoor(plain, (publish) => this.accounts.openOwn(publish));
  }

  /** Idempotent. What was acknowledged is on disk; a call without an answer is read back at the next start. */
  async stop(): Promise<void> {
    if (this.isStopping) return;
    this.isStopping = true;
    this.time.stop();
    this.upkeep.stop();
    this.silence.stop();
    await this.playground.stopDoor();
    this.announce('availability', 'offline');
    await this.connections.stop();
    await this.front?.stop();
    this.accounts.stop();
    await this.intake.stop();
    await this.delivery.stop();
    await this.web?.stop();
    await this.playground.stopExist();
    this.ledger.close();
  }

  /**
   * Takes another configuration: mappings, attributes, flush, token at once.
   * @returns what needs a restart to change
   */
  reload(config: Config): string[] {
    const needRestart = restartKeys(this.config, config);
    const before = this.config;
    this.config = { ...config, dataDir: before.dataDir, broker: before.broker, web: before.web };
    this.ledger.delivery.want(wantedAttributes(config), this.time.now());
    this.intake.reconfigure(rulesOf(config));
    this.mappingWatches = mappingWatches(config);
    this.connections.configure(config);
    if (config.broker !== false) this.front?.reconfigure(config.broker);
    this.delivery.reconfigure(this.config);
    this.accounts.reconfigure(accountSettings(this.config));
    this.intake.timeKnown();
    return needRestart;
  }

  status(): Status {
    const { journal, delivery } = this.ledger;
    return overview({
      version: this.parts.version,
      uptimeMs: this.time.monotonicMs() - this.readyMs,
      now: this.time.now(),
      zone: this.zone(),
      timeProblem: this.time.problem,
      existUrl: this.delivery.url,
      delivery: delivery.load(),
      keysOfDay: (day) => delivery.keysOfDay(day),
      settings: settingsOf(this.config),
      counters: journal.counters,
      undated: journal.undatedCount(),
      refused: journal.refused(20).map(({ at, ...rest }) => ({ at: new Date(at).toISOString(), ...rest })),
      broker: this.front?.status ?? null,
      connections: this.connections.status(),
      silent: this.silence.list(),
      troubles: this.troubles(),
    });
  }

  private zone(): string | undefined {
    if (this.time.problem !== undefined) return undefined;
    return this.config.timezone ?? this.delivery.zone;
  }

  private makeBroker(options: Exclude<Config['broker'], false>): Broker {
    return new Broker({
      listen: options.listen,
      limits: options.limits,
      origins: options.origins,
      accounts: this.accounts,
      onDenied: (publish, what) => {
        this.lookout.denied(publish, what);
      },
      inlet: {
        take: (publish, done) => {
          if (isOwnTopic(publish.topic)) done();
          else this.intake.take(publish, done);
        },
        released: (clientId, packetId) => {
          this.intake.released(clientId, packetId);
        },
      },
      store: this.ledger.broker,
      onStored: () => {
        this.narrator.stored();
      },
      onUnstored: (error) => {
        this.storingFailed(error);
      },
      log: this.log,
    });
  }

  private makeWeb(options: Exclude<Config['web'], false>): Web {
    return new Web({
      listen: options.listen,
      source: {
        health: () => ({
          listening: this.front?.isListening ?? true,
          databaseOpen: this.ledger.isOpen,
          problems: this.status().problems,
        }),
        status: () => this.status(),
        devices: () => this.accounts.status(),
        topics: (filter) => this.sightings.list(filter),
        watch: (filter, show, isLooking) => this.lookout.watch(filter, show, isLooking),
        settle: (settlement) => this.delivery.settle(settlement),
        metrics: () => metricsOf(this.status(), this.ledger.isOpen),
      },
      onFault: (error) => {
        this.log('error', 'the web listener stumbled', { error: String(error) });
      },
    });
  }

  /** Retained under the bridge's own topic, for whoever watches over MQTT. */
  private announce(what: 'availability' | 'status', payload: string): void {
    const topic = `mqtt2exist/${this.ledger.bridgeId}/${what}`;
    this.connections.publish(topic, payload);
    this.broker?.publish({ topic, payload, qos: 1, retain: true }).catch((error: unknown) => {
      this.log('debug', `${what} could not be published`, { error: String(error) });
    });
  }

  private troubles(): string[] {
    const troubles = [
      ...this.damage,
      ...this.delivery.troubles(),
      ...(this.front?.troubles() ?? []),
      ...this.connections.troubles(),
    ];
    if (!this.narrator.isStoring)
      troubles.push('readings cannot be stored: they are not acknowledged, devices send them again');
    if (this.ledger.space.isShort)
      troubles.push('the disk is nearly full: no readings are taken until there is space');
    return troubles;
  }

  /** A disk that errs ends the process: it is not trusted further. */
  private storingFailed(error: unknown): void {
    if (error instanceof DatabaseError && (error.problem === 'io' || error.problem === 'damaged')) {
      this.parts.onFatal(error);
    } else {
      this.narrator.unstored(error);
    }
  }
}
