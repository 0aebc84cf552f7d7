// What the user does. `window.nmisafe` says what is shown: tests ask it.
const by_id = (id) => document.getElementById(id);
const trace = load(JSON.parse(by_id("trace").textContent));
const timeline = new Timeline(trace, by_id("lanes"), by_id("overview"));
const flame = new Flame(trace, by_id("flames"));
const tooltip = by_id("tooltip"), details = by_id("details"), nothing = details.innerHTML;
let match = -1;

// What lies at a place of the lanes.
function found_at(x, y) {
  if (x < LEFT || y < RULER) return null;
  y += timeline.scroll;
  const lane = timeline.lanes.find((one) => y >= one.top && y < one.bottom);
  if (!lane) return null;
  const { cpu } = lane, time = timeline.time_of(x), near = 4 / timeline.scale;
  if (y >= lane.bars) {
    const after = first_from(cpu.time, time), candidates = [after - 1, after].filter((i) => i >= 0 && i < cpu.time.length);
    const event = candidates.sort((a, b) => Math.abs(cpu.time[a] - time) - Math.abs(cpu.time[b] - time))[0];
    if (event !== undefined && Math.abs(cpu.time[event] - time) <= near) return { cpu, time: cpu.time[event], event };
  } else {
    const row = Math.floor((lane.bars - y) / ROW);
    // What is drawn last is on top.
    for (const series of [...cpu.series].reverse()) {
      if (series.row !== row) continue;
      const at = first_from(series.end, time - near / 3);
      if (at < series.end.length && series.begin[at] <= time + near / 3) return { cpu, time: series.begin[at], series, at };
    }
  }
  for (let i = 0; i < cpu.losses.begin.length; ++i)
    if (cpu.losses.begin[i] <= time + near && cpu.losses.end[i] >= time - near) return { cpu, time: cpu.losses.begin[i], loss: i };
  return null;
}

function describe(found) {
  const { cpu } = found, at = (time) => time_text(time, Math.max(1, Math.min(1000, trace.length / 1e6)));
  if (found.event !== undefined) {
    const where = CONTEXTS[cpu.context[found.event]], depth = cpu.depth[found.event];
    return `<p><b>${escape_html(trace.kinds[cpu.kind[found.event]].name)}</b> <span class="quiet">event at ${at(found.time)} on CPU ${cpu.cpu}, in ${where}${depth ? `, ${depth} context${depth > 1 ? "s" : ""} interrupted` : ""}</span></p>` +
      table_of(fields_of(trace, cpu, found.event));
  }
  if (found.loss !== undefined) {
    const { losses } = cpu, i = found.loss;
    return `<p><b>${losses.count[i]} events lost</b> <span class="quiet">on CPU ${cpu.cpu}</span></p>` +
      table_of([["channel", trace.names[losses.channel[i]]], ["between", at(losses.begin[i])], ["and", at(losses.end[i])]]);
  }
  const { series } = found, begin = series.begin[found.at], end = series.end[found.at];
  const what = series.context ? CONTEXTS[series.context] : "task";
  return `<p><b>${escape_html(trace.names[series.name[found.at]])}</b> <span class="quiet">${what} on CPU ${cpu.cpu}</span></p>` +
    table_of([["from", at(begin)], ["to", at(end)], ["length", time_text(end - begin)],
              ["events", String(first_from(cpu.time, end + 1) - first_from(cpu.time, begin))]]);
}

function describe_node(node) {
  let path = [];
  for (let one = node; one; one = one.above) path.push(one.name);
  return `<p><b>${escape_html(node.name)}</b> <span class="quiet">${node.total} samples, ${flame.percent(node.total)}; ${node.self} in itself</span></p>` +
    `<p class="chain quiet">${path.reverse().map(escape_html).join(" › ")}</p>`;
}

function show_tooltip(html, x, y) {
  tooltip.innerHTML = html;
  tooltip.hidden = false;
  const { width, height } = tooltip.getBoundingClientRect();
  tooltip.style.left = Math.max(4, x + 16 + width > innerWidth ? x - width - 12 : x + 16) + "px";
  tooltip.style.top = Math.max(4, y + 16 + height > innerHeight ? y - height - 12 : y + 16) + "px";
}
const hide_tooltip = () => { tooltip.hidden = true; };

function select(found) {
  timeline.selected = found;
  details.innerHTML = found ? describe(found) : nothing;
  timeline.draw();
}

function zoom_to_selected() {
  if (timeline.measured) {
    const [a, b] = [...timeline.measured].sort((x, y) => x - y);
    timeline.measured = null;
    timeline.show(a, b);
  } else if (timeline.selected) {
    const { series, at, time } = timeline.selected;
    const begin = series ? series.begin[at] : time, end = series ? series.end[at] : time;
    const room = Math.max(200, (end - begin) * 0.15);
    timeline.show(begin - room, end + room);
  }
}

