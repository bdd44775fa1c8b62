/**
 * Why a connection failed, in words that help.
 */
import { opensslWords } from '../core/openssl-words.ts';

export interface Failure {
  /** Begins in lower case, without a full stop. */
  readonly text: string;
  /**
   * `version`: the broker does not speak this MQTT version; `mute`: it closed without an answer, which old ones do
   * for the same reason; `refused`: it will refuse until somebody changes something; `tls`: one side does not take the
   * other's certificate; `size`: it sends what is too large to be taken, and will again.
   */
  readonly kind: 'version' | 'mute' | 'refused' | 'tls' | 'size' | 'other';
}

const REFUSED_LOGIN = 'the broker refuses user name or password';
const NOT_AUTHORIZED = 'the broker refuses us: user name or password, or what this user may do there';

/** CONNACK of MQTT 3.1.1 (1 to 5), CONNACK and DISCONNECT of MQTT 5. */
const CODES: Readonly<Record<number, string>> = {
  1: 'the broker does not speak this version of MQTT',
  2: 'the broker refuses the client id; write another one as client_id',
  3: 'the broker is not available',
  4: REFUSED_LOGIN,
  5: NOT_AUTHORIZED,
  0x82: 'the broker sees a protocol error',
  0x84: 'the broker does not speak this version of MQTT',
  0x85: 'the broker refuses the client id; write another one as client_id',
  0x86: REFUSED_LOGIN,
  0x87: NOT_AUTHORIZED,
  0x88: 'the broker is not available',
  0x89: 'the broker is busy',
  0x8a: 'the broker has banned us',
  0x8b: 'the broker is shutting down',
  0x8d: 'the broker has not heard from us in time',
  0x8e: 'another client came with our client id; give one of the two another client_id',
  0x97: 'the broker’s quota is exceeded',
  0x98: 'an administrator of the broker has closed the connection',
  0x9c: 'the broker asks to use another server',
  0x9d: 'the broker has moved to another server',
  0x9f: 'the broker’s limit of connections in a time is exceeded',
};
const VERSION = new Set([1, 0x84]);
const REFUSED = new Set([2, 4, 5, 0x85, 0x86, 0x87, 0x8a, 0x9c, 0x9d]);

/** What the broker said with a reason code. */
export function refusal(code: number, words?: string): Failure {
  const text = CODES[code] ?? `the broker closed the connection with reason code ${code}`;
  const kind = VERSION.has(code) ? 'version' : REFUSED.has(code) ? 'refused' : 'other';
  return {
    text: words === undefined || words === '' ? text : `${text} (it says: ${words.slice(0, 200)})`,
    kind,
  };
}

/** The broker sends a packet of more than `mostBytes`. */
export function tooLarge(mostBytes: number): Failure {
  return {
    text: `the broker sends a message of more than ${mostBytes / 1_048_576} MiB, which is not taken`,
    kind: 'size',
  };
}

const UNTRUSTED =
  'its certificate is not trusted here; write the file of the authority that signed it as tls: { ca: … }';

const NETWORK: Readonly<Record<string, string>> = {
  ENOTFOUND: 'unknown host name',
  EAI_AGAIN: 'the host name cannot be looked up at the moment',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  EHOSTDOWN: 'the host is down',
  ETIMEDOUT: 'no answer in time',
  EPROTO: 'no TLS is spoken there, or none that fits; without TLS write mqtt:// or ws://',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS is spoken there; write mqtt:// or ws://, or another port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no TLS is spoken there; write mqtt:// or ws://, or another port',
};

/** Certificates, here and there. */
const CERTIFICATES: Readonly<Record<string, string>> = {
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a client certificate; write tls: { cert: …, key: … }',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE:
    'it ends the TLS handshake; it may want a client certificate: tls: { cert: …, key: … }',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'it does not trust our client certificate',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'it does not take our client certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'our client certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock of this machine is wrong',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is for another host; write a name as url that stands in the certificate',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH:
    'tls: cert and key do not belong together; name the key that the certificate was made with',
};

/** What the network, TLS or the MQTT library said. */
export function networkFailure(error: unknown): Failure {
  const first: unknown = error instanceof AggregateError ? (error.errors[0] ?? error) : error;
  if (!(first instanceof Error)) return { text: String(first).slice(0, 200), kind: 'other' };
  const code = 'code' in first ? first.code : undefined;
  if (typeof code === 'number') return refusal(code);
  if (typeof code === 'string') {
    const known = NETWORK[code];
    if (known !== undefined) return { text: known, kind: 'other' };
    if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
      return { text: 'the broker sends more in one message of its websocket than is taken', kind: 'size' };
    const ofCertificate = CERTIFICATES[code];
    if (ofCertificate !== undefined) return { text: ofCertificate, kind: 'tls' };
    // Its words differ between versions, and name no file.
    if (code.startsWith('ERR_OSSL_') || code === 'ERR_MISSING_PASSPHRASE') {
      const words = opensslWords(first).slice(0, 200);
      const text = `OpenSSL does not take a file of tls: (${words}); \`mqtt2exist check\` tells which one, and why`;
      return { text, kind: 'tls' };
    }
  }
  if (/connack timeout/i.test(first.message))
    return { text: 'no answer to the CONNECT in time', kind: 'other' };
  if (/keepalive timeout/i.test(first.message)) return { text: 'no answer to a ping in time', kind: 'other' };
  const words = /^Unexpected server response: (\d+)/.exec(first.message);
  if (words) {
    const text = `no websocket is served there (HTTP ${words[1] ?? ''}); many brokers serve it at the path /mqtt`;
    return { text, kind: 'other' };
  }
  return { text: first.message.slice(0, 200), kind: 'other' };
}

/** Why a subscription was refused: what the broker said with a reason code. */
export function subackText(code: number): string {
  const texts: Readonly<Record<number, string>> = {
    0x80: 'it does not say why; most often this user may not read it',
    0x87: 'this user may not read it',
    0x8f: 'it does not take this filter',
    0x97: 'too many subscriptions',
    0xa2: 'it does not take wildcards',
  };
  return texts[code] ?? `reason code ${code}`;
}
