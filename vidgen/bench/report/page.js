"use strict";
// Everything out of the database reaches the page as text or as a number, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  };
  const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const words = (kind) => kind.replaceAll("_", " ");
  const figure = (value) => {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    return size >= 1e4 && size < 1e9 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  };
  const span = (low, high) => (low === null || high === null ? "" : `${figure(low)} to ${figure(high)}`);
  const unique = (values) => [...new Set(values)];

  const select = (label, options, chosen, change) => {
    const input = el("select", { onchange: () => change(input.value) });
    for (const [value, text] of options) input.append(el("option", { value, selected: String(value) === String(chosen) }, text));
    return el("label", {}, label, input);
  };
  const check = (label, change) => {
    const input = el("input", { type: "checkbox", onchange: () => change(input.checked) });
    return el("label", { class: "check" }, input, label);
  };

  const tip = byId("tip");
  const tell = (text, event) => {
    tip.textContent = text;
    tip.hidden = !text;
    if (!text) return;
    const box = event.target.getBoundingClientRect();
    const [x, y] = event.clientX ? [event.clientX, event.clientY] : [box.right, box.bottom];
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - tip.offsetHeight - 8))}px`;
  };
  const telling = (text) => ({
    tabindex: 0, "aria-label": text, onmousemove: (event) => tell(text, event), onmouseleave: () => tell(""),
    onfocus: (event) => tell(text, event), onblur: () => tell(""),
  });

  // The filter holds for everything on the page that is about single rows or combinations.

  const wanted = { text: "", run: "", parts: data.kinds.map(() => "") };
  const fits = (parts, run, more = "") =>
    parts.every((part, i) => !wanted.parts[i] || !part || part === wanted.parts[i]) &&
    (!wanted.run || run === null || run === wanted.run) &&
    wanted.text.split(/\s+/).every((word) => `${parts.join(" ")} ${run ?? ""} ${more}`.toLowerCase().includes(word));
  const rowFits = (i) => { const row = data.rows[i]; return fits(row.parts, row.run, `${row.status} ${row.reason}`); };
  const drawn = [];
  const refresh = () => {
    let count = 0;
    for (const node of document.querySelectorAll("[data-row]")) {
      node.hidden = !rowFits(Number(node.dataset.row));
      if (!node.hidden && node.tagName === "TR") count += 1;
    }
    for (const node of document.querySelectorAll("section[data-run]")) node.hidden = Boolean(wanted.run) && node.dataset.run !== wanted.run;
    byId("count").textContent = `${count} of ${data.rows.length} rows`;
    drawn.forEach((again) => again());
  };
  {
    const search = el("input", { type: "search", id: "search", placeholder: "words", oninput: () => { wanted.text = search.value.toLowerCase().trim(); refresh(); } });
    byId("filter").append(el("label", {}, "find", search));
    data.kinds.forEach((kind, i) => {
      const names = unique(data.rows.map((row) => row.parts[i]).filter(Boolean));
      byId("filter").append(select(words(kind), [["", "all"], ...names.map((name) => [name, name])], "", (value) => { wanted.parts[i] = value; refresh(); }));
    });
    byId("filter").append(
      select("suite", [["", "all"], ...unique(data.rows.map((row) => row.run)).map((run) => [run, run])], "", (value) => { wanted.run = value; refresh(); }),
      el("output", { id: "count" }));
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
    byId("filter").hidden = false;
  }

  // Tables sort by a click on their head; empty cells stay last.

  const sort = (table, head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (line) => line.cells[column].dataset.value ?? line.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = "number" in head.dataset ? x - y : x.localeCompare(y);
      return down ? -order : order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if ("fixed" in head.dataset) return;
      const button = el("button", { type: "button", onclick: () => sort(table, head, column) }, ...head.childNodes);
      head.append(button);
    });
  }

  // Plots: scales with round ticks, linear or logarithmic.

  const W = 860, H = 440, LEFT = 70, RIGHT = 20, TOP = 14, BOTTOM = 48;
  const scale = (values, from, to, log) => {
    const kept = values.filter((v) => Number.isFinite(v) && (!log || v > 0)).map((v) => (log ? Math.log10(v) : v));
    let [low, high] = [Math.min(...kept), Math.max(...kept)];
    const pad = (high - low || Math.abs(high) || 1) * 0.06;
    [low, high] = [low - pad, high + pad];
    const at = (v) => from + (((log ? Math.log10(v) : v) - low) / (high - low)) * (to - from);
    const ticks = [];
    if (log && high - low > 0.6) {
      for (let e = Math.floor(low); e <= high; e += 1)
        for (const m of high - low > 3 ? [1] : [1, 2, 5]) if (Math.log10(m) + e >= low && Math.log10(m) + e <= high) ticks.push(m * 10 ** e);
    } else {
      const rough = (high - low) / 6, ten = 10 ** Math.floor(Math.log10(rough));
      const step = ten * [1, 2, 5, 10].find((m) => m * ten >= rough);
      for (let v = Math.ceil(low / step) * step; v <= high; v += step) ticks.push(log ? 10 ** v : Math.abs(v) < step / 1e6 ? 0 : v);
    }
    return { at, ticks };
  };
  const plot = (xs, ys, xLabel, yLabel, logX, logY) => {
    const x = scale(xs, LEFT, W - RIGHT, logX), y = scale(ys, H - BOTTOM, TOP, logY);
    const root = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": `${yLabel} against ${xLabel}` });
    for (const v of x.ticks) root.append(
      draw("line", { class: "grid", x1: x.at(v), x2: x.at(v), y1: TOP, y2: H - BOTTOM }),
      draw("text", { x: x.at(v), y: H - BOTTOM + 18, "text-anchor": "middle" }, figure(v)));
    for (const v of y.ticks) root.append(
      draw("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y.at(v), y2: y.at(v) }),
      draw("text", { x: LEFT - 8, y: y.at(v) + 4, "text-anchor": "end" }, figure(v)));
    root.append(
      draw("text", { x: (LEFT + W - RIGHT) / 2, y: H - 8, "text-anchor": "middle" }, xLabel),
      draw("text", { transform: `translate(14 ${(TOP + H - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
    return { root, x: x.at, y: y.at };
  };
  const colours = (names) => {
    const known = unique(names);
    return { of: (name) => `c${Math.min(known.indexOf(name), 7)}`, legend: el("div", { class: "legend" }, ...known.map((name, i) =>
      el("span", {}, draw("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, draw("circle", { class: `c${Math.min(i, 7)}`, cx: 6, cy: 6, r: 5 })), name || "any"))) };
  };
  const kindOptions = data.kinds.map((kind, i) => [i, words(kind)]);
  const varied = (rows) => Math.max(0, data.kinds.findIndex((_, i) => unique(rows.map((row) => row.parts[i])).length > 1));

  // The front, as vidgen.bench.report.pareto.front has it.

  const front = (points, betterX, betterY) => {
    if (!betterX || !betterY) return [];
    const costs = points.map(([x, y]) => [betterX === "less" ? x : -x, betterY === "less" ? y : -y]);
    const order = costs.map((_, i) => i).sort((i, j) => costs[i][0] - costs[j][0] || costs[i][1] - costs[j][1]);
    const found = [];
    for (const i of order) {
      const last = found.length ? costs[found.at(-1)] : null;
      if (!last || costs[i][1] < last[1] || (costs[i][0] === last[0] && costs[i][1] === last[1])) found.push(i);
    }
    return found;
  };
  const nothing = () => el("p", { class: "note" }, "Nothing that fits the filter has these figures.");

  if (data.axes) {
    const options = data.columns.map((column, i) => [i, column.label]);
    const state = { x: data.axes[0], y: data.axes[1], colour: varied(data.systems), logX: false, logY: false };
    const place = el("div", { id: "plot" });
    const set = (name) => (value) => { state[name] = typeof value === "boolean" ? value : Number(value); show(); };
    const show = () => {
      const { x, y } = state, [cx, cy] = [data.columns[x], data.columns[y]];
      const points = data.systems.map((system) => ({ ...system, a: system.points[x], b: system.points[y] }))
        .filter((p) => p.a && p.b && fits(p.parts, null) && (!state.logX || p.a[0] > 0) && (!state.logY || p.b[0] > 0));
      if (!points.length) return place.replaceChildren(nothing());
      const ends = (key) => points.flatMap((p) => p[key].slice(0, 3).filter((v) => v !== null));
      const { root, x: px, y: py } = plot(ends("a"), ends("b"), cx.label, cy.label, state.logX, state.logY);
      const best = front(points.map((p) => [p.a[0], p.b[0]]), cx.better, cy.better);
      const colour = colours(points.map((p) => p.parts[state.colour]));
      root.append(draw("polyline", { class: "front", points: best.map((i) => `${px(points[i].a[0])},${py(points[i].b[0])}`).join(" ") }));
      points.forEach((p, i) => {
        const at = [px(p.a[0]), py(p.b[0])], c = colour.of(p.parts[state.colour]);
        const ok = (log, low) => low !== null && (!log || low > 0);
        if (ok(state.logX, p.a[1])) root.append(draw("line", { class: `span ${c}`, x1: px(p.a[1]), x2: px(p.a[2]), y1: at[1], y2: at[1] }));
        if (ok(state.logY, p.b[1])) root.append(draw("line", { class: `span ${c}`, x1: at[0], x2: at[0], y1: py(p.b[1]), y2: py(p.b[2]) }));
        const say = (column, [value, low, high, n]) => `${column.label}: ${figure(value)}${low === null ? "" : ` (${span(low, high)})`}${n > 1 ? `, ${n} seeds` : ""}`;
        const recipe = data.kinds.map((kind, k) => `${words(kind)}: ${p.parts[k] || "any"}`).join("\n");
        const text = `${recipe}\n${p.sampling ? `sampling: ${p.sampling}\n` : ""}${say(cx, p.a)}\n${say(cy, p.b)}${best.includes(i) ? "\non the front" : ""}`;
        root.append(draw("circle", { class: `dot ${c}${best.includes(i) ? " on" : ""}`, cx: at[0], cy: at[1], r: best.includes(i) ? 7 : 5, "data-system": p.number, ...telling(text) }));
      });
      const words_ = cx.better && cy.better ? `${best.length} of ${points.length} combinations are on the front (dashed): no other beats them in both figures.`
        : "One of these figures has no better side, so there is no front.";
      return place.replaceChildren(root, colour.legend, el("p", { class: "note" }, words_));
    };
    data.systems.forEach((system, i) => { system.number = i; });
    byId("pareto").append(el("div", { class: "controls" },
      select("across", options, state.x, set("x")), check("log", set("logX")), select("up", options, state.y, set("y")), check("log", set("logY")),
      select("colour", kindOptions, state.colour, set("colour"))), place);
    byId("pareto").hidden = false;
    drawn.push(show);
  }

  if (data.swaps.length) {
    const usable = unique(data.swaps.map((swap) => swap.column));
    const state = { column: usable.includes(data.axes?.[1]) ? data.axes[1] : usable[0], base: {} };
    const place = el("div");
    const ahead = (swap, base) => {
      if (swap.old === base) return { name: swap.new, d: swap.difference, r: swap.ratio };
      const turn = ([mean, low, high], f) => [f(mean), high === null ? null : f(high), low === null ? null : f(low)];
      return { name: swap.old, d: turn(swap.difference, (v) => -v), r: swap.ratio && turn(swap.ratio, (v) => 1 / v) };
    };
    const show = () => {
      const column = data.columns[state.column], noise = column.noise;
      place.replaceChildren(...(noise ? [el("p", { class: "note" }, `By its seed alone a combination varies by ${figure(noise[0])} (${noise[1]} measured).`)] : []));
      data.kinds.forEach((kind, k) => {
        const pairs = data.swaps.filter((swap) => swap.column === state.column && swap.kind === k);
        if (!pairs.length) return;
        const names = unique(pairs.flatMap((swap) => [swap.old, swap.new]));
        const base = names.includes(state.base[k]) ? state.base[k] : data.references[state.column][k];
        const lines = pairs.filter((swap) => swap.old === base || swap.new === base).map((swap) => ({ ...ahead(swap, base), n: swap.n, over: swap.over }));
        const far = Math.max(...lines.flatMap((line) => line.d.map((v) => Math.abs(v ?? 0)))) || 1;
        const px = (v) => 110 + (v / far) * 104;
        place.append(
          el("div", { class: "controls" }, select(`${words(kind)} instead of`, names.map((name) => [name, name]), base, (value) => { state.base[k] = value; show(); })),
          el("table", { "data-kind": kind }, el("thead", {}, el("tr", {}, ...["", "difference", "95 %", "", "times", "95 %", "n", ""].map((name) => el("th", { "data-number": Boolean(name) }, name)))),
            el("tbody", {}, ...lines.map(({ name, d, r, n, over }) => {
              const side = ([, low, high], neutral) => (high === null ? "" : high < neutral ? "less" : low > neutral ? "more" : "");
              const sides = unique([side(d, 0), r ? side(r, 1) : ""].filter(Boolean));
              const verdict = sides.length !== 1 ? "" : sides[0] === column.better ? "better" : "worse";
              const bar = draw("svg", { class: "bar", viewBox: "0 0 220 18", "aria-hidden": "true" }, draw("line", { class: "zero", x1: 110, x2: 110, y1: 0, y2: 18 }),
                ...(d[1] === null ? [] : [draw("line", { x1: px(d[1]), x2: px(d[2]), y1: 9, y2: 9 })]), draw("circle", { cx: px(d[0]), cy: 9, r: 4 }));
              const cell = (text) => el("td", { class: "number" }, text);
              return el("tr", {}, el("th", { scope: "row" }, name), cell(figure(d[0])), cell(span(d[1], d[2])), el("td", {}, bar), cell(r ? figure(r[0]) : ""),
                cell(r ? span(r[1], r[2]) : ""), cell(over === "seeds" ? `${n} seeds` : n), el("td", { class: verdict || null }, verdict));
            }))));
      });
    };
    byId("swaps").append(el("div", { class: "controls" },
      select("figure", usable.map((i) => [i, data.columns[i].label]), state.column, (value) => { state.column = Number(value); show(); })), place);
    byId("swaps").hidden = false;
    show();
  }

  if (data.curves.length) {
    const names = unique(data.curves.map((curve) => curve.name));
    const state = { name: names[0], colour: varied(data.curves.map((curve) => data.rows[curve.row])), logX: false, logY: false };
    const place = el("div");
    const labels = (name) => (name.includes(" by ") ? name.split(" by ").reverse() : ["as recorded", name]);
    const show = () => {
      const positive = ([x, y]) => (!state.logX || x > 0) && (!state.logY || y > 0);
      const lines = data.curves.filter((curve) => curve.name === state.name && rowFits(curve.row))
        .map((curve) => ({ row: data.rows[curve.row], points: curve.points.filter(positive) })).filter((line) => line.points.length);
      if (!lines.length) return place.replaceChildren(nothing());
      const all = lines.flatMap((line) => line.points);
      const { root, x, y } = plot(all.map((p) => p[0]), all.map((p) => p[1]), ...labels(state.name), state.logX, state.logY);
      const colour = colours(lines.map((line) => line.row.parts[state.colour]));
      for (const { row, points } of lines) {
        const text = `${row.parts.filter(Boolean).join("\n")}\nseed ${row.seed}\nlast: ${figure(points.at(-1)[1])} at ${figure(points.at(-1)[0])}`;
        const curve = draw("polyline", { class: `curve ${colour.of(row.parts[state.colour])}`, points: points.map((p) => `${x(p[0])},${y(p[1])}`).join(" "), ...telling(text) });
        curve.style.fill = "none";
        root.append(curve);
      }
      return place.replaceChildren(root, colour.legend);
    };
    const set = (name) => (value) => { state[name] = name === "colour" ? Number(value) : value; show(); };
    byId("curves").append(el("div", { class: "controls" }, select("curve", names.map((name) => [name, name]), state.name, set("name")),
      check("log across", set("logX")), check("log up", set("logY")), select("colour", kindOptions, state.colour, set("colour"))), place);
    byId("curves").hidden = false;
    drawn.push(show);
  }

  for (const group of document.querySelectorAll("details.prompt")) {
    const together = () => { for (const video of group.querySelectorAll("video")) if (!video.closest("[hidden]")) { video.currentTime = 0; video.play(); } };
    const stop = () => group.querySelectorAll("video").forEach((video) => video.pause());
    group.querySelector("summary").after(el("div", { class: "controls" },
      el("button", { type: "button", class: "together", onclick: together }, "Play all from the start"), el("button", { type: "button", onclick: stop }, "Stop")));
  }

  refresh();
})();
