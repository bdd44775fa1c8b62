/** The clients that scripts and shells use, as Debian ships them, against the built daemon. */
import { execFile, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashPassword } from '../../src/accounts/password-hash.ts';
import { makeCertificates, NO_OPENSSL } from '../support/certificates.ts';
import { Daemon } from '../support/daemon.ts';
import { skipped } from '../support/skip.ts';

const PYTHON = '/usr/bin/python3';
const NO_PAHO: string | undefined =
  spawnSync(PYTHON, ['-c', 'import paho.mqtt.client']).status === 0
    ? undefined
    : 'python3-paho-mqtt is not installed here';
const NO_MOSQUITTO_PUB: string | undefined =
  spawnSync('mosquitto_pub', ['--help']).error === undefined
    ? undefined
    : 'mosquitto_pub is not installed here';

/**
 * Connects as it is told, subscribes, publishes, waits until everything is acknowledged and so many messages have come,
 * disconnects, and prints what it saw as JSON.
 */
const CLIENT = `
import json, sys
import paho.mqtt.client as mqtt
asked = json.loads(sys.argv[1])
seen = {"connack": None, "session": None, "granted": None, "messages": []}
# The second version of the library wants to know what the first one takes for granted.
style = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
five = asked.get("five", False)
client = mqtt.Client(*style, client_id=asked["id"], clean_session=None if five else asked.get("clean", True),
                     protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311, transport=asked.get("transport", "tcp"))
client.username_pw_set(asked.get("user", "press"), asked.get("password", "open sesame"))
if "ca" in asked:
    client.tls_set(asked["ca"])
def on_connect(client, userdata, flags, reason, properties=None):
    seen["connack"] = reason.value if five else reason
    seen["session"] = bool(flags["session present"])
    seen["words"] = str(reason) if five else mqtt.connack_string(reason)
def on_subscribe(client, userdata, mid, granted, properties=None):
    seen["granted"] = list(granted)
def on_message(client, userdata, m):
    seen["messages"].append([m.topic, m.payload.decode(), m.qos, bool(m.retain)])
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect("localhost", asked["port"])
def until(done):
    while not done():
        result = client.loop(0.2)
        if result != mqtt.MQTT_ERR_SUCCESS:
            return False
    return True
if until(lambda: seen["connack"] is not None) and seen["connack"] == 0:
    if "subscribe" in asked:
        client.subscribe(asked["subscribe"], 1)
        until(lambda: seen["granted"] is not None)
    sent = [client.publish(topic, payload, qos, retain) for topic, payload, qos, retain in asked.get("publish", [])]
    until(lambda: all(each.is_published() for each in sent) and len(seen["messages"]) >= asked.get("messages", 0))
    client.disconnect()
print(json.dumps(seen))
`;

interface Seen {
  readonly connack: number | null;
  readonly words?: string;
  readonly session: boolean | null;
  readonly granted: readonly number[] | null;
  readonly messages: readonly (readonly [topic: string, payload: string, qos: number, retain: boolean])[];
}

async function paho(asked: Readonly<Record<string, unknown>>): Promise<Seen> {
  const args = ['-c', CLIENT, JSON.stringify(asked)];
  const { stdout } = await promisify(execFile)(PYTHON, args, { timeout: 15_000 });
  return JSON.parse(stdout) as Seen;
}

const SCHEMES =
  NO_OPENSSL === undefined ? (['mqtt', 'mqtts', 'ws', 'wss'] as const) : (['mqtt', 'ws'] as const);
type Scheme = 'mqtt' | 'mqtts' | 'ws' | 'wss';

/** A house with one account, which presses buttons, behind a listener of each kind: one for all tests. */
let house: Awaited<ReturnType<typeof inhabited>>;
beforeAll(async () => {
  house = await inhabited();
});
afterAll(async () => {
  await house.daemon.kill();
  rmSync(house.folder, { recursive: true, force: true });
});

