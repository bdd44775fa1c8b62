/**
 * The prose of the configuration reference: what the schema cannot say. Markdown.
 */

export const INTRODUCTION = `# Configuration

<!-- Made by \`npm run docs\` from the schema in src/config/; edits here are overwritten. -->

One YAML file, \`mqtt2exist.yaml\` in the current folder unless \`--config\` names another. The least is a token and one
mapping:

\`\`\`yaml
# yaml-language-server: $schema=./config/mqtt2exist.schema.json
exist:
  token_file: ./token
attributes:
  fridge_opens: { label: Fridge opens, group: food, type: integer }
mappings:
  - topic: kitchen/fridge/door
    attribute: fridge_opens
    count: { when: open }
\`\`\`

- \`mqtt2exist check\` tells every problem at once, each with its line and column and what to write instead. A key that
  is not known is an error. \`mqtt2exist try TOPIC PAYLOAD…\` shows what messages would count.
- Whole examples: [config/mqtt2exist.yaml](../config/mqtt2exist.yaml), [config/demo.yaml](../config/demo.yaml), and one
  per family of devices in [config/recipes](../config/recipes). The first line above gives editors the
  [JSON Schema](../config/mqtt2exist.schema.json).
- **Environment.** \`\${NAME}\` in a text is replaced by the environment variable \`NAME\`; one that is not set is an error.
  \`$\${\` stands for a literal \`\${\`. Inside of \`{ }\` and \`[ ]\` such a text needs quotes: \`{ token: "\${EXIST_TOKEN}" }\`.
- **Secrets** can come from a file instead: \`token_file\` in place of \`token\`, \`password_file\` of \`password\`, \`password_hash_file\` of
  \`password_hash\`. The line's end is cut off, so that systemd
  credentials fit (\`token_file: \${CREDENTIALS_DIRECTORY}/token\`).
- **Durations** are a number with a unit: \`500ms\`, \`5s\`, \`10m\`, \`2h\`, \`1d\`. **Sizes** are bytes, or a number with \`B\`,
  \`kB\`, \`KiB\`, \`MB\` or \`MiB\`.
- **Paths** are relative to the folder of the configuration file.
- YAML 1.2: \`on\`, \`off\`, \`yes\` and \`no\` are words, \`true\` and \`false\` are not; conditions take either. Anchors and
  aliases work; tags (\`!secret\`) and merge keys (\`<<\`) are not used.
- SIGHUP reads the file again: whole, or not at all where it has problems. \`data_dir\`, \`broker\` but for its
  \`users\`, \`web\` and \`exist.url\` change with a restart only; the daemon says so.`;

export const ATTRIBUTE_TYPES = `### Types

What the values of an attribute are, and which operations fit. All mappings of one attribute must add up
(\`count\`, \`add\`, \`rise\`, \`duration\`), or all must write the same value of the day (\`set\` or \`time\` with the same
\`pick\`).`;

export const MAPPINGS = `A mapping takes the messages of \`topic\`, reads one value from each payload, and turns it into contributions to one
attribute’s local day. State is kept per mapping and topic (one per door under \`home/+/door\`), survives restarts, and
changes in the same transaction as the contribution. A message can serve several mappings.

\`\`\`yaml
mappings:
  - topic: [home/+/door, garage/door]
    attribute: door_opens
    value: state # {"state":"open","battery":97}
    count: { when: open }
    debounce: 1s
\`\`\`

A mapping’s state belongs to its attribute, operation, topics and \`value\`: change one of them and it starts anew (a
meter with its base line; for \`rise\`, \`scale\` belongs to it too). Conditions, \`debounce\` and all other keys can be
changed without that. Two mappings in which all of these are the same are told apart by their order.`;

export const EXPRESSIONS = `### Expressions

\`value\`, \`if\`, \`id\`, \`at\`, \`age\` and \`rise.instance\` are [JSONata](https://docs.jsonata.org) on the JSON payload; a
dotted path such as \`ENERGY.Power\` is the simplest of it. Keys with other characters in them stand in backticks,
and the whole in quotes: \`\`value: 'params.\`switch:0\`.apower'\`\`.

- A path that finds nothing (a message without that key) is no reading: ignored, state unchanged.
- A path that finds several values (events of one message) gives a reading for each, in their order.
- Running time and memory are bounded; an expression that fails refuses the reading, with the reason shown.`;