function set_search(text) {
  match = -1;
  const wanted = text.trim();
  timeline.search = wanted ? find_all(trace, wanted) : null;
  flame.search = wanted.toLowerCase() || null;
  const on_flame = !by_id("flame").hidden;
  by_id("matches").textContent = !wanted ? "" : on_flame ?
    `${flame.matching(flame.search)} samples, ${flame.percent(flame.matching(flame.search))}` :
    timeline.search.found.length + " matches";
  timeline.draw();
  if (on_flame) flame.draw();
}

function go_to_match(step) {
  const found = timeline.search?.found ?? [];
  if (!found.length || by_id("timeline").hidden) return;
  if (match < 0) match = step > 0 ? first_from(found.map((one) => one.time), timeline.begin) - 1 : 0;
  match = (match + step + found.length) % found.length;
  by_id("matches").textContent = `${match + 1} of ${found.length}`;
  const one = found[match], length = timeline.end - timeline.begin;
  if (one.time < timeline.begin || one.time > timeline.end) timeline.show(one.time - length / 2, one.time + length / 2);
  const lane = timeline.lanes.find((other) => other.cpu === one.cpu);
  if (lane.top < timeline.scroll || lane.bottom > timeline.scroll + timeline.canvas.clientHeight) timeline.move(0, lane.top - RULER - timeline.scroll);
  select(one);
}

function show_tab(name) {
  for (const tab of ["timeline", "flame"]) {
    by_id(tab).hidden = tab !== name;
    by_id("tab-" + tab).setAttribute("aria-selected", String(tab === name));
  }
  hide_tooltip();
  details.innerHTML = nothing;
  if (name === "timeline") timeline.resize();
  else { flame.draw(); by_id("flame-scroll").scrollTop = 1e6; }
  set_search(by_id("search").value);
}

function toggle_theme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  timeline.draw();
  if (!by_id("flame").hidden) flame.draw();
}

// The lanes: wheel, drag, Shift+drag, click.
function listen_to_lanes() {
  const canvas = timeline.canvas;
  let drag = null;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x] = place(event), sideways = event.shiftKey ? event.deltaY + event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) timeline.move(sideways / timeline.scale);
    else timeline.zoom(Math.exp(event.deltaY * 0.0018), timeline.time_of(Math.max(LEFT, x)));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    drag = { x, y, moved: false, measure: event.shiftKey };
    if (drag.measure) timeline.measured = [timeline.time_of(x), timeline.time_of(x)];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (drag) {
      drag.moved = drag.moved || Math.hypot(x - drag.x, y - drag.y) > 3;
      if (!drag.moved) return;
      hide_tooltip();
      if (drag.measure) { timeline.measured[1] = timeline.time_of(x); timeline.draw(); return; }
      canvas.classList.add("moving");
      timeline.move((drag.x - x) / timeline.scale, drag.y - y);
      drag.x = x; drag.y = y;
      return;
    }
    const found = found_at(x, y);
    if (found) show_tooltip(describe(found), event.clientX, event.clientY); else hide_tooltip();
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("moving");
    if (drag && !drag.moved) { timeline.measured = null; select(found_at(...place(event))); }
    drag = null;
  });
  canvas.addEventListener("pointerleave", hide_tooltip);
  canvas.addEventListener("dblclick", zoom_to_selected);
  const overview = timeline.overview;
  const jump = (event) => {
    if (!(event.buttons & 1)) return;
    const box = overview.getBoundingClientRect(), length = timeline.end - timeline.begin;
    const time = (event.clientX - box.left - LEFT) / (box.width - LEFT) * trace.length;
    timeline.show(time - length / 2, time + length / 2);
  };
  overview.addEventListener("pointerdown", jump);
  overview.addEventListener("pointermove", jump);
}

function listen_to_flame() {
  flame.canvas.addEventListener("mousemove", (event) => {
    const node = flame.at(event.offsetX, event.offsetY);
    if (node) show_tooltip(describe_node(node), event.clientX, event.clientY); else hide_tooltip();
  });
  flame.canvas.addEventListener("mouseleave", hide_tooltip);
  flame.canvas.addEventListener("click", (event) => {
    const node = flame.at(event.offsetX, event.offsetY);
    if (!node) return;
    flame.focus = node;
    flame.draw();
    details.innerHTML = describe_node(node);
  });
  by_id("functions").addEventListener("click", (event) => {
    const cell = event.target.closest("td:last-child");
    if (cell) { by_id("search").value = cell.textContent; set_search(cell.textContent); }
  });
}

