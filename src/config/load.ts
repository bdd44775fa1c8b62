/**
 * Reads and validates the configuration file: all of it or every problem, never an exception.
 */
import type { ValueType } from '../core/attribute.ts';
import type { Mode } from '../core/delivery/state.ts';
import { TEMPLATES } from '../core/templates.ts';
import { doorsIn } from './broker.ts';
import { findConflicts, labelOf, type CheckExpression } from './checks.ts';
import { certificateOf, type CertificateCheck, type ConfiguredCertificate } from './certificate.ts';
import { connectionsOf, type ConfiguredConnection, type TlsCheck } from './connections.ts';
import { credentialsOf, type ConfiguredClient } from './credentials.ts';
import { contentOf, resolved, type ReadFile } from './files.ts';
import { validate } from './issues.ts';
import { tlsFindings, type Listener } from './listeners.ts';
import { type Finding, pathText, type Path, type Problem } from './problem.ts';
import { configuration, type Configuration } from './schema.ts';
import { readSource, type Source } from './source.ts';
import { accountFindings, usersOf, type AccountCheck, type ConfiguredUser } from './users.ts';

export type { Problem } from './problem.ts';
export type { CheckExpression } from './checks.ts';

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws where the file cannot be read. */
  readonly readFile: ReadFile;
  readonly checkExpression: CheckExpression;
  readonly checkAccounts: AccountCheck;
  /** It is about to be made: that there is none is no problem. */
  readonly isCertificateToCome?: boolean;
  /** Absent for whoever does not serve it: its key is for the daemon's eyes only. */
  readonly checkCertificate?: CertificateCheck;
  readonly checkConnectionTls?: TlsCheck;
}

/** An attribute that mappings may feed, with everything known about it. */
export interface ConfiguredAttribute {
  readonly name: string;
  /** Exist's template; `undefined` for an attribute of the user's own. */
  readonly template: string | undefined;
  readonly label: string;
  readonly group: string;
  readonly type: ValueType;
  /** The user's word on other writers, where there is one. */
  readonly mode: Mode | undefined;
}

export type ConfiguredMapping = Configuration['mappings'][number] & {
  /** Where it stands in the file. */
  readonly line: number;
};

/** The configuration with every default filled in, durations in ms, paths absolute, secrets read. */
export interface Config {
  readonly dataDir: string;
  /** `undefined`: the Exist account's own. */
  readonly timezone: string | undefined;
  readonly exist: {
    /** Without a slash at its end; or the word `sandbox`. */
    readonly url: string;
    readonly sandboxPort: number;
    /** Absent with the sandbox, and where there is a `client`. */
    readonly token: string | undefined;
    /** For `mqtt2exist login` (OAuth2), instead of the token. */
    readonly client: ConfiguredClient | undefined;
    readonly timeoutMs: number;
    readonly settleMs: number;
    readonly callsPerHour: number;
  };
  readonly flush: { readonly everyMs: number; readonly lingerMs: number; readonly batch: number };
  readonly broker:
    | false
    | (Pick<Exclude<Configuration['broker'], false>, 'listen' | 'limits' | 'origins' | 'mdns'> & {
        /** There is one where a listener speaks TLS. */
        readonly tls: ConfiguredCertificate | undefined;
      });
  /** Accounts of clients; those that `mqtt2exist devices` made are elsewhere. */
  readonly users: readonly ConfiguredUser[];
  /** Existing brokers to take readings from; no two of one name. */
  readonly connections: readonly ConfiguredConnection[];
  readonly web: false | Pick<Exclude<Configuration['web'], false>, 'listen'>;
  /** By name: those of `attributes`, and the templates that mappings name. */
  readonly attributes: Readonly<Record<string, ConfiguredAttribute>>;
  readonly mappings: readonly ConfiguredMapping[];
  /** The simulated fridge door, where there is one. */
  readonly demo: { readonly everyMs: number; readonly topic: string } | undefined;
}

