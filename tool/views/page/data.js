"use strict";
// The trace as the page holds it: what the JSON says, with times as sums, and spans by row and context.
const CONTEXTS = ["thread", "softirq", "interrupt", "trap", "NMI", "#MC", "#DB", "system call"];
const COLOURS = ["#8fa3b8", "#2a9d8f", "#e9a23b", "#4c83e6", "#d83a3a", "#b5179e", "#8a8d2f", "#9a7bd0"];
// What is small and matters is drawn last.
const DRAWING_ORDER = [0, 7, 1, 2, 3, 6, 4, 5];

function sums(deltas) {
  const result = new Float64Array(deltas.length);
  let time = 0;
  for (let i = 0; i < deltas.length; ++i) result[i] = time += deltas[i];
  return result;
}

// The first index whose value is not below, or `list.length`.
function first_from(list, value, low = 0) {
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function load_spans(from) {
  const begins = sums(from.begin);
  const groups = new Map();
  for (let i = 0; i < begins.length; ++i) {
    const key = from.row[i] * 8 + from.context[i];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  const series = [];
  for (const [key, members] of groups) {
    const one = { row: key >> 3, context: key & 7, begin: new Float64Array(members.length), end: new Float64Array(members.length),
                  name: new Uint32Array(members.length), busy: new Float64Array(members.length + 1) };
    members.forEach((at, i) => {
      one.begin[i] = begins[at];
      one.end[i] = begins[at] + from.length[at];
      one.name[i] = from.name[at];
      one.busy[i + 1] = one.busy[i] + from.length[at];
    });
    series.push(one);
  }
  return series.sort((a, b) => DRAWING_ORDER.indexOf(a.context) - DRAWING_ORDER.indexOf(b.context) || a.row - b.row);
}

function load_cpu(from, kinds) {
  const count = from.events.time.length;
  const value_at = new Uint32Array(count + 1);
  for (let i = 0; i < count; ++i) value_at[i + 1] = value_at[i] + kinds[from.events.kind[i]].fields.length;
  const series = load_spans(from.spans);
  return {
    cpu: from.cpu, series, rows: 1 + Math.max(0, ...series.map((one) => one.row)), spans: from.spans.begin.length,
    time: sums(from.events.time), kind: Uint16Array.from(from.events.kind), context: Uint8Array.from(from.events.context),
    depth: Uint8Array.from(from.events.depth), values: from.events.values, value_at,
    losses: from.losses, lost: from.losses.count.reduce((a, b) => a + b, 0),
  };
}

function load(json) {
  if (json.version !== 1) throw new Error("a trace of version " + json.version + ", this page knows 1");
  const trace = { title: json.title, facts: json.facts, begin: BigInt(json.begin), length: Math.max(1, json.length),
                  names: json.names, kinds: json.kinds, calls: json.calls };
  trace.cpus = json.cpus.map((one) => load_cpu(one, json.kinds));
  trace.events = trace.cpus.reduce((total, one) => total + one.time.length, 0);
  trace.lost = trace.cpus.reduce((total, one) => total + one.lost, 0);
  trace.samples = json.calls.samples.reduce((a, b) => a + b, 0);
  return trace;
}

// [[field, text], ...]
function fields_of(trace, cpu, event) {
  const kind = trace.kinds[cpu.kind[event]];
  return kind.fields.map(([name, is_text], i) => {
    const value = cpu.values[cpu.value_at[event] + i];
    return [name, is_text ? trace.names[value] : String(value)];
  });
}

// All that has the text in it, in the order of time: {cpu, time, event} or {cpu, time, series, at}.
function find_all(trace, text) {
  const wanted = text.toLowerCase();
  const has = trace.names.map((name) => name.toLowerCase().includes(wanted));
  const kind_has = trace.kinds.map((kind) => kind.name.toLowerCase().includes(wanted));
  const found = [];
  for (const cpu of trace.cpus) {
    for (const series of cpu.series)
      for (let at = 0; at < series.name.length; ++at)
        if (has[series.name[at]]) found.push({ cpu, time: series.begin[at], series, at });
    for (let event = 0; event < cpu.time.length; ++event) {
      const fields = trace.kinds[cpu.kind[event]].fields;
      let hit = kind_has[cpu.kind[event]];
      for (let i = 0; i < fields.length && !hit; ++i) {
        const value = cpu.values[cpu.value_at[event] + i];
        hit = fields[i][1] ? has[value] : String(value) === wanted;
      }
      if (hit) found.push({ cpu, time: cpu.time[event], event });
    }
  }
  found.sort((a, b) => a.time - b.time);
  return { found, has, kind_has };
}

// In the unit that fits `like`, exact to `step`.
function time_text(ns, step = 0, like = ns) {
  const size = Math.max(Math.abs(like), step);
  const [unit, name] = size >= 1e9 ? [1e9, "s"] : size >= 1e6 ? [1e6, "ms"] : size >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  const digits = step ? Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9)) : unit === 1 ? 0 : 3;
  return (ns / unit).toFixed(Math.min(digits, 9)) + " " + name;
}

function colour_of_name(name) {
  let hash = 7;
  for (let i = 0; i < name.length; ++i) hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
  return hash;
}

function escape_html(text) {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}

function table_of(pairs) {
  return '<div class="fields">' + pairs.map(([name, text]) =>
    `<div><b>${escape_html(name)}</b><span>${escape_html(text)}</span></div>`).join("") + "</div>";
}
