import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DEVICE_KINDS, settingsText, type DeviceSettings } from '../../src/accounts/device-settings.ts';

const fridge: DeviceSettings = {
  name: 'fridge',
  password: 'Abc23456789',
  host: '192.168.1.10',
  port: 1883,
  topics: ['kitchen/fridge/#'],
  clientId: undefined,
  tls: undefined,
};

/** The text to paste for one kind. */
function paste(kind: (typeof DEVICE_KINDS)[number], more: Partial<DeviceSettings> = {}): string {
  return settingsText({ ...fridge, ...more }, [kind])
    .split('\n')
    .slice(1)
    .join('\n');
}

test('every kind has its settings, with name, password and address in each', () => {
  const parts = settingsText(fridge).split('--- ').slice(1);
  expect(parts).toHaveLength(DEVICE_KINDS.length);
  for (const part of parts) {
    expect(part).toContain('192.168.1.10');
    expect(part).toContain('Abc23456789');
    expect(part).toMatch(/kitchen\/(fridge|%topic%)/);
  }
});

test('ESPHome gets YAML with its prefix', () => {
  expect(parse(paste('esphome'))).toEqual({
    mqtt: {
      broker: '192.168.1.10',
      port: 1883,
      username: 'fridge',
      password: 'Abc23456789',
      client_id: 'fridge',
      discovery: false,
      discover_ip: false,
      topic_prefix: 'kitchen/fridge',
    },
  });
});

test('Zigbee2MQTT gets YAML with its base topic', () => {
  expect(parse(paste('zigbee2mqtt', { topics: ['zigbee2mqtt/#'], host: 'fe80::1' }))).toEqual({
    mqtt: {
      server: 'mqtt://[fe80::1]:1883',
      user: 'fridge',
      password: 'Abc23456789',
      client_id: 'fridge',
      base_topic: 'zigbee2mqtt',
    },
  });
});

test('Tasmota publishes below the topic that it has a right to', () => {
  expect(paste('tasmota'))
    .toBe(`Backlog MqttHost 192.168.1.10; MqttPort 1883; MqttUser fridge; MqttPassword Abc23456789; MqttClient fridge
Backlog Topic fridge; FullTopic kitchen/%topic%/%prefix%/; SetOption19 1
`);
  expect(paste('tasmota', { topics: ['plug/#'] })).toContain('Topic plug; FullTopic %topic%/%prefix%/');
});

test('the commands for a shell survive it, whatever the topic is', () => {
  const topic = `it's "a" $HOME/\`x\``;
  const words = (command: string): string[] => {
    const shown = command.replace(/^(mosquitto_pub|curl)/, 'printf "%s\\0"').split('\n')[0] ?? '';
    return execFileSync('sh', ['-c', shown]).toString().split('\0');
  };
  expect(words(paste('mosquitto', { topics: [topic] }))).toEqual(
    expect.arrayContaining(['-u', 'fridge', '-P', 'Abc23456789', '-q', '1', '-t', topic]),
  );
  const body = words(paste('shelly', { topics: [`${topic}/#`] }))[3] ?? '';
  expect(JSON.parse(body)).toEqual({
    config: {
      enable: true,
      server: '192.168.1.10:1883',
      user: 'fridge',
      pass: 'Abc23456789',
      client_id: 'fridge',
      topic_prefix: topic,
      rpc_ntf: true,
      status_ntf: true,
    },
  });
});

describe('a device with a right to one topic', () => {
  test.each(['esphome', 'arduino', 'micropython', 'mosquitto'] as const)(
    'publishes there with %s',
    (kind) => {
      expect(paste(kind, { topics: ['kitchen/door'] })).toContain('kitchen/door');
    },
  );

  test.each(['tasmota', 'shelly', 'zigbee2mqtt'] as const)('is told what %s needs instead', (kind) => {
    expect(paste(kind, { topics: ['kitchen/door'] })).toContain("--topic 'fridge/#'");
  });
});

test('a client identifier of its own is in all of them', () => {
  for (const kind of DEVICE_KINDS) expect(paste(kind, { clientId: 'esp-1' })).toContain('esp-1');
});

describe('where the broker speaks TLS', () => {
  const tls = { pem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', file: 'my ca.crt' };
  const secure = { host: 'pi.local', port: 8883, tls };

  test.each([
    ['esphome', /certificate_authority: \|\n {4}-----BEGIN/],
    ['tasmota', /SetOption103 1; SetOption132 1/],
    ['arduino', /espMqttClientSecure mqtt;[^]*setCACert\(authority\)/],
    ['micropython', /mpremote cp 'my ca\.crt'[^]*ssl=context/],
    ['shelly', /"ssl_ca":"user_ca\.pem"/],
    ['zigbee2mqtt', /server: "mqtts:\/\/pi\.local:8883"\n {2}ca: /],
    ['mosquitto', /mosquitto_pub --cafile 'my ca\.crt' -h pi\.local -p 8883/],
  ] as const)('%s is told whom to trust', (kind, expected) => {
    expect(paste(kind, secure)).toMatch(expected);
  });

  test('ESPHome gets YAML with the certificate in it', () => {
    const { mqtt } = parse(paste('esphome', secure)) as { mqtt: Record<string, unknown> };
    expect(mqtt['certificate_authority']).toBe(tls.pem);
  });
});

test('the names in rights are filled in', () => {
  const topics = ['home/%u/#', 'by-id/%c/#'];
  expect(paste('mosquitto', { topics })).toContain('-t home/fridge/door');
  expect(paste('esphome', { topics: topics.slice(1), clientId: 'esp-1' })).toContain(
    'topic_prefix: "by-id/esp-1"',
  );
});