/** Where the embedded broker listens (nowhere, without one), and with which certificate. */
export interface ConfiguredDoors {
  readonly listen: readonly Listener[];
  readonly tls: ConfiguredCertificate | undefined;
}

export type LoadResult =
  | { readonly ok: true; readonly config: Config }
  | {
      readonly ok: false;
      readonly problems: readonly Problem[];
      /** Where devices connect all the same; `undefined` where it cannot be told. */
      readonly doors: ConfiguredDoors | undefined;
    };

export function loadConfig(file: string, options: LoadOptions): LoadResult {
  const text = contentOf(file, options.readFile);
  if ('failure' in text) {
    const hint = 'name the configuration with --config FILE';
    const message = `the file cannot be read: ${text.failure}`;
    return { ok: false, problems: [{ file, line: 1, column: 1, path: '', message, hint }], doors: undefined };
  }
  const source = readSource(text.content.replace(/^\uFEFF/, ''), options.env);
  const problems = new Problems(file, source);
  if (source.value === null || source.value === undefined) {
    const hint = 'the least is a token and one mapping; see config/mqtt2exist.yaml';
    if (source.complaints.length === 0) problems.add(0, [], 'the file is empty', hint);
    return { ok: false, problems: problems.sorted(), doors: undefined };
  }
  const { data, issues } = validate(configuration, source.value);
  for (const issue of issues) {
    const offset = issue.at === 'key' ? source.keyOffset(issue.path) : source.valueOffset(issue.path);
    if (!(source.isGarbled && issue.isMissing)) problems.add(offset, issue.path, issue.message, issue.hint);
  }
  const root = typeof source.value === 'object' && !Array.isArray(source.value);
  const findings = root
    ? [
        ...findConflicts(source.value, options.checkExpression),
        ...accountFindings(source.value, file, options.checkAccounts),
        ...(options.isCertificateToCome === true ? [] : tlsFindings(source.value)),
      ]
    : [];
  for (const finding of findings) {
    const { path: at, hint, index } = finding;
    // An environment variable may be a secret, wherever somebody has put it.
    const message =
      finding.isQuoting && source.isSubstituted(at)
        ? 'cannot be read as an expression, with what the environment puts into it'
        : finding.message;
    if (source.isGarbled && finding.isMissing) continue;
    const offset = index === undefined ? source.valueOffset(at) : source.textOffset(at, index);
    problems.add(finding.isMissing ? source.keyOffset(at) : offset, at, message, hint);
  }
  const { readFile, checkAccounts } = options;
  const read = (given: string) => contentOf(resolved(file, given), readFile);
  const exist: unknown = isRecord(source.value) ? source.value['exist'] : undefined;
  const isBroken = (at: Path) => source.broken.has(JSON.stringify(at));
  const { token, client } = credentialsOf(exist, read, isBroken, ({ path: at, message, hint }) => {
    problems.add(source.valueOffset(at), at, message, hint);
  });
  const given = data && data.broker !== false ? data.broker.users : {};
  const users = usersOf(given, file, readFile, checkAccounts, ({ path: at, message, hint }) => {
    problems.add(source.valueOffset(at), at, message, hint);
  });
  const complainOfConnection = ({ path: at, message, hint }: Finding): void => {
    problems.add(source.valueOffset(at), at, message, hint);
  };
  const connections = connectionsOf(
    data?.connections ?? [],
    read,
    complainOfConnection,
    options.checkConnectionTls,
  );
  const tls = data && data.broker !== false ? data.broker.tls : {};
  const certificate = certificateOf(tls, file, options.checkCertificate, ({ path: at, message, hint }) => {
    problems.add(source.valueOffset(at), at, message, hint);
  });
  if (!data || !problems.isEmpty) {
    return { ok: false, problems: problems.sorted(), doors: doorsOf(source, file) };
  }
  return {
    ok: true,
    config: configOf(data, { token, client, users, connections, certificate }, file, source),
  };
}

