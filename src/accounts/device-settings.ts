/**
 * Settings of a device's account, ready to paste, in the words of each kind of device.
 */

import { fillIn } from '../core/rights.ts';

export interface DeviceSettings {
  readonly name: string;
  readonly password: string;
  readonly host: string;
  readonly port: number;
  /** What it may publish: topic filters. */
  readonly topics: readonly string[];
  /** The only client identifier it may use, where there is one. */
  readonly clientId: string | undefined;
  /** The broker speaks TLS there; `undefined`: it does not. */
  readonly tls: TlsSettings | undefined;
}

export interface TlsSettings {
  /** The certificate of the authority that signed the broker's. */
  readonly pem: string;
  /** Its file, as it is to be written into a command. */
  readonly file: string;
}

export const DEVICE_KINDS = [
  'esphome',
  'tasmota',
  'arduino',
  'micropython',
  'shelly',
  'zigbee2mqtt',
  'mosquitto',
] as const;

export type DeviceKind = (typeof DEVICE_KINDS)[number];

/** A title and the text to paste, for each of `kinds`. */
export function settingsText(settings: DeviceSettings, kinds: readonly DeviceKind[] = DEVICE_KINDS): string {
  return kinds.map((kind) => `--- ${TITLES[kind]}\n${WRITERS[kind](withTopics(settings))}\n`).join('\n');
}

const TITLES: Readonly<Record<DeviceKind, string>> = {
  esphome: 'ESPHome (YAML of the device)',
  tasmota: 'Tasmota (console)',
  arduino: 'Arduino with espMqttClient (C++)',
  micropython: 'MicroPython with umqtt.simple',
  shelly: 'Shelly Gen2 and later (a shell; write the address of the Shelly in place of SHELLY)',
  zigbee2mqtt: 'Zigbee2MQTT (configuration.yaml)',
  mosquitto: 'mosquitto_pub (a shell)',
};

interface Known extends DeviceSettings {
  readonly id: string;
  /** A topic it may publish to. */
  readonly topic: string;
  /** Everything below it may be published; `undefined` where there is no such topic. */
  readonly tree: string | undefined;
}

