/**
 * What the parts need to know of the configuration, each in its own words.
 */
import type { AccountSettings } from './accounts/accounts.ts';
import type { ListedAccount } from './accounts/listed-account.ts';
import type { AuthorizerSettings } from './authorizer.ts';
import { isLoopback } from './config/listen.ts';
import type { Config } from './config/load.ts';
import { compileMappings } from './config/mappings.ts';
import type { Settings } from './core/delivery/state.ts';
import type { Payload } from './core/payload.ts';
import { scopesOf } from './core/scopes.ts';
import { compileExpressions } from './expression/expressions.ts';
import type { Rule } from './intake/ports.ts';
import { deviceKey, type Watch } from './intake/silence.ts';
import type { WantedAttribute } from './ledger/delivery-store.ts';

/** For the intake: the mappings with their compiled expressions. */
export function rulesOf(config: Config): Rule<Payload>[] {
  return compileMappings(config).map(({ mapping, expressions }) => {
    const { operation } = mapping;
    const objectAsText = operation.kind === 'count' && operation.on === 'message' && operation.each === 'any';
    const compiled = compileExpressions(expressions, { objectAsText });
    if (!compiled.ok) throw new Error(`mapping ${mapping.key} passed the check but does not compile`);
    return { mapping, extract: compiled.extract };
  });
}

/** For the watch over sensors that go quiet. */
export function mappingWatches(config: Config): Watch[] {
  return compileMappings(config).flatMap(({ mapping: { key, attribute, filters: topics } }, index) => {
    const silentAfterMs = config.mappings[index]?.silent_after;
    return silentAfterMs === undefined
      ? []
      : [
          {
            key,
            of: { kind: 'mapping', attribute, topics },
            silentAfterMs,
            isMany: topics.some((filter) => /[+#]/.test(filter)),
          },
        ];
  });
}

/** The same for the accounts of clients. */
export function deviceWatches(accounts: readonly ListedAccount[]): Watch[] {
  return accounts.flatMap(({ name, silentAfterMs }) =>
    silentAfterMs === undefined
      ? []
      : [{ key: deviceKey(name), of: { kind: 'device', name }, silentAfterMs, isMany: false }],
  );
}

/** For the delivery. */
export function settingsOf(config: Config): Settings {
  const { exist, flush, timezone } = config;
  return {
    settleMs: exist.settleMs,
    callsPerHour: exist.callsPerHour,
    flushEveryMs: flush.everyMs,
    lingerMs: flush.lingerMs,
    batch: flush.batch,
    ...(timezone !== undefined && { timezone }),
  };
}

/** For whoever keeps the login at Exist, which is at `url`; nothing where a token is written down. */
export function authorizerSettings(config: Config, url: string): AuthorizerSettings {
  const { client } = config.exist;
  return client && { issuer: { url, clientId: client.id }, scopes: scopesOf(wantedAttributes(config)) };
}

/** For the ledger: the attributes that mappings feed. */
export function wantedAttributes(config: Config): WantedAttribute[] {
  const names = new Set(config.mappings.map(({ attribute }) => attribute));
  return [...names].flatMap((name) => {
    const configured = config.attributes[name];
    if (!configured) return [];
    const { template, label, group, type, mode } = configured;
    return [{ name, template: template ?? null, label, group, valueType: type, wantedMode: mode ?? null }];
  });
}

/** For the accounts. */
export function accountSettings({ users, broker }: Config): AccountSettings {
  return {
    users: users.map(({ publish, subscribe, ...user }) => ({ ...user, rights: { publish, subscribe } })),
    isPrivate: broker === false || broker.listen.every(({ host }) => isLoopback(host)),
  };
}

/** The keys that changed and need a restart to take effect. */
export function restartKeys(before: Config, after: Config): string[] {
  const keys = ['dataDir', 'broker', 'web'] as const;
  const [earlier, later] = [before, after].map(atStart);
  const changed: string[] = keys.filter(
    (key) => JSON.stringify(earlier?.[key]) !== JSON.stringify(later?.[key]),
  );
  if (before.exist.url !== after.exist.url) changed.push('exist.url');
  return changed.map((key) => (key === 'dataDir' ? 'data_dir' : key));
}

/** Which files hold the certificate may change while it runs, not whether there is one. */
function atStart({ dataDir, broker, web }: Config) {
  return { dataDir, broker: broker && { ...broker, tls: broker.tls !== undefined }, web };
}
