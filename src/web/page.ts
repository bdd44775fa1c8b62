/**
 * The status page: today's totals at a glance, self-contained, fed by `/api/status`. What it shows it puts in as
 * text, never as markup.
 */
import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --bad: #c33; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.problem { border-left: 4px solid var(--bad); padding-left: .6rem; margin: .5rem 0; }
#state { opacity: .75; }`;

const SCRIPT = `
const text = (id, words) => { document.getElementById(id).textContent = words; };
const rows = (id, list) => {
  const body = document.getElementById(id);
  body.replaceChildren(...list.map((cells) => {
    const row = document.createElement('tr');
    for (const cell of cells) {
      const data = document.createElement('td');
      data.textContent = cell === null ? '–' : String(cell);
      if (typeof cell === 'number') data.className = 'number';
      row.append(data);
    }
    return row;
  }));
};
const refresh = async () => {
  try {
    const answer = await fetch('api/status');
    const status = await answer.json();
    text('state', 'Exist: ' + status.exist.state + ' · ' + status.exist.url + ' · ' + status.exist.calls_left +
      ' calls left this hour' + (status.broker ? ' · ' + status.broker.clients + ' devices connected' : ''));
    const problems = document.getElementById('problems');
    problems.replaceChildren(...status.problems.map((problem) => {
      const line = document.createElement('p');
      line.className = 'problem';
      line.textContent = problem;
      return line;
    }));
    rows('today', status.today.map((row) => [row.attribute, row.total, row.delivered]));
    rows('queue', Object.entries(status.queue).map(([name, value]) => [name.replaceAll('_', ' '), value]));
    rows('readings', Object.entries(status.readings));
    const held = status.held_attributes.flatMap(({ attribute, reason, days }) => [
      [attribute, null, 'held as a whole', null, reason],
      ...days.map(({ day, state, amount }) => [attribute, day, state, amount, null])]);
    rows('held', status.held.map((row) => [row.attribute, row.day, row.state, row.amount, row.reason]).concat(held));
    rows('refused', status.refused_readings.slice(0, 5).map((row) => [row.topic, row.payload, row.reason]));
    document.getElementById('held-part').hidden = status.held.length + held.length === 0;
    document.getElementById('refused-part').hidden = status.refused_readings.length === 0;
  } catch {
    text('state', 'The daemon does not answer.');
  }
};
refresh();
setInterval(refresh, 5000);`;

function hashOf(source: string): string {
  return `'sha256-${createHash('sha256').update(source).digest('base64')}'`;
}

/** Only this page's own style and script may run, and only this server be asked. */
export const PAGE_POLICY =
  `default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; ` +
  `script-src ${hashOf(SCRIPT)}; style-src ${hashOf(STYLE)}`;

export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mqtt2exist</title>
<style>${STYLE}</style>
<h1>mqtt2exist</h1>
<p id="state">Loading…</p>
<div id="problems" role="status"></div>
<h2>Today</h2>
<table><thead><tr><th>Attribute<th class="number">Counted<th class="number">At Exist</thead><tbody id="today"></tbody></table>
<div id="held-part" hidden><h2>Held for you</h2>
<table><thead><tr><th>Attribute<th>Day<th>State<th class="number">Amount<th>Reason</thead><tbody id="held"></tbody></table></div>
<div id="refused-part" hidden><h2>Readings that could not be read</h2>
<table><thead><tr><th>Topic<th>Payload<th>Reason</thead><tbody id="refused"></tbody></table></div>
<h2>Queue</h2>
<table><tbody id="queue"></tbody></table>
<h2>Readings</h2>
<table><tbody id="readings"></tbody></table>
<script>${SCRIPT}</script>
</html>
`;