function withTopics(settings: DeviceSettings): Known {
  const { name, clientId } = settings;
  const id = clientId ?? name;
  const topics = settings.topics.flatMap((grant) => fillIn(grant, { user: name, clientId: id }) ?? []);
  const trees = topics.flatMap((topic) => {
    const [, tree] = /^([^+#]+)\/#$/.exec(topic) ?? [];
    return tree === undefined ? [] : [tree];
  });
  const exact = topics.find((topic) => !/[+#]/.test(topic));
  const [tree] = trees;
  const [first = `${name}/#`] = topics;
  const filled = first.replace(/\+/g, 'example').replace(/#$/, 'door');
  return { ...settings, id, tree, topic: exact ?? (tree ? `${tree}/door` : filled) };
}

const WRITERS: Readonly<Record<DeviceKind, (known: Known) => string>> = {
  esphome: ({ host, port, name, password, id, tree, topic, tls }) =>
    [
      'mqtt:',
      `  broker: ${quote(host)}`,
      `  port: ${port}`,
      `  username: ${quote(name)}`,
      `  password: ${quote(password)}`,
      `  client_id: ${quote(id)}`,
      '  discovery: false',
      '  discover_ip: false',
      ...(tls
        ? ['  # wants the ESP-IDF framework', '  certificate_authority: |', ...linesOf(tls, '    ')]
        : []),
      ...(tree === undefined
        ? [`# below the sensor: state_topic: ${quote(topic)}`]
        : [`  topic_prefix: ${quote(tree)}`]),
    ].join('\n'),

  tasmota: (known) => {
    const { host, port, name, password, id, tree, tls } = known;
    if (tree === undefined) return needsTree(known);
    const at = tree.lastIndexOf('/') + 1;
    return [
      `Backlog MqttHost ${host}; MqttPort ${port}; MqttUser ${name}; MqttPassword ${password}; MqttClient ${id}`,
      // Its own discovery publishes elsewhere.
      `Backlog Topic ${tree.slice(at)}; FullTopic ${tree.slice(0, at)}%topic%/%prefix%/; SetOption19 1`,
      ...(tls
        ? [
            '# tasmota32 only: it takes no authority, and learns the fingerprint of the key when it first connects',
            'Backlog SetOption103 1; SetOption132 1',
          ]
        : []),
    ].join('\n');
  },

  arduino: ({ host, port, name, password, id, topic, tls }) =>
    [
      '#include <espMqttClient.h>',
      ...(tls
        ? [
            'static const char authority[] =',
            ...linesOf(tls, '    "', '\\n"').map((line, index, all) =>
              index === all.length - 1 ? `${line};` : line,
            ),
            'espMqttClientSecure mqtt;',
          ]
        : ['espMqttClient mqtt;']),
      '// in setup(), once WiFi is connected' + (tls ? ' and the clock is set (SNTP):' : ':'),
      ...(tls ? ['mqtt.setCACert(authority);'] : []),
      `mqtt.setServer(${quote(host)}, ${port});`,
      `mqtt.setCredentials(${quote(name)}, ${quote(password)});`,
      `mqtt.setClientId(${quote(id)});`,
      'mqtt.connect();',
      '// QoS 1: sent again until it is stored',
      `mqtt.publish(${quote(topic)}, 1, false, "open");`,
    ].join('\n'),

  micropython: ({ host, port, name, password, id, topic, tls }) =>
    [
      ...(tls
        ? [
            `# copy the certificate to the device first: mpremote cp ${shell(tls.file)} :ca.crt`,
            'import ssl',
            'context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)',
            'context.load_verify_locations(cafile="ca.crt")',
          ]
        : []),
      'from umqtt.simple import MQTTClient',
      `mqtt = MQTTClient(${quote(id)}, ${quote(host)}, port=${port}, user=${quote(name)}, password=${quote(password)}, keepalive=60${tls ? ', ssl=context' : ''})`,
      'mqtt.connect()',
      `mqtt.publish(${quote(topic)}, "open", qos=1)`,
    ].join('\n'),

  shelly: (known) => {
    const { host, port, name, password, id, tree, tls } = known;
    if (tree === undefined) return needsTree(known);
    const server = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    const config = {
      enable: true,
      server,
      user: name,
      pass: password,
      client_id: id,
      topic_prefix: tree,
      rpc_ntf: true,
      status_ntf: true,
      ...(tls && { ssl_ca: 'user_ca.pem' }),
    };
    return [
      ...(tls ? [`# upload ${tls.file} to the Shelly first: Settings, TLS`] : []),
      `curl -X POST -d ${shell(JSON.stringify({ config }))} http://SHELLY/rpc/MQTT.SetConfig`,
      'curl -X POST http://SHELLY/rpc/Shelly.Reboot',
      `# A Shelly of the first generation has a prefix of its own: give it --topic 'shellies/ITS-ID/#' instead.`,
    ].join('\n');
  },

  zigbee2mqtt: (known) => {
    const { host, port, name, password, id, tree, tls } = known;
    if (tree === undefined) return needsTree(known);
    return [
      'mqtt:',
      `  server: ${quote(`${tls ? 'mqtts' : 'mqtt'}://${host.includes(':') ? `[${host}]` : host}:${port}`)}`,
      ...(tls ? [`  ca: /app/data/ca.crt # ${tls.file}, copied beside this file`] : []),
      `  user: ${quote(name)}`,
      `  password: ${quote(password)}`,
      `  client_id: ${quote(id)}`,
      `  base_topic: ${quote(tree)}`,
    ].join('\n');
  },

  mosquitto: ({ host, port, name, password, id, topic, tls }) =>
    `mosquitto_pub ${tls ? `--cafile ${shell(tls.file)} ` : ''}-h ${shell(host)} -p ${port} -u ${shell(name)} -P ${shell(password)} -i ${shell(id)} -q 1 -t ${shell(topic)} -m open`,
};

function linesOf({ pem }: TlsSettings, before: string, behind = ''): string[] {
  return pem
    .trim()
    .split('\n')
    .map((line) => `${before}${line}${behind}`);
}

function needsTree({ name }: Known): string {
  return `It publishes to many topics: give it a tree of its own, as in --topic ${shell(`${name}/#`)}`;
}

/** A string of YAML, C++ and Python alike. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function shell(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
