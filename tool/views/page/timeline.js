// The timeline: `view` is what is seen of it, [begin, end) in ns from the trace's begin.
const ROW = 19, STRIP = 20, GAP = 12, LEFT = 76, RULER = 26;

class Timeline {
  constructor(trace, canvas, overview) {
    Object.assign(this, { trace, canvas, overview, begin: 0, end: trace.length, scroll: 0, search: null, selected: null, measured: null });
    let y = RULER + 6;
    this.lanes = trace.cpus.map((cpu) => {
      const lane = { cpu, top: y, bars: y + cpu.rows * ROW, bottom: y + cpu.rows * ROW + STRIP };
      y = lane.bottom + GAP;
      return lane;
    });
    this.content = y;
  }

  resize() {
    for (const canvas of [this.canvas, this.overview]) {
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(canvas.clientHeight * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.draw();
  }

  get scale() { return Math.max(1, this.canvas.clientWidth - LEFT) / (this.end - this.begin); }
  x_of(time) { return LEFT + (time - this.begin) * this.scale; }
  time_of(x) { return this.begin + (x - LEFT) / this.scale; }

  show(begin, end) {
    const length = Math.min(this.trace.length, Math.max(20, end - begin));
    const middle = (begin + end) / 2;
    this.begin = Math.min(Math.max(0, middle - length / 2), this.trace.length - length);
    this.end = this.begin + length;
    this.draw();
  }
  zoom(factor, time = (this.begin + this.end) / 2) {
    const length = Math.min(this.trace.length, Math.max(20, (this.end - this.begin) * factor));
    const begin = time - (time - this.begin) * (length / (this.end - this.begin));
    this.show(begin, begin + length);
  }
  move(time, rows = 0) {
    const hidden = Math.max(0, this.content - this.canvas.clientHeight);
    this.scroll = Math.min(hidden, Math.max(0, this.scroll + rows));
    this.show(this.begin + time, this.end + time);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw_now(); });
  }

  draw_now() {
    const style = getComputedStyle(document.documentElement);
    this.style = Object.fromEntries(["back", "panel", "text", "quiet", "line", "accent"].map((name) => [name, style.getPropertyValue("--" + name).trim()]));
    this.dark = document.documentElement.classList.contains("dark");
    const c = this.canvas.getContext("2d"), width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    c.clearRect(0, 0, width, height);
    c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.textBaseline = "middle";
    c.save();
    c.translate(0, -this.scroll);
    for (const lane of this.lanes)
      if (lane.bottom >= this.scroll && lane.top <= this.scroll + height) this.draw_lane(c, lane, width);
    c.restore();
    this.draw_ruler(c, width, height);
    this.draw_overview();
  }

  draw_ruler(c, width, height) {
    c.fillStyle = this.style.back;
    c.fillRect(0, 0, width, RULER);
    const rough = 110 / this.scale, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
    c.textAlign = "left";
    for (let time = Math.ceil(this.begin / step) * step; time <= this.end; time += step) {
      const x = Math.round(this.x_of(time)) + 0.5;
      c.strokeStyle = this.style.line;
      c.globalAlpha = 0.55;
      c.beginPath(); c.moveTo(x, RULER - 8); c.lineTo(x, height); c.stroke();
      c.globalAlpha = 1;
      c.fillStyle = this.style.quiet;
      c.fillText(time_text(time, step, this.end), x + 4, 12);
    }
    c.fillStyle = this.style.back;
    c.fillRect(0, 0, LEFT - 1, RULER);
    if (this.measured) {
      const [a, b] = [...this.measured].sort((x, y) => x - y), x0 = this.x_of(a), x1 = this.x_of(b);
      c.fillStyle = this.style.accent;
      c.globalAlpha = 0.16; c.fillRect(x0, 0, x1 - x0, height); c.globalAlpha = 1;
      c.textAlign = "center"; c.fillText(time_text(b - a), (x0 + x1) / 2, RULER - 2);
    }
    if (this.search)
      for (const match of this.visible_matches()) {
        c.fillStyle = "#ff8a00";
        c.fillRect(this.x_of(match.time) - 0.5, RULER - 6, 2, 6);
      }
  }

  // One a pixel.
  *visible_matches() {
    let last = -1;
    for (const match of this.search.found) {
      if (match.time > this.end) return;
      const x = Math.round(this.x_of(match.time));
      if (match.time >= this.begin && x !== last) { last = x; yield match; }
    }
  }

