/** An honest sensor: one publish with QoS 1 at a time, and how long its acknowledgement took. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { generate, parser } from 'mqtt-packet';
import type { Victim } from './misbehaviour.ts';

export class Sensor {
  private lastId = 0;
  private acknowledged: (id: number) => void = () => undefined;
  private ended: (error: Error) => void = () => undefined;

  private constructor(private readonly socket: Socket) {
    const packets = parser();
    packets.on('packet', (packet) => {
      if (packet.cmd === 'puback') this.acknowledged(packet.messageId ?? 0);
    });
    socket.on('data', (chunk) => packets.parse(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.ended(new Error('the sensor was disconnected')));
  }

  static async connect({ port, username, password }: Victim): Promise<Sensor> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    socket.write(
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: 'honest-sensor',
        clean: true,
        keepalive: 60,
        username,
        password: Buffer.from(password),
      }),
    );
    await once(socket, 'data');
    return new Sensor(socket);
  }

  /** Resolves with the milliseconds until it was acknowledged; rejects where it was disconnected. */
  press(): Promise<number> {
    const messageId = (this.lastId % 65_535) + 1;
    this.lastId = messageId;
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      this.ended = reject;
      if (this.socket.destroyed) reject(new Error('the sensor was disconnected'));
      this.acknowledged = (id) => {
        if (id === messageId) resolve(performance.now() - startedAt);
      };
      this.socket.write(
        generate({
          cmd: 'publish',
          topic: 'honest',
          payload: 'press',
          qos: 1,
          messageId,
          dup: false,
          retain: false,
        }),
      );
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
