// The flame graph: a tree whose nodes are as wide as the samples they are part of. The root is "all samples".
const FLAME_ROW = 20;

class Flame {
  constructor(trace, canvas) {
    Object.assign(this, { trace, canvas, search: null });
    const { name, parent, samples } = trace.calls;
    this.nodes = name.map((index, i) => ({ name: trace.names[index], parent: parent[i], self: samples[i], total: samples[i], children: [] }));
    this.root = { name: "all samples", self: 0, total: trace.samples, children: [], depth: 0 };
    // A parent stands before its children.
    for (let i = this.nodes.length - 1; i >= 0; --i) {
      const node = this.nodes[i], above = node.parent < 0 ? this.root : this.nodes[node.parent];
      if (node.parent >= 0) above.total += node.total;
      above.children.push(node);
      node.above = above;
    }
    for (const node of this.nodes) node.depth = node.above.depth + 1;
    for (const node of [this.root, ...this.nodes]) node.children.sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
    this.focus = this.root;
  }

  // Self and total of each function; one that calls itself counts once.
  functions() {
    const by_name = new Map();
    for (const node of this.nodes) {
      if (!by_name.has(node.name)) by_name.set(node.name, { name: node.name, self: 0, total: 0 });
      const one = by_name.get(node.name);
      one.self += node.self;
      let inside = false;
      for (let above = node.above; above && !inside; above = above.above) inside = above.name === node.name;
      if (!inside) one.total += node.total;
    }
    return [...by_name.values()].sort((a, b) => b.self - a.self || b.total - a.total || (a.name < b.name ? -1 : 1));
  }

  place() {
    const width = this.canvas.clientWidth;
    this.placed = [];
    let deepest = this.focus.depth;
    // Below the focus its callers have all the width.
    for (let node = this.focus.above; node; node = node.above) this.placed.push({ node, x: 0, width });
    const put = (node, x, scale) => {
      if (node.total * scale < 0.7) return;
      this.placed.push({ node, x, width: node.total * scale });
      deepest = Math.max(deepest, node.depth);
      for (const child of node.children) { put(child, x, scale); x += child.total * scale; }
    };
    put(this.focus, 0, width / Math.max(1, this.focus.total));
    return deepest + 1;
  }

  draw() {
    const rows = this.place(), ratio = window.devicePixelRatio || 1, height = rows * FLAME_ROW + 8;
    this.canvas.style.height = height + "px";
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(height * ratio);
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.textBaseline = "middle"; c.textAlign = "left";
    for (const one of this.placed) {
      one.y = height - 4 - (one.node.depth + 1) * FLAME_ROW;
      const hash = colour_of_name(one.node.name), hit = this.search && one.node.name.toLowerCase().includes(this.search);
      c.fillStyle = hit ? "#b04ad8" : one.node === this.root ? "#c9ced6" : `hsl(${12 + hash % 38} ${72 + hash % 20}% ${62 + (hash >> 8) % 10}%)`;
      c.globalAlpha = one.node.depth < this.focus.depth ? 0.55 : this.search && !hit ? 0.45 : 1;
      c.fillRect(one.x, one.y + 0.5, Math.max(0.7, one.width - 0.6), FLAME_ROW - 1.2);
      c.globalAlpha = 1;
      if (one.width > 30) {
        let text = one.node.name;
        const wide = c.measureText(text).width;
        if (wide > one.width - 8) text = text.slice(0, Math.max(0, Math.floor(text.length * (one.width - 8) / wide) - 1)) + "…";
        c.fillStyle = hit ? "#fff" : "#201a14";
        if (text.length > 2) c.fillText(text, one.x + 4, one.y + FLAME_ROW / 2 + 0.5);
      }
    }
  }

  at(x, y) { return this.placed && this.placed.find((one) => x >= one.x && x < one.x + one.width && y >= one.y && y < one.y + FLAME_ROW)?.node; }

  // Samples of which a function that matches is part.
  matching(text) {
    const count = (node) => node.name.toLowerCase().includes(text) ? node.total : node.children.reduce((sum, child) => sum + count(child), 0);
    return count(this.root);
  }

  percent(samples) { return (100 * samples / Math.max(1, this.trace.samples)).toFixed(1) + " %"; }
}
