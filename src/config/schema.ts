/**
 * The configuration as users write it: validator, defaults, editor schema and reference, all from here.
 */
import * as z from 'zod';
import { isTimeZone } from '../core/time.ts';
import { topicProblem } from '../core/topic.ts';
import { attributes } from './attributes.ts';
import { broker } from './broker.ts';
import { connections } from './connections.ts';
import { duration, filePath, notYet, secret, section, text, wholeNumber, wrong } from './kinds.ts';
import { web } from './listen.ts';
import { mapping } from './mapping.ts';

const EXIST_URL_HINT = 'write https://exist.io, or sandbox for a local Exist';

const existUrl = z
  .string(wrong('is not a URL', EXIST_URL_HINT))
  .transform((given, context) => {
    const url = given.trim();
    if (url === 'sandbox') return url;
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    const isBase = parsed && /^https?:$/.test(parsed.protocol) && parsed.search === '' && parsed.hash === '';
    if (!isBase) context.addIssue({ code: 'custom', message: `is not a URL; ${EXIST_URL_HINT}` });
    else if (parsed.username !== '' || parsed.password !== '') {
      context.addIssue({
        code: 'custom',
        message: 'must not carry a password; write the token as exist.token',
      });
    } else return url.replace(/\/+$/, '');
    return z.NEVER;
  })
  .meta({ title: 'URL, or `sandbox`', examples: ['https://exist.io', 'sandbox'] });

const exist = section({
  url: existUrl
    .prefault('https://exist.io')
    .describe(
      'Exist’s base URL. The word `sandbox` starts a local Exist inside the daemon, to try things out.',
    ),
  token: secret()
    .optional()
    .describe(
      'The personal token of your developer app at Exist. `${EXIST_TOKEN}` takes it from the environment. Needed, or `token_file`, or `client_id` with its secret, unless `url` is `sandbox`.',
    ),
  token_file: filePath().optional().describe('A file with the token in it, instead of `token`.'),
  client_id: secret('a client id')
    .optional()
    .describe(
      'Instead of a token: the client id of your app at Exist, for `mqtt2exist login` (OAuth2). The bridge then gets no more rights than its attributes need, and renews its tokens itself.',
    )
    .meta({ title: 'text' }),
  client_secret: secret('a client secret')
    .optional()
    .describe('The secret of `client_id`. `${EXIST_CLIENT_SECRET}` takes it from the environment.'),
  client_secret_file: filePath()
    .optional()
    .describe('A file with the secret in it, instead of `client_secret`.'),
  timeout: duration('100ms', '10m')
    .prefault('30s')
    .describe('One HTTP call, from connecting to the last byte.'),
  settle: duration('100ms', '1d')
    .prefault('90s')
    .describe('How long a call whose outcome is unknown rests before its values are read back.'),
  calls_per_hour: wholeNumber(10, 100_000)
    .default(300)
    .describe(
      'The account’s limit. The bridge keeps a tenth of it for reading back what became of calls whose outcome is unknown; where the rest is used up, the status says when the next call is made.',
    ),
  sandbox_port: wholeNumber(0, 65_535)
    .default(0)
    .describe(
      'With `url: sandbox`: the port on 127.0.0.1 where the local Exist listens; 0 for any free one.',
    ),
});

const flush = section({
  every: duration('0s', '1d')
    .prefault('5m')
    .describe(
      'While counts keep coming, Exist is told at most this often. The first count after a quiet spell goes at once, after `linger`.',
    ),
  linger: duration('0s', '1h').prefault('2s').describe('Waits this long for more before a call.'),
  batch: wholeNumber(1, 35).default(35).describe('Items in a call. Exist takes 35 at most.'),
});

const demo = section({
  fridge_door: section({
    every: duration('500ms', '1d').prefault('8s').describe('From one opening to the next, on average.'),
    topic: text(1_000)
      .superRefine((topic, context) => {
        const message = topicProblem(topic);
        if (message !== undefined) context.addIssue({ code: 'custom', message });
      })
      .prefault('kitchen/fridge/door')
      .describe('Where it publishes `open` and `closed`.')
      .meta({ title: 'topic' }),
  })
    .optional()
    .describe(
      'A simulated reed switch on a fridge door: an MQTT client that connects to the embedded broker.',
    ),
});

export const configuration = z
  .strictObject({
    data_dir: filePath()
      .default('./data')
      .describe(
        'The folder of the database; made with mode 0700 where it is missing. Best not on a RAM disk: what is counted lives here until Exist has it.',
      )
      .meta({ title: 'folder' }),
    timezone: text(100)
      .refine(isTimeZone, 'is not a time zone that this machine knows; write a name such as Europe/Berlin')
      .optional()
      .describe(
        'The zone of your days, an IANA name. Default: the Exist account’s own, remembered for starts without a network.',
      )
      .meta({ title: 'time zone', examples: ['Europe/Berlin'] }),
    exist: exist.prefault({}).describe('Your account at Exist.'),
    flush: flush.prefault({}).describe('When counts are sent.'),
    broker,
    connections,
    web,
    attributes,
    mappings: z
      .array(mapping, wrong('is not a list of mappings', 'begin each with `- topic: …`'))
      .min(
        1,
        'is empty; write at least one mapping, as in - { topic: kitchen/fridge/door, attribute: fridge_opens, count: { when: open } }',
      )
      .max(1_000, 'is too long; write at most 1000 mappings')
      .describe('What messages count. The only key that must be there.'),
    demo: demo.optional().describe('Simulated devices for trying the bridge out; absent: none.'),
    home_assistant: notYet('discovery by Home Assistant', 'take the key out'),
  })
  .describe('Configuration of mqtt2exist.');

export type Configuration = z.output<typeof configuration>;
