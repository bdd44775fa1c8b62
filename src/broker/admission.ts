/**
 * Who may connect: what aedes asks before a CONNACK.
 *
 * `preConnect` looks at the packet, `authenticate` at who sent it. A connection that is refused gets its CONNACK
 * with the reason [MQTT-3.2.2-4], but for what is not MQTT at all.
 */
import type { AedesOptions, AuthenticateError, Client } from 'aedes';
import { ANYBODY, type Accounts, type Guest } from './accounts.ts';
import { RETURN_CODES, type Connection, type Refusal, type ReturnCode } from './connections.ts';
import { asPublish, type Publish } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Owners } from './owners.ts';
import { discard, isText, topicRefusal } from './topics.ts';

export interface AdmissionParts {
  readonly limits: BrokerLimits;
  /** `undefined`: everybody is welcome. */
  readonly accounts: Accounts | undefined;
  readonly owners: Owners;
  readonly connectionOf: (client: Client) => Connection | undefined;
  readonly onRefused: (refusal: Refusal, address: string) => void;
  readonly onFault: (error: unknown) => void;
  /** A will that its client has no right to publish. */
  readonly onDeniedWill: (guest: Guest, will: Publish) => void;
}

type Hooks = Required<Pick<AedesOptions, 'preConnect' | 'authenticate'>>;

export function makeAdmission(parts: AdmissionParts): Hooks {
  const { limits, connectionOf } = parts;

  const preConnect: Hooks['preConnect'] = (client, packet, callback) => {
    // `callback(null, false)` would leave the connection open for ever: a refusal is always an error.
    try {
      const connection = connectionOf(client);
      if (!connection) throw new Error('a client without a connection');
      const { clientId, clean, will } = packet;
      const problem = will && topicRefusal(will.topic, limits);
      if (problem !== undefined) {
        parts.onRefused('will', connection.address);
        callback(new Error(`the will's topic: ${problem}`), false);
        return;
      }
      connection.will = will;
      packet.keepalive = keepAliveOf(packet, limits);
      // [MQTT-3.1.3-8]
      const isNameless = clientId === '' && clean !== true;
      if (isNameless || Buffer.byteLength(clientId) > limits.clientIdLength || !isText(clientId)) {
        parts.onRefused('client_id', connection.address);
        connection.returnCode = RETURN_CODES.identifierRejected;
      }
      callback(null, true);
    } catch (error) {
      parts.onFault(error);
      callback(asError(error), false);
    }
  };

  const authenticate: Hooks['authenticate'] = (client, username, password, callback) => {
    const refuse = (returnCode: ReturnCode): void => {
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- aedes exports its codes as a type only
      const error: AuthenticateError = Object.assign(new Error('not let in'), { returnCode });
      callback(error, false);
    };
    decide(client, username, password).then(
      (returnCode) => {
        if (returnCode === undefined) callback(null, true);
        else refuse(returnCode);
      },
      (error: unknown) => {
        parts.onFault(error);
        refuse(RETURN_CODES.unavailable);
      },
    );
  };

  /** The code of a refusal, or `undefined`: welcome. */
  async function decide(
    client: Client,
    name: string | undefined,
    password: Uint8Array | undefined,
  ): Promise<ReturnCode | undefined> {
    const connection = connectionOf(client);
    if (!connection) throw new Error('a client without a connection');
    if (connection.returnCode !== undefined) return connection.returnCode;
    const { address, socket } = connection;
    const isGone = (): boolean => socket.destroyed;
    const attempt = { name, password, clientId: client.id, address, isGone };
    const guest = parts.accounts ? await parts.accounts.admit(attempt) : ANYBODY;
    if ('refusal' in guest) {
      parts.onRefused(guest.refusal, address);
      if (guest.refusal === 'busy') return RETURN_CODES.unavailable;
      if (guest.refusal === 'client_id') return RETURN_CODES.identifierRejected;
      return name === undefined ? RETURN_CODES.notAuthorized : RETURN_CODES.badCredentials;
    }
    // A claim is given back when the connection closes, which this one may have done already.
    if (isGone()) return RETURN_CODES.unavailable;
    if (!parts.owners.claim(client.id, guest.account)) {
      parts.onRefused('client_id_taken', address);
      return RETURN_CODES.identifierRejected;
    }
    connection.admit(guest, client.id);
    if (guest.account !== undefined) parts.accounts?.connected(guest.account, address);
    takeWill(client, connection, guest);
    return undefined;
  }

  /** A will without a right to its topic comes to nothing; the client is welcome all the same. */
  function takeWill({ id }: Client, { will }: Connection, guest: Guest): void {
    if (!will || guest.permissions.mayPublish(will.topic)) return;
    parts.onDeniedWill(guest, asPublish(will, id, guest.account, true));
    discard(will);
  }

  return { preConnect, authenticate };
}

/** In seconds. A server may disconnect whom it takes for dead whatever was agreed on (section 3.1.2.10). */
function keepAliveOf({ keepalive = 0 }: { keepalive?: number }, { keepAliveMs }: BrokerLimits): number {
  const most = Math.max(1, Math.floor(keepAliveMs / 1_000));
  return keepalive === 0 ? most : Math.min(keepalive, most);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
