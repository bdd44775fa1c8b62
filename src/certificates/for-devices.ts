/**
 * What devices need of the authority, in the words of each kind of device.
 */

export interface ForDevices {
  /** The authority's certificate. */
  readonly pem: string;
  /** Its file, as it is to be written into a command. */
  readonly file: string;
  /** Where the broker listens with TLS. */
  readonly host: string;
  readonly port: number;
}

/** A title and the text to paste, for each kind. */
export function textForDevices({ pem, file, host, port }: ForDevices): string {
  const lines = pem.split('\n');
  return [
    '--- mosquitto_pub (a shell)',
    `mosquitto_pub --cafile ${file} -h ${host} -p ${port} -u NAME -P PASSWORD -q 1 -t TOPIC -m open`,
    '',
    '--- ESPHome with the ESP-IDF framework (YAML of the device)',
    'mqtt:',
    `  broker: ${host}`,
    `  port: ${port}`,
    '  certificate_authority: |',
    ...lines.map((line) => `    ${line}`),
    '',
    '--- Arduino and ESP-IDF (C, C++): espMqttClientSecure::setCACert, WiFiClientSecure::setCACert, .certificate',
    'static const char authority[] =',
    ...lines.map((line, index) => `    "${line}\\n"${index === lines.length - 1 ? ';' : ''}`),
    '',
    '--- MicroPython with umqtt.simple',
    '# copy the file to the device: mpremote cp ' + `${file} :ca.crt`,
    'import ssl',
    'context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)',
    'context.load_verify_locations(cafile="ca.crt")',
    `mqtt = MQTTClient(ID, "${host}", port=${port}, user=NAME, password=PASSWORD, keepalive=60, ssl=context)`,
    '',
    '--- Shelly Gen2 and later: upload the file as ca.pem (Settings, TLS), then set "ssl_ca": "user_ca.pem" in MQTT.SetConfig',
    '',
    '--- Zigbee2MQTT (configuration.yaml; copy the file beside it)',
    'mqtt:',
    `  server: mqtts://${host}:${port}`,
    '  ca: /app/data/ca.crt',
    '',
    '--- Tasmota (tasmota32 only; console): it takes no authority, and learns the fingerprint of the key when it first connects',
    `Backlog SetOption103 1; SetOption132 1; MqttHost ${host}; MqttPort ${port}`,
    '',
    'A device must connect by a name that is in the certificate; an ESP32 by a host name, not by an address. Its clock',
    'must be set (SNTP) where it checks dates.',
    '',
  ].join('\n');
}