function doorsOf({ value, isGarbled, broken }: Source, file: string): ConfiguredDoors | undefined {
  const isUnknown = [['broker'], ['broker', 'listen']].some((at) => broken.has(JSON.stringify(at)));
  const doors = isGarbled || isUnknown ? undefined : doorsIn(value);
  return doors && { listen: doors.listen, tls: certificateOf(doors.tls, file, undefined, () => undefined) };
}

/** Gathers problems: one for each path and message, none about what was complained of already. */
class Problems {
  private readonly found = new Map<string, Problem>();

  constructor(
    private readonly file: string,
    private readonly source: Source,
  ) {
    for (const { offset, path: at, message, hint } of source.complaints) this.put(offset, at, message, hint);
  }

  get isEmpty(): boolean {
    return this.found.size === 0;
  }

  add(offset: number, at: Path, message: string, hint?: string): void {
    if (this.source.broken.has(JSON.stringify(at))) return;
    this.put(offset, at, message, hint);
  }

  sorted(): Problem[] {
    return [...this.found.values()].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  private put(offset: number, at: Path, message: string, hint: string | undefined): void {
    const { line, column } = this.source.position(offset);
    const problem = { file: this.file, line, column, path: pathText(at), message, hint: hint ?? null };
    const key = JSON.stringify([line, column, problem.path, message]);
    if (!this.found.has(key)) this.found.set(key, problem);
  }
}

function isRecord(candidate: unknown): candidate is Readonly<Record<string, unknown>> {
  return typeof candidate === 'object' && candidate !== null;
}

/** What is read from other files than the configuration itself. */
type Elsewhere = Pick<Config, 'users' | 'connections'> & {
  readonly token: string | undefined;
  readonly client: ConfiguredClient | undefined;
  readonly certificate: ConfiguredCertificate | undefined;
};

function configOf(
  data: Configuration,
  { token, client, users, connections, certificate }: Elsewhere,
  file: string,
  source: Source,
): Config {
  const { exist, flush, broker, web, demo } = data;
  return {
    dataDir: resolved(file, data.data_dir),
    timezone: data.timezone,
    exist: {
      url: exist.url,
      sandboxPort: exist.sandbox_port,
      token,
      client,
      timeoutMs: exist.timeout,
      settleMs: exist.settle,
      callsPerHour: exist.calls_per_hour,
    },
    flush: { everyMs: flush.every, lingerMs: flush.linger, batch: flush.batch },
    broker:
      broker === false
        ? false
        : {
            listen: broker.listen,
            limits: broker.limits,
            origins: broker.origins,
            mdns: broker.mdns,
            tls: certificate,
          },
    users,
    connections,
    web: web === false ? false : { listen: web.listen },
    attributes: attributesOf(data),
    mappings: data.mappings.map((mapping, index) => ({
      ...mapping,
      line: source.position(source.valueOffset(['mappings', index])).line,
    })),
    demo: demo?.fridge_door && { everyMs: demo.fridge_door.every, topic: demo.fridge_door.topic },
  };
}

function attributesOf({ attributes, mappings }: Configuration): Record<string, ConfiguredAttribute> {
  const all: Record<string, ConfiguredAttribute> = {};
  for (const name of [...Object.keys(attributes), ...mappings.map(({ attribute }) => attribute)]) {
    const own = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    const template = own ? own.template : name;
    const known = template === undefined ? undefined : TEMPLATES.get(template);
    const type = known?.valueType ?? own?.type;
    if (type === undefined) throw new Error(`attribute ${name} passed the checks without a type`);
    all[name] = {
      name,
      template,
      label: own?.label ?? known?.label ?? labelOf(name),
      group: own?.group ?? known?.group ?? 'custom',
      type,
      mode: own?.mode,
    };
  }
  return all;
}