async function inhabited() {
  const folder = await mkdtemp(path.join(tmpdir(), 'mqtt2exist-'));
  const made = NO_OPENSSL === undefined ? (await makeCertificates(folder)).files : undefined;
  const { ca = '', cert, key } = made ?? {};
  const hash = await hashPassword('open sesame');
  const user = `{ press: { password_hash: "${hash}", publish: [home/#], subscribe: [home/#] } }`;
  const options = {
    folder,
    existUrl: 'http://127.0.0.1:1',
    listen: SCHEMES.map((scheme) => `${scheme}://127.0.0.1:0`),
    broker: `, users: ${user}${made ? `, tls: ${JSON.stringify({ cert, key, ca })}` : ''}`,
    yaml: `attributes:
  presses: { label: presses, type: integer }
mappings:
  - { topic: home/button, attribute: presses, count: { each: any } }`,
  };
  const daemon = await Daemon.start(options);
  const urls = daemon.brokerUrl.split(' ').map((url) => new URL(url));
  const doorOf = (scheme: Scheme) => ({
    port: Number(urls.find(({ protocol }) => protocol === `${scheme}:`)?.port),
    ...(scheme.startsWith('ws') && { transport: 'websockets' }),
    ...((scheme === 'mqtts' || scheme === 'wss') && { ca }),
  });
  return { folder, daemon, doorOf };
}

describe.skipIf(NO_PAHO)(`paho-mqtt for Python${skipped(NO_PAHO)}`, () => {
  test.each(SCHEMES)(
    `over %s, with user and password, counts each press of each quality of service once${skipped(NO_OPENSSL && `with TLS: ${NO_OPENSSL}`)}`,
    async (scheme) => {
      const { accepted: before } = (await house.daemon.status()).readings;
      const publish = Array.from({ length: 60 }, (_, n) => ['home/button', `${n}`, n % 3, false]);
      const seen = await paho({ ...house.doorOf(scheme), id: `paho-${scheme}`, publish });
      expect(seen).toMatchObject({ connack: 0, session: false });
      const { readings, today } = await house.daemon.status();
      expect(readings).toMatchObject({ accepted: before + 60, refused: 0, duplicates: 0 });
      expect(today).toMatchObject([{ attribute: 'presses', total: before + 60 }]);
    },
  );

  test('gets what is retained, and after it was away what its session kept for it', async () => {
    const [door, id] = [house.doorOf('mqtt'), 'paho-session'];
    const [open, closed] = [
      ['home/door', 'open', 1, true],
      ['home/door', 'closed', 1, false],
    ];
    await paho({ ...door, id: 'paho-publisher', publish: [open] });
    const first = await paho({ ...door, id, clean: false, subscribe: 'home/+', messages: 1 });
    expect(first).toMatchObject({ session: false, granted: [1], messages: [['home/door', 'open', 1, true]] });
    await paho({ ...door, id: 'paho-publisher', publish: [closed] });
    const again = await paho({ ...door, id, clean: false, messages: 1 });
    expect(again).toMatchObject({ session: true, messages: [['home/door', 'closed', 1, false]] });
    // It has been acknowledged.
    const cleared = await paho({ ...door, id, clean: false, subscribe: 'home/nothing' });
    expect(cleared).toMatchObject({ session: true, messages: [] });
  });

  test('is told why it does not come in: for its password, or in words of MQTT 5 that 3.1.1 is spoken', async () => {
    const { readings } = await house.daemon.status();
    const publish = [['home/button', 'press', 1, false]];
    const [wrong, ...five] = await Promise.all([
      paho({ ...house.doorOf('mqtt'), id: 'paho-wrong', password: 'sesame', publish }),
      paho({ ...house.doorOf('mqtt'), id: 'paho-five', five: true, publish }),
      paho({ ...house.doorOf('ws'), id: 'paho-five', five: true, publish }),
    ]);
    expect(wrong).toMatchObject({ connack: 4, words: expect.stringContaining('bad user name or password') });
    const refusal = { connack: 132, words: 'Unsupported protocol version' };
    expect(five).toMatchObject([refusal, refusal]);
    expect((await house.daemon.status()).readings).toEqual(readings);
  });
});

test.skipIf(NO_MOSQUITTO_PUB)(
  `mosquitto_pub of MQTT 5 prints why it is refused${skipped(NO_MOSQUITTO_PUB)}`,
  async () => {
    const account = [
      '-u',
      'press',
      '-P',
      'open sesame',
      '-h',
      'localhost',
      '-p',
      String(house.doorOf('mqtt').port),
    ];
    const publish = (version: string) =>
      promisify(execFile)('mosquitto_pub', [...account, '-V', version, '-t', 'home/x', '-m', 'y', '-q', '1']);
    const stderr = expect.stringMatching(/^Connection error: Unsupported Protocol Version/);
    await expect(publish('5')).rejects.toMatchObject({ stderr });
    expect(await publish('311')).toEqual({ stdout: '', stderr: '' });
  },
);