export const CONDITIONS = `### Conditions

\`when\`, \`each\`, \`while\` and \`of\` are one of

| condition | holds for |
| --- | --- |
| \`open\` | this word, whatever its case; \`on\`, \`true\` and \`1\` are the same word, so are \`off\`, \`false\` and \`0\` |
| \`[brewing, grinding]\` | any of these words |
| \`{ above: 1000 }\` | numbers greater than this |
| \`{ above: 1000, hysteresis: 200 }\` | the same, and once above, until the number is less than 800 |
| \`{ below: 5 }\` | numbers less than this; with \`hysteresis: n\`, until it is more than 5 + n |
| \`{ between: [10, 20] }\` | numbers from 10 to 20, both included |

Bounds refuse values that are no numbers. The words \`unknown\`, \`unavailable\`, \`none\`, \`null\` and \`nan\` are no readings,
so a condition cannot name them.`;

/** By operation, in the order of the reference. */
export const OPERATION_TEXTS: Readonly<Record<string, string>> = {
  count: `Exactly one of \`when\` and \`each\`.

\`\`\`yaml
count: { when: open } # a door: each change into open
count: { when: { above: 1000 }, hold: 15s } # a coffee machine: 15 seconds above 1000 W
count: { each: [single, double] } # a button: every press
count: { each: any, by: 250 } # every message, whatever it says: 250 ml
\`\`\``,
  add: `A negative amount is refused, unless \`range\` begins below 0.

\`\`\`yaml
add: {} # payload 250: 250 ml
\`\`\``,
  rise: `What was missed while the bridge was away is in the next reading. A step above \`max_step\` is refused and shown; the
second such reading near the first one becomes the new base line, since the meter was exchanged then.

\`\`\`yaml
rise: {} # 1532, 1540: 8
rise: { reset: ignore, max_step: 500 }
rise: { instance: boot } # {"boot":7,"total":120}
\`\`\``,
  duration: `The seconds below a whole minute are kept and carried on. The part so far is counted at least once a minute, and an
open interval survives a restart of the daemon.

\`\`\`yaml
duration: { while: open, max: 15m }
duration: { while: { above: 30, hysteresis: 5 }, max: 8h } # TV time from a plug
\`\`\``,
  set: `\`\`\`yaml
set: {} # the last value of the day
set: { pick: mean, round: 1 } # mean of the readings, one decimal place
\`\`\``,
  time: `Minutes from midnight, or from midday where the attribute’s type asks for that. The day is the local date of the
change.

\`\`\`yaml
time: { of: brewing } # the first coffee
time: { of: off, pick: last } # the last light that went off
\`\`\``,
};

export const RULES = `## Rules that hold for all mappings

- **Replays.** A retained message that is delivered because of a subscription sets the state and counts nothing. So does
  a first-ever reading whose publisher set the retain flag. A first-ever live reading without that flag counts. On the
  embedded broker a publish is seen once, when it is published: its retain flag alone does not make a known topic’s
  message a replay.
- **No readings.** \`unknown\`, \`unavailable\`, \`none\`, \`null\`, \`nan\` (in any case) and empty payloads are ignored; the
  state stays as it is.
- **Numbers** may come as JSON strings, with a unit or a decimal comma (\`412.7g\`, \`72,4\`), with stray white space, CRLF or
  a trailing NUL.
- **Refused readings.** A payload that cannot be read, or a number outside of \`range\`, is counted and shown with its
  reason and a bounded sample of the payload: in \`mqtt2exist status\` and on the status page. It is never guessed at.
  Payloads of more than 64 KiB are refused.
- **Identity.** A message that is sent again by MQTT itself (QoS 1 and 2) counts once without any key. \`id\` is for devices
  that publish the same event several times.
- **Sums are exact.** Decimals are kept to a millionth; attributes of whole numbers and minutes carry the remainder on to
  the next whole unit.
- **The day** is the local date in the configured zone at the time of the event, through changes to and from daylight
  saving time. An event of yesterday that arrives today goes to yesterday.
- **The clock.** While the system clock cannot be trusted yet (a Pi without a real-time clock before it is synchronized),
  readings are taken, acknowledged and kept, and dated when the time is known. Nothing is sent undated.
- **Own topics.** Messages below \`mqtt2exist/\` and \`$SYS/\` are no readings.`;