  draw_lane(c, lane, width) {
    const { cpu } = lane;
    c.fillStyle = this.style.panel;
    c.fillRect(LEFT, lane.top, width - LEFT, lane.bottom - lane.top);
    c.save();
    c.beginPath(); c.rect(LEFT, lane.top - 2, width - LEFT, lane.bottom - lane.top + 4); c.clip();
    for (const series of cpu.series) this.draw_series(c, lane, series, width);
    this.draw_events(c, lane, width);
    this.draw_losses(c, lane);
    c.restore();
    c.fillStyle = this.style.text;
    c.textAlign = "left"; c.font = "600 12px system-ui, 'DejaVu Sans', sans-serif";
    c.fillText("CPU " + cpu.cpu, 12, lane.bars - ROW / 2);
    c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.fillStyle = this.style.quiet;
    c.fillText("events", 12, lane.bars + STRIP / 2);
  }

  draw_series(c, lane, series, width) {
    const { begin, end, busy, name } = series, top = lane.bars - (series.row + 1) * ROW;
    let i = first_from(end, this.begin);
    const count = begin.length, is_task = series.context === 0 && series.row === 0;
    while (i < count && begin[i] <= this.end) {
      const x0 = this.x_of(begin[i]), x1 = this.x_of(end[i]);
      const faded = this.search && !this.search.has[name[i]];
      if (x1 - x0 >= 2) {
        c.globalAlpha = faded ? 0.25 : 1;
        c.fillStyle = is_task ? this.task_colour(this.trace.names[name[i]]) : COLOURS[series.context];
        c.fillRect(x0, top + 1, Math.max(1.5, x1 - x0 - 0.7), ROW - 2);
        const from = Math.max(x0, LEFT), room = Math.min(x1, width) - from;
        if (room > 26) this.label(c, this.trace.names[name[i]], from + 5, top + ROW / 2, room - 8, is_task);
        if (this.selected && this.selected.series === series && this.selected.at === i) this.outline(c, x0, top, x1 - x0);
        ++i;
        continue;
      }
      // All that begin in this pixel, as dark as they fill it: what is there is never invisible.
      const pixel = Math.floor(x0), next = Math.max(i + 1, first_from(begin, this.time_of(pixel + 1), i));
      const filled = (busy[next] - busy[i]) * this.scale;
      c.globalAlpha = (faded ? 0.25 : 1) * Math.min(1, Math.max(0.5, filled));
      c.fillStyle = is_task ? this.task_colour(this.trace.names[name[i]]) : COLOURS[series.context];
      c.fillRect(pixel, top + 1, Math.max(1.5, x1 - pixel), ROW - 2);
      if (this.selected && this.selected.series === series && this.selected.at >= i && this.selected.at < next) this.outline(c, pixel - 1, top, 3);
      i = next;
    }
    c.globalAlpha = 1;
  }

  task_colour(name) {
    if (/^(idle|swapper)/.test(name)) return this.dark ? "#3a4250" : "#d3d9e2";
    const hash = colour_of_name(name);
    return `hsl(${150 + hash % 90} ${22 + hash % 17}% ${this.dark ? 36 : 74}%)`;
  }

  label(c, text, x, y, room, is_task) {
    let shown = text;
    const width = c.measureText(text).width;
    if (width > room) {
      const letters = Math.floor(text.length * room / width) - 1;
      if (letters < 2) return;
      shown = text.slice(0, letters) + "…";
    }
    c.fillStyle = is_task ? this.style.text : "#ffffff";
    c.textAlign = "left";
    c.fillText(shown, x, y + 0.5);
  }

  outline(c, x, top, width) {
    c.globalAlpha = 1;
    c.strokeStyle = this.style.text; c.lineWidth = 2;
    c.strokeRect(x, top + 1, Math.max(3, width), ROW - 2);
    c.lineWidth = 1;
  }

