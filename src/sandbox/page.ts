/**
 * What a person's browser shows: today's values, and the calls that made them.
 */
import { escapeHtml } from './http.ts';
import type { SandboxState } from './sandbox.ts';
import { describeValueType } from './templates.ts';

export function statePage({ today, timezone, attributes, calls, faults }: SandboxState): string {
  const values = attributes.map(({ name, label, value_type, owner, values }) => [
    label,
    name,
    describeValueType(value_type),
    String(values[today] ?? '—'),
    owner ?? 'nobody',
  ]);
  const recent = [...calls]
    .reverse()
    .map((call) => [
      new Date(call.at).toISOString().slice(11, 19),
      `${call.method} ${call.path}`,
      call.items,
      call.outcome,
      call.fault ?? '',
    ]);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>A local Exist</title>
<style>body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em;color-scheme:light dark}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2em .8em .2em 0;border-bottom:1px solid #8884}
td{overflow-wrap:anywhere}</style>
<h1>A local Exist</h1>
<h2>Today, ${today} (${escapeHtml(timezone)})</h2>
${table(['Attribute', 'Name', 'Type', 'Today', 'Owner'], values, 'No attributes yet: nothing has been acquired or created.')}
<h2>Last calls (UTC)</h2>
${table(['At', 'Call', 'Items', 'Answer', 'Fault'], recent, 'No calls yet.')}
<p>${faults.length === 0 ? 'No faults are set.' : `${faults.length} faults are set.`}</p></html>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[], none: string): string {
  if (rows.length === 0) return `<p>${none}</p>`;
  const header = head.map((text) => `<th>${text}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((text) => `<td>${escapeHtml(text)}</td>`).join('')}</tr>`);
  return `<table><tr>${header}</tr>\n${body.join('\n')}</table>`;
}