const KEYS = {
  w: () => timeline.zoom(0.7), ArrowUp: () => timeline.zoom(0.7), "+": () => timeline.zoom(0.7), "=": () => timeline.zoom(0.7),
  s: () => timeline.zoom(1 / 0.7), ArrowDown: () => timeline.zoom(1 / 0.7), "-": () => timeline.zoom(1 / 0.7),
  a: () => timeline.move((timeline.begin - timeline.end) * 0.15), ArrowLeft: () => timeline.move((timeline.begin - timeline.end) * 0.15),
  d: () => timeline.move((timeline.end - timeline.begin) * 0.15), ArrowRight: () => timeline.move((timeline.end - timeline.begin) * 0.15),
  PageUp: () => timeline.move(0, -200), PageDown: () => timeline.move(0, 200),
  0: () => timeline.show(0, trace.length), Home: () => timeline.show(0, trace.length),
  f: zoom_to_selected, n: () => go_to_match(1), N: () => go_to_match(-1), "/": () => by_id("search").focus(),
  1: () => show_tab("timeline"), 2: () => show_tab("flame"), t: () => toggle_theme(), "?": () => by_id("help").showModal(),
  Escape: () => { timeline.measured = null; by_id("search").value = ""; set_search(""); select(null); hide_tooltip(); },
};

function listen() {
  listen_to_lanes();
  listen_to_flame();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || by_id("help").open) return;
    if (event.target === by_id("search")) {
      if (event.key === "Enter") go_to_match(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { KEYS.Escape(); event.target.blur(); }
      return;
    }
    if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
  });
  by_id("search").addEventListener("input", (event) => set_search(event.target.value));
  const clicks = { in: KEYS.w, out: KEYS.s, fit: KEYS[0], next: KEYS.n, previous: KEYS.N, theme: KEYS.t, "help-button": KEYS["?"],
                   "tab-timeline": KEYS[1], "tab-flame": KEYS[2] };
  for (const [id, action] of Object.entries(clicks)) by_id(id).addEventListener("click", () => action());
  new ResizeObserver(() => by_id("timeline").hidden ? flame.draw() : timeline.resize()).observe(document.querySelector("main"));
  const prefers_dark = matchMedia("(prefers-color-scheme: dark)");
  toggle_theme(prefers_dark.matches);
  prefers_dark.addEventListener("change", () => toggle_theme(prefers_dark.matches));
}

function fill_page() {
  const number = (n, one) => `<b>${n.toLocaleString("en")}</b> ${one}${n === 1 ? "" : "s"}`;
  document.title = by_id("title").textContent = trace.title;
  by_id("facts").innerHTML = [`<b>${time_text(trace.length)}</b>`, number(trace.cpus.length, "CPU"), number(trace.events, "event"),
    trace.lost ? `<b>${trace.lost.toLocaleString("en")}</b> lost` : "none lost", number(trace.samples, "sample"),
    ...trace.facts.map(([name, text]) => `${escape_html(name)} <b>${escape_html(text)}</b>`)].join(" · ");
  const used = new Set(trace.cpus.flatMap((cpu) => cpu.series.map((one) => one.context)));
  by_id("legend").innerHTML = `<span><i style="background:${timeline_task_sample}"></i>task</span>` +
    [7, 1, 2, 3, 4, 5, 6].filter((context) => used.has(context)).map((context) =>
      `<span><i style="background:${COLOURS[context]}"></i>${CONTEXTS[context]}</span>`).join("") +
    (trace.lost ? '<span><i style="background:repeating-linear-gradient(135deg,#c026d3 0 2px,transparent 2px 5px)"></i>events lost</span>' : "") +
    "<span>wheel or w/s: zoom · drag or a/d: move · /: search · ?: help</span>";
  by_id("functions").innerHTML = trace.samples ?
    "<h2>Where the samples were</h2><table><tr><th>itself</th><th>with callees</th><th>function</th></tr>" + flame.functions().slice(0, 200).map((one) =>
      `<tr><td>${one.self} (${flame.percent(one.self)})</td><td>${one.total}</td><td>${escape_html(one.name)}</td></tr>`).join("") + "</table>" :
    "<h2>No samples</h2><p>The trace has no <b>sample</b> events: nothing took samples while it was recorded.</p>";
}

const timeline_task_sample = "hsl(190 30% 62%)";
fill_page();
listen();
show_tab(location.hash === "#flame" ? "flame" : "timeline");
window.nmisafe = {
  trace, timeline, flame,
  summary: () => ({ cpus: trace.cpus.map((one) => ({ cpu: one.cpu, rows: one.rows, spans: one.spans, events: one.time.length, lost: one.lost })),
                    samples: trace.samples, functions: flame.functions() }),
  // Where in the window a time and a row (-1: the events) of a CPU is.
  place: (cpu, row, time) => {
    const lane = timeline.lanes.find((one) => one.cpu.cpu === cpu), box = timeline.canvas.getBoundingClientRect();
    return { x: box.left + timeline.x_of(time), y: box.top - timeline.scroll + (row < 0 ? lane.bars + STRIP / 2 : lane.bars - (row + 0.5) * ROW) };
  },
};