  draw_events(c, lane, width) {
    const { time, context, kind } = lane.cpu, low = first_from(time, this.begin), high = first_from(time, this.end);
    const top = lane.bars + 2, bottom = lane.bottom - 2;
    if (high - low > (width - LEFT) / 3) {
      const step = 3, highest = Math.log2(2 + (high - low) * 12 * step / (width - LEFT));
      c.fillStyle = this.style.quiet;
      c.globalAlpha = 0.75;
      for (let x = LEFT, i = low; x < width && i < high; x += step) {
        const next = first_from(time, this.time_of(x + step), i);
        if (next > i) {
          const part = Math.min(1, Math.log2(1 + next - i) / highest);
          c.fillRect(x, bottom - part * (bottom - top), step - 0.5, part * (bottom - top));
        }
        i = next;
      }
      c.globalAlpha = 1;
      return;
    }
    for (let i = low; i < high; ++i) {
      const x = this.x_of(time[i]);
      const faded = this.search && !this.search.kind_has[kind[i]];
      c.globalAlpha = faded ? 0.25 : 1;
      c.fillStyle = context[i] === 0 ? this.style.quiet : COLOURS[context[i]];
      c.fillRect(x - 1, top, 2, bottom - top);
      const room = (i + 1 < time.length ? this.x_of(time[i + 1]) : width) - x;
      if (room > 44) {
        const name = this.trace.kinds[kind[i]].name, long = c.measureText(name).width;
        if (long < room - 8) { c.fillStyle = this.style.quiet; c.textAlign = "left"; c.fillText(name, x + 4, (top + bottom) / 2 + 0.5); }
      }
      if (this.selected && this.selected.event === i && this.selected.cpu === lane.cpu) {
        c.strokeStyle = this.style.text; c.strokeRect(x - 3.5, top - 0.5, 7, bottom - top + 1);
      }
    }
    c.globalAlpha = 1;
  }

  draw_losses(c, lane) {
    const { losses } = lane.cpu;
    for (let i = 0; i < losses.begin.length; ++i) {
      const x0 = this.x_of(losses.begin[i]), x1 = Math.max(x0 + 3, this.x_of(losses.end[i]));
      if (x1 < LEFT || losses.begin[i] > this.end) continue;
      c.save();
      c.beginPath(); c.rect(x0, lane.top, x1 - x0, lane.bottom - lane.top); c.clip();
      c.fillStyle = "#d946ef"; c.globalAlpha = 0.14;
      c.fillRect(x0, lane.top, x1 - x0, lane.bottom - lane.top);
      c.strokeStyle = "#c026d3"; c.globalAlpha = 0.8;
      const height = lane.bottom - lane.top, from = Math.max(x0, LEFT), to = Math.min(x1, this.canvas.clientWidth);
      c.beginPath();
      for (let x = from - (from % 7) - height; x < to; x += 7) { c.moveTo(x, lane.bottom); c.lineTo(x + height, lane.top); }
      c.stroke();
      c.globalAlpha = 1;
      if (to - from > 60) { c.fillStyle = "#c026d3"; c.textAlign = "left"; c.fillText(losses.count[i] + " lost", from + 5, lane.top + 8); }
      c.restore();
    }
  }

  // Drawn once for each size and theme; then only the frame moves.
  draw_overview() {
    const canvas = this.overview, width = canvas.clientWidth, height = canvas.clientHeight, c = canvas.getContext("2d");
    const key = width + " " + this.dark + " " + canvas.width;
    if (this.overview_key !== key) {
      this.overview_key = key;
      this.densities = new Float64Array(width);
      for (const { time } of this.trace.cpus)
        for (let x = 0, i = 0; x < width; ++x) {
          const next = first_from(time, (x + 1 - LEFT) / (width - LEFT) * this.trace.length, i);
          this.densities[x] += next - i;
          i = next;
        }
      this.densest = Math.log2(1 + this.densities.reduce((a, b) => Math.max(a, b), 1));
    }
    c.clearRect(0, 0, width, height);
    c.fillStyle = this.style.quiet;
    for (let x = 0; x < width; ++x) {
      const part = Math.log2(1 + this.densities[x]) / this.densest * (height - 12);
      c.fillRect(x, height - 3 - part, 1, part);
    }
    const x_of = (time) => LEFT + time / this.trace.length * (width - LEFT);
    const x0 = x_of(this.begin), x1 = Math.max(x0 + 3, x_of(this.end));
    c.fillStyle = this.style.accent;
    c.globalAlpha = 0.18; c.fillRect(x0, 1, x1 - x0, height - 2); c.globalAlpha = 1;
    c.strokeStyle = this.style.accent; c.strokeRect(x0 + 0.5, 1.5, x1 - x0 - 1, height - 3);
    c.fillStyle = this.style.quiet; c.textAlign = "left"; c.textBaseline = "middle";
    c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.fillText("overview", 12, height / 2);
  }
}
