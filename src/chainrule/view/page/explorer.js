"use strict";
// Steps through the three sweeps of a trace, links graph and tables, and evaluates the recorded operations
// again when an input is changed. The data are made by chainrule.view.page.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const rows = new Map(data.rows.map((row) => [row.key, row]));
  const nodes = new Map([...document.querySelectorAll(".node")].map((g) => [g.dataset.key, g]));
  const edges = [...document.querySelectorAll(".edge")];
  const tags = new Map([...document.querySelectorAll(".tag")].map((g) => [`${g.dataset.from} ${g.dataset.to}`, g]));

  function element(name, text = "", className = "") {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // -- arithmetic -------------------------------------------------------------------------------------

  const even = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  const same = (x) => x;
  const power = (x, n) => (x === 1 ? 1 : Math.pow(x, n));
  const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
  const larger = (a, b) => (a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))));
  const functions = {
    add: (a, b) => a + b, subtract: (a, b) => a - b, difference: (a, b) => (a === b ? 0 : a - b),
    multiply: (a, b) => a * b, divide: (a, b) => a / b, negative: (a) => -a, positive: same,
    reciprocal: (a) => 1 / a, square: (a) => a * a, sqrt: Math.sqrt, cbrt: Math.cbrt,
    power, float_power: power, pow: power, unit_gap: (x) => (1 - x) * (1 + x),
    power_log: (x, n, k) => (x === 0 ? (n > 0 ? 0 : k % 2 ? -Infinity : Infinity) : power(x, n) * Math.log(x) ** k),
    exp: Math.exp, exp2: (x) => 2 ** x, expm1: Math.expm1, log: Math.log, log2: Math.log2, log10: Math.log10,
    log1p: Math.log1p, logistic: sigmoid, expit: sigmoid, logaddexp: larger,
    sin: Math.sin, cos: Math.cos, tan: Math.tan, arcsin: Math.asin, arccos: Math.acos, arctan: Math.atan,
    arctan2: Math.atan2, sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh, arcsinh: Math.asinh,
    arccosh: Math.acosh, arctanh: Math.atanh, hypot: Math.hypot,
    degrees: (x) => (x * 180) / Math.PI, radians: (x) => (x * Math.PI) / 180,
    absolute: Math.abs, fabs: Math.abs, sign: Math.sign, maximum: Math.max, minimum: Math.min,
    floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, rint: even, floor_divide: (a, b) => Math.floor(a / b),
    remainder: (a, b) => ((a % b) + b) % b, fmod: (a, b) => a % b,
    copysign: (a, b) => (Object.is(b, -0) || b < 0 ? -Math.abs(a) : Math.abs(a)),
    equal: (a, b) => a === b, not_equal: (a, b) => a !== b, less: (a, b) => a < b, less_equal: (a, b) => a <= b,
    greater: (a, b) => a > b, greater_equal: (a, b) => a >= b, where: (c, a, b) => (c ? a : b),
    logical_and: (a, b) => !!(a && b), logical_or: (a, b) => !!(a || b), logical_not: (a) => !a,
    bitwise_and: (a, b) => !!(a & b), bitwise_or: (a, b) => !!(a | b), invert: (a) => !a,
    isnan: Number.isNaN, isfinite: Number.isFinite, isinf: (x) => Math.abs(x) === Infinity,
    sum: same, astype: same, reshape: same, copy: same, broadcast_to: same, stop_gradient: same,
  };
  const numbers = { inf: Infinity, "-inf": -Infinity, nan: NaN };

  function evaluate(code, values) {
    if (typeof code === "number") return code;
    if (typeof code === "string") return numbers[code];
    if (code[0] === "v") return values.get(code[1]);
    if (code[0] === "□") return 1;
    return functions[code[0]](...code.slice(1).map((part) => evaluate(part, values)));
  }

  function unknown(code) {
    if (code === null || code === undefined) return "a constant array";
    if (typeof code === "number") return "";
    if (typeof code === "string") return code in numbers ? "" : code;
    if (code[0] === "v" || code[0] === "□") return "";
    if (!(code[0] in functions)) return code[0];
    return code.slice(1).map(unknown).find(Boolean) || "";
  }

  function whyFixed() {
    if (data.editable) return data.editable;
    const codes = [...data.rows.filter((r) => r.kind !== "input").map((r) => r.expr), ...data.decisions.map((d) => d.code)];
    data.rows.forEach((r) => (r.partials || []).forEach((p) => codes.push(p.code)));
    const missing = codes.map(unknown).find(Boolean);
    return missing ? `the page does not evaluate ${missing}` : "";
  }

  // As "%.6g" writes numbers.
  function shown(x) {
    if (typeof x === "boolean") return String(x);
    if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
    if (x === 0) return "0";
    let [digits, exponent] = x.toExponential(5).split("e");
    if (exponent >= -4 && exponent < 6) return String(Number(x.toPrecision(6)));
    digits = digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
    return `${digits}e${Number(exponent)}`;
  }

  // A partial whose text may be another one at other inputs.
  const chooses = (code) => Array.isArray(code) && (code[0] === "where" || code.slice(1).some(chooses));
  for (const row of data.rows) (row.partials || []).forEach((p) => (p.varies = chooses(p.code)));

  // The seed of the tangents is one input; that of the adjoints is every output.
  function recompute(inputs, direction) {
    const values = new Map(), tangents = new Map(), adjoints = new Map(), partials = new Map();
    for (const row of data.rows) {
      const key = row.key;
      if (row.kind === "input") {
        values.set(key, inputs.get(key));
        tangents.set(key, key === direction ? 1 : 0);
        continue;
      }
      values.set(key, evaluate(row.expr, values));
      if (row.kind === "output") {
        tangents.set(key, row.parents.length ? tangents.get(row.parents[0]) : 0);
        continue;
      }
      const local = row.partials.map((p) => (Number.isNaN(values.get(key)) ? NaN : evaluate(p.code, values)));
      partials.set(key, local);
      tangents.set(key, row.partials.reduce((total, p, k) => total + local[k] * tangents.get(p.of), 0));
    }
    const sums = data.sweep.map((item) => {
      const seed = item.partial < 0;
      const source = rows.get(item.source);
      const place = seed ? -1 : item.slot;
      const adds = seed ? 1 : adjoints.get(item.source) * partials.get(source.key)[place];
      const total = (adjoints.get(item.target) || 0) + adds;
      adjoints.set(item.target, total);
      return { adds, total, local: seed ? null : partials.get(source.key)[place] };
    });
    return { values, tangents, adjoints, partials, sums };
  }

  // Which of the rule's partials an addition uses.
  for (const item of data.sweep) {
    if (item.partial < 0) continue;
    item.slot = (rows.get(item.source).partials || []).findIndex((p) => p.position === item.partial);
  }

  // -- the tables -------------------------------------------------------------------------------------

  const cells = new Map();
  for (const row of data.rows) {
    const tr = element("tr");
    tr.dataset.key = row.key;
    const label = element("td");
    const button = element("button", row.label);
    button.type = "button";
    label.append(button);
    if (row.name) label.append(element("span", row.name, "own"));
    const made = {
      label, formula: element("td", row.formula), value: element("td", row.value, "number"),
      tangentFormula: element("td", row.tangentFormula, "tangent"), tangent: element("td", row.tangent, "number tangent"),
      adjoint: element("td", row.adjoint, "number adjoint"),
      line: element("td", row.places.length ? row.places[0].where : "", "line"),
    };
    tr.append(...Object.values(made));
    tr.addEventListener("click", () => pick(row.key));
    $("rows").tBodies[0].append(tr);
    cells.set(row.key, { tr, ...made });
  }
  for (const decision of data.decisions.filter((d) => d.before)) {
    const tr = element("tr", "", "decision");
    const place = decision.places.length ? decision.places[0].where : "";
    const texts = ["", `${decision.text} ?`, decision.shown, "", "", "", place];
    tr.append(...texts.map((text, k) => element("td", text, k === 2 ? "number" : k === 6 ? "line" : "")));
    cells.get(decision.before).tr.before(tr);
  }
  const additions = data.sweep.map((item) => {
    const tr = element("tr");
    const made = {
      label: element("td", item.label, "adjoint"), formula: element("td", item.formula), local: element("td", item.local || ""),
      adds: element("td", item.adds, "number"), total: element("td", item.total, "number adjoint"),
    };
    tr.append(...Object.values(made));
    tr.addEventListener("click", () => pick(item.partial < 0 ? item.target : item.source));
    $("sweep").tBodies[0].append(tr);
    return { tr, ...made };
  });

  // -- steps ------------------------------------------------------------------------------------------

  const steps = [
    ...data.rows.map((row) => ({ phase: "primal", row })),
    ...data.rows.map((row) => ({ phase: "tangent", row })),
    ...data.sweep.map((item, index) => ({ phase: "adjoint", item, index })),
  ];
  const starts = { primal: 0, tangent: data.rows.length, adjoint: 2 * data.rows.length };
  let position = steps.length, timer = null, picked = null;
  $("position").max = steps.length;

  function adjointsAt(count) {
    const found = new Map();
    for (let k = 0; k < count; k++) found.set(data.sweep[k].target, additions[k].total.textContent || rows.get(data.sweep[k].target).adjoint);
    return found;
  }

  function say(step) {
    const now = $("now");
    now.textContent = "";
    if (!step) return void now.append(position ? "All three sweeps are shown." : "Start: press → or Play.");
    const made = element("b");
    if (step.phase === "adjoint") {
      const line = additions[step.index];
      const local = step.item.partial < 0 ? "" : `   (${line.local.textContent})`;
      made.textContent = `${step.item.label} ${step.item.formula} → adds ${line.adds.textContent}`;
      return void now.append(made, local);
    }
    const cell = cells.get(step.row.key);
    const dotted = step.phase === "tangent" ? "tangent of " : "";
    const formula = (step.phase === "tangent" ? cell.tangentFormula : cell.formula).textContent;
    const value = (step.phase === "tangent" ? cell.tangent : cell.value).textContent;
    made.textContent = `${dotted}${step.row.label} = ${formula}${formula === value ? "" : ` = ${value}`}`;
    now.append(made, step.row.places.length ? `   ${step.row.places[0].where}` : "");
  }

  function show(to, quiet = false) {
    position = Math.max(0, Math.min(steps.length, to));
    $("position").value = position;
    const complete = position === steps.length;
    const primal = complete ? data.rows.length : Math.min(position, data.rows.length);
    const tangent = Math.max(0, Math.min(position - starts.tangent, data.rows.length));
    const swept = Math.max(0, position - starts.adjoint);
    const adjoints = adjointsAt(swept);
    data.rows.forEach((row, k) => {
      const c = cells.get(row.key);
      c.value.classList.toggle("veiled", k >= primal);
      c.tangentFormula.classList.toggle("veiled", k >= tangent);
      c.tangent.classList.toggle("veiled", k >= tangent);
      c.adjoint.textContent = complete ? row.adjoint : adjoints.get(row.key) ?? "";
      c.tr.classList.remove("now");
      nodes.get(row.key).classList.remove("now");
      nodes.get(row.key).classList.toggle("veil", k >= primal);
    });
    additions.forEach((line, k) => {
      line.tr.classList.remove("now");
      for (const cell of [line.adds, line.total]) cell.classList.toggle("veiled", k >= swept);
    });
    edges.forEach((edge) => edge.classList.remove("now"));
    const step = complete || !position ? null : steps[position - 1];
    const phase = step ? step.phase : complete ? "" : "primal";
    document.querySelectorAll("[data-phase]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.phase === phase)));
    if (step) mark(step);
    if (!quiet) say(step);
  }

  function mark(step) {
    const key = step.phase === "adjoint" ? step.item.target : step.row.key;
    const line = step.phase === "adjoint" ? additions[step.index].tr : cells.get(key).tr;
    line.classList.add("now");
    line.scrollIntoView({ block: "nearest" });
    cells.get(key).tr.classList.add("now");
    const node = nodes.get(key);
    node.classList.add("now");
    reveal(node);
    for (const edge of edges) {
      const { from, to } = edge.dataset;
      const here = step.phase === "adjoint" ? from === key && to === step.item.source : to === key;
      edge.classList.toggle("now", here);
    }
    if (picked) pick(key, true);
  }

  function reveal(node) {
    const canvas = $("canvas"), frame = canvas.getBoundingClientRect(), box = node.getBoundingClientRect();
    if (box.top < frame.top + 40 || box.bottom > frame.bottom - 10) canvas.scrollTop += box.top - frame.top - frame.height / 2;
    if (box.left < frame.left || box.right > frame.right) canvas.scrollLeft += box.left - frame.left - frame.width / 2;
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "▶ Play";
    $("play").setAttribute("aria-label", "Play");
  }

  function play() {
    if (timer !== null) return pause();
    if (position === steps.length) show(0);
    $("play").textContent = "❚❚ Pause";
    $("play").setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      show(position + 1);
      if (position === steps.length) pause();
    }, Math.max(120, Math.min(1100, 60000 / steps.length)));
  }

  function jump(to) {
    pause();
    show(to);
  }

  // -- one operation ----------------------------------------------------------------------------------

  function pick(key, following = false) {
    picked = key;
    for (const [k, c] of cells) {
      c.tr.classList.toggle("picked", k === key);
      c.label.firstChild.setAttribute("aria-pressed", String(k === key));
      nodes.get(k).classList.toggle("picked", k === key);
      nodes.get(k).setAttribute("aria-pressed", String(k === key));
    }
    const row = rows.get(key), c = cells.get(key), box = $("details");
    box.textContent = "";
    box.append(element("h2", `${row.label} = ${row.formula}${row.name ? `   (${row.name})` : ""}`));
    const facts = element("dl");
    const add = (name, value) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      facts.append(pair);
    };
    add("value", c.value.textContent);
    add("tangent", c.tangent.textContent);
    if (row.adjoint) add("adjoint", row.adjoint);
    box.append(facts);
    if (row.partials) rule(row, box);
    source(row, box);
    if (!following) reveal(nodes.get(key));
  }

  function rule(row, box) {
    box.append(element("h3", `Rule of ${row.primitive}`));
    const list = element("ul");
    row.partials.forEach((p) => list.append(element("li", p.value === undefined ? `${p.symbol} = ${p.text}` : local(p))));
    if (!row.partials.length) list.append(element("li", "a step function: its derivative is 0 wherever it exists"));
    if (row.tie) list.append(element("li", `where it has a kink: ${row.tie}`));
    box.append(list);
  }

  function source(row, box) {
    for (const place of row.places) {
      const found = data.sources.find((s) => s.id === place.id);
      if (!found) continue;
      box.append(element("h3", place.where ? `${found.function}, ${place.where}` : "The expression"));
      const pre = element("pre");
      pre.tabIndex = 0;
      found.lines.forEach((text, k) => {
        const line = element("span");
        line.append(element("i", found.first + k), text || " ");
        if (found.first + k === place.line) line.className = "here";
        pre.append(line);
      });
      box.append(pre);
      const here = pre.querySelector(".here");
      if (here) pre.scrollTop = here.offsetTop - pre.offsetTop - 60;
    }
  }

  // -- the graph --------------------------------------------------------------------------------------

  for (const [key, node] of nodes) {
    node.querySelector("title")?.remove();
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
    node.addEventListener("click", () => pick(key));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        pick(key);
      }
    });
  }
  const partialText = new Map(data.edges.map((e) => [`${e.source} ${e.target}`, e.text]));
  for (const edge of edges) {
    edge.querySelector("title")?.remove();
    const hit = edge.querySelector("path").cloneNode();
    hit.setAttribute("class", "hit");
    hit.removeAttribute("marker-end");
    edge.prepend(hit);
    edge.setAttribute("tabindex", "0");
    edge.setAttribute("role", "img");
    const tell = (x, y) => {
      $("tip").textContent = edge.getAttribute("aria-label");
      $("tip").hidden = false;
      $("tip").style.left = `${Math.min(x + 14, innerWidth - $("tip").offsetWidth - 8)}px`;
      $("tip").style.top = `${Math.min(y + 14, innerHeight - $("tip").offsetHeight - 8)}px`;
    };
    edge.addEventListener("mousemove", (event) => tell(event.clientX, event.clientY));
    edge.addEventListener("focus", () => {
      const box = edge.getBoundingClientRect();
      tell(box.left + box.width / 2, box.top + box.height / 2);
    });
    for (const name of ["mouseleave", "blur"]) edge.addEventListener(name, () => ($("tip").hidden = true));
  }

  function labelGraph() {
    for (const [key, node] of nodes) {
      const row = rows.get(key);
      node.setAttribute("aria-label", `${row.label} = ${row.formula}, value ${cells.get(key).value.textContent}`);
    }
    for (const edge of edges) {
      const { from, to } = edge.dataset;
      const local = partialText.get(`${from} ${to}`);
      const [a, b] = [rows.get(from).label, rows.get(to).label];
      edge.setAttribute("aria-label", local ? `∂${b}/∂${a} = ${local}` : `${a} goes into ${b}`);
    }
  }

  let scale = 1;
  const drawing = document.querySelector("#canvas svg");
  const [width, height] = drawing.getAttribute("viewBox").split(" ").slice(2).map(Number);
  document.documentElement.style.setProperty("--graph", `${Math.max(400, 1.1 * width + 46)}px`); // the rest is the tables
  function zoom(to) {
    scale = Math.max(0.15, Math.min(3, to));
    drawing.setAttribute("width", width * scale);
    drawing.setAttribute("height", height * scale);
  }
  function fit() {
    const canvas = $("canvas");
    zoom(Math.max(0.7, Math.min(1.1, (canvas.clientWidth - 24) / width)));
  }

  // -- inputs -----------------------------------------------------------------------------------------

  const fixed = whyFixed();
  const fields = new Map();
  let direction = (data.inputs[0] || {}).key;

  function askForInputs() {
    const box = $("inputs");
    if (fixed) return void box.append(element("p", `Inputs are fixed: ${fixed}. The tangent is taken along ${data.inputs.length ? data.inputs[0].name : "nothing"}.`));
    for (const input of data.inputs) {
      const label = element("label", input.name);
      const field = element("input");
      field.type = "number";
      field.step = "any";
      field.value = input.value;
      field.addEventListener("input", update);
      label.append(field);
      box.append(label);
      fields.set(input.key, field);
    }
    const label = element("label", "tangent along");
    const choice = element("select");
    for (const input of data.inputs) choice.append(new Option(input.name, input.key));
    choice.addEventListener("change", () => {
      direction = choice.value;
      update();
    });
    label.append(choice);
    const reset = element("button", "Reset");
    reset.type = "button";
    reset.addEventListener("click", () => {
      for (const input of data.inputs) fields.get(input.key).value = input.value;
      update();
    });
    box.append(label, reset);
  }

  function update() {
    const given = new Map([...fields].map(([key, field]) => [key, field.valueAsNumber]));
    const bad = [...given.values()].some(Number.isNaN);
    for (const field of fields.values()) field.setAttribute("aria-invalid", String(Number.isNaN(field.valueAsNumber)));
    if (bad) return warn("Each input needs a number.");
    const found = recompute(given, direction);
    for (const row of data.rows) {
      const c = cells.get(row.key);
      row.value = c.value.textContent = shown(found.values.get(row.key));
      row.tangent = c.tangent.textContent = shown(found.tangents.get(row.key));
      if (row.kind === "input") c.tangentFormula.textContent = row.tangent;
      if (row.kind !== "output") row.adjoint = shown(found.adjoints.get(row.key) || 0);
      nodes.get(row.key).querySelector(".value").textContent = row.value;
      (row.partials || []).forEach((p, k) => (p.value = shown(found.partials.get(row.key)[k])));
    }
    data.sweep.forEach((item, k) => {
      const line = additions[k], sum = found.sums[k];
      line.adds.textContent = shown(sum.adds);
      line.total.textContent = shown(sum.total);
      if (sum.local !== null) line.local.textContent = local(rows.get(item.source).partials[item.slot]);
    });
    relabelEdges();
    document.querySelector("h1").textContent = `${data.call} at ${data.inputs.map((i) => `${i.name} = ${shown(given.get(i.key))}`).join(", ")}`;
    warn(otherPath(found.values));
    show(position, timer !== null);
    if (picked) pick(picked, true);
    window.chainrule = { values: Object.fromEntries(found.values), tangents: Object.fromEntries(found.tangents), adjoints: Object.fromEntries(found.adjoints) };
  }

  const plainNumber = (text) => /^[−\d.½⅓⅔¼¾]+$/.test(text);
  const said = (p) => (plainNumber(p.text) ? (p.varies ? p.value : p.text) : `${p.text} = ${p.value}`);
  const local = (p) => `${p.symbol} = ${said(p)}`;

  function relabelEdges() {
    for (const edge of edges) {
      const { from, to } = edge.dataset;
      const all = (rows.get(to).partials || []).filter((p) => p.of === from);
      if (!all.length) continue;
      const whole = [...new Set(all.map(said))].join(", ");
      partialText.set(`${from} ${to}`, whole);
      const tag = tags.get(`${from} ${to}`);
      if (tag) retag(tag, whole.length <= 34 ? whole : all[0].text.length <= 30 ? all[0].text : all[0].value);
    }
    labelGraph();
  }

  function retag(tag, words) {
    const [paper, text] = tag.children;
    text.textContent = words;
    const wide = text.getComputedTextLength() + 6;
    paper.setAttribute("x", text.getAttribute("x") - wide / 2);
    paper.setAttribute("width", wide);
  }

  function otherPath(values) {
    const flipped = data.decisions.filter((d) => d.was !== null && evaluate(d.code, values) !== d.was);
    if (!flipped.length) return "";
    const { text, was, places, rule } = flipped.find((d) => !d.rule) || flipped[0];
    if (rule) return `The rule of ${rule} has another case at these inputs (${text} was ${was}): the numbers are right, its formulae are those of the recorded point.`;
    const where = places.length ? ` (${places[0].where})` : "";
    return `At these inputs the program takes another path: ${text} was ${was}${where}. What is shown is the recorded path.`;
  }

  function warn(text) {
    $("warning").textContent = text;
    $("warning").hidden = !text;
  }

  // -- controls ---------------------------------------------------------------------------------------

  $("first").onclick = () => jump(0);
  $("back").onclick = () => jump(position - 1);
  $("next").onclick = () => jump(position + 1);
  $("last").onclick = () => jump(steps.length);
  $("play").onclick = play;
  $("position").oninput = (event) => jump(Number(event.target.value));
  $("smaller").onclick = () => zoom(scale / 1.25);
  $("larger").onclick = () => zoom(scale * 1.25);
  $("fit").onclick = fit;
  document.querySelectorAll("[data-phase]").forEach((button) => {
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => jump(starts[button.dataset.phase] + 1);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last" }[event.key];
    const phase = { 1: "primal", 2: "tangent", 3: "adjoint" }[event.key];
    if (event.key === " " && event.target.closest("button, a, pre")) return;
    if (event.key === " ") play();
    else if (phase) jump(starts[phase] + 1);
    else if (key) $(key).click();
    else return;
    event.preventDefault();
  });
  function theme(dark) {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").setAttribute("aria-pressed", String(dark));
    $("theme").textContent = dark ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  }
  $("theme").onclick = () => theme(document.documentElement.dataset.theme !== "dark");
  theme(matchMedia("(prefers-color-scheme: dark)").matches);

  askForInputs();
  labelGraph();
  if (!fixed) update();
  fit();
  show(steps.length);
  pick((data.rows.filter((r) => r.kind === "operation" || r.kind === "fold").pop() || data.rows[0]).key, true);
  addEventListener("resize", fit);
})();
