"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const draw = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // --- commands to copy ---

  const copy = async (pre) => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {
      getSelection().selectAllChildren(pre);
      document.execCommand("copy");
    }
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await copy(button.previousElementSibling);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }

  // --- traces ---

  const source = byId("trace-data");
  if (!source) return;
  const { layers, lives, sequences } = JSON.parse(source.textContent);
  if (!sequences.length || !sequences[0].signals.length) return;
  const NOTHING = 255, LEVELS = 254;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const once = (maker) => {
    const known = new WeakMap();
    return (thing) => known.get(thing) ?? known.set(thing, maker(thing)).get(thing);
  };
  const levels = once((signal) => bytes(signal.values));
  const exactTerms = once((exact) =>
    Object.fromEntries(Object.entries(exact.terms).map(([name, text]) => [name, new Float32Array(bytes(text).buffer)])),
  );
  const rounded = (value, digits = 3) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return Number(value.toPrecision(digits)).toString().replace("-", "\u2212");
  };
  const at = { sequence: 0, layer: 0, unit: -1, step: 0 };
  const sequence = () => sequences[at.sequence];
  const count = () => sequence().labels.length;
  const signals = () => sequence().signals.filter((signal) => signal.layer === at.layer);
  const widest = () => signals().reduce((best, s) => (s.units.length > best.length ? s.units : best), []);
  const valueOf = (signal, step, unit) => {
    const column = signal.units.indexOf(unit);
    const level = column < 0 || step < 0 ? NOTHING : levels(signal)[step * signal.units.length + column];
    return level === NOTHING ? null : signal.low + (level / LEVELS) * (signal.high - signal.low);
  };
  const exactOf = (step, unit) => {
    const exact = sequence().exact.find((one) => one.layer === at.layer);
    const row = exact ? step - exact.first : -1;
    const column = exact ? exact.units.indexOf(unit) : -1;
    if (row < 0 || row >= (exact?.steps ?? 0) || column < 0) return null;
    const place = row * exact.units.length + column;
    return (term) => exactTerms(exact)[term]?.[place];
  };

  // --- colours ---

  const colour = (name) => {
    const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    return [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16));
  };
  const mixed = (a, b, share) => a.map((part, k) => Math.round(part + share * (b[k] - part)));
  const isGate = (signal) => signal.low >= 0 && signal.high <= 1;
  const scaleOf = (signal) => {
    const [cold, mid, warm, empty, full] = ["cold", "mid", "warm", "empty", "full"].map(colour);
    const size = Math.max(Math.abs(signal.low), Math.abs(signal.high)) || 1;
    return (value) => {
      if (isGate(signal)) return mixed(empty, full, value);
      return value < 0 ? mixed(mid, cold, -value / size) : mixed(mid, warm, value / size);
    };
  };
  const paint = (canvas, signal) => {
    const columns = count(), rows = signal.units.length, data = levels(signal), scale = scaleOf(signal);
    const table = Array.from({ length: 256 }, (_, level) =>
      level === NOTHING ? [0, 0, 0, 0] : [...scale(signal.low + (level / LEVELS) * (signal.high - signal.low)), 255],
    );
    canvas.width = columns;
    canvas.height = rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let step = 0; step < columns; step++) {
      for (let row = 0; row < rows; row++) {
        image.data.set(table[data[step * rows + row]], 4 * (row * columns + step));
      }
    }
    context.putImageData(image, 0, 0);
  };

  // --- tracks: everything over one axis of steps ---

  const stage = byId("stage"), tracks = byId("tracks"), cursor = byId("cursor");
  let painted = [], tokens = [], unitTrack = null, width = 1;

  const track = (height, ...labels) => {
    const box = make("div", "track"), strip = make("div", "strip"), label = make("div", "label");
    label.append(...labels);
    strip.style.height = `${height}px`;
    box.append(label, strip);
    tracks.append(box);
    return { label, strip };
  };
  const keyed = (series, ...texts) => {
    const span = make("span"), key = draw("svg", { class: "key", viewBox: "0 0 12 12", "aria-hidden": "true" });
    key.append(draw("circle", { cx: 6, cy: 6, r: 5, style: `fill:var(--series-${series % 8})` }));
    span.append(key, ...texts);
    return span;
  };
  const line = (values, low, high) => {
    const place = (value) => (100 - (94 * (value - low)) / (high - low || 1) - 3).toFixed(2);
    let path = "", pen = "M";
    values.forEach((value, step) => {
      if (value !== null) path += `${pen}${step + 0.5} ${place(value)}`;
      pen = value === null ? "M" : "L";
    });
    return path;
  };
  const chart = (strip, series) => {
    const svg = draw("svg", { viewBox: `0 0 ${count()} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const zeros = series.find(({ low, high }) => low < 0 && high > 0);
    if (zeros) svg.append(draw("path", { class: "zero", d: line(Array(count()).fill(0), zeros.low, zeros.high) }));
    for (const { values, low, high, colour } of series) {
      svg.append(draw("path", { d: line(values, low, high), style: `stroke:var(--series-${colour % 8})` }));
    }
    strip.replaceChildren(svg);
  };
  const rangeOf = (signal) => {
    const size = Math.max(Math.abs(signal.low), Math.abs(signal.high)) || 1;
    return isGate(signal) ? { low: 0, high: 1 } : { low: -size, high: size };
  };
  const ramp = (signal) => {
    const bar = make("span", "ramp");
    bar.style.background = isGate(signal)
      ? "linear-gradient(90deg, var(--empty), var(--full))"
      : "linear-gradient(90deg, var(--cold), var(--mid), var(--warm))";
    const { low, high } = rangeOf(signal), span = make("span");
    span.append(rounded(low, 2), bar, rounded(high, 2));
    return span;
  };
  const shownText = (label) => label.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +$/, "␣");

  const isNumbered = () => sequence().labels.every((label, step) => label === `${step + 1}`);
  const isText = () => !sequence().curves.length && !sequence().roll && !isNumbered();
  const addTokens = () => {
    tokens = [];
    if (!isText()) return;
    const longest = Math.max(...sequence().labels.map((label) => [...label].length));
    const tall = longest > 1 && 7.4 * longest + 4 > width;
    const { strip } = track(tall ? 10 + 7.3 * Math.min(longest, 14) : 24, make("b", "", "input"));
    strip.classList.add("tokens");
    strip.classList.toggle("tall", tall);
    tokens = sequence().labels.map((label, step) => {
      const token = make("span", "", shownText(label));
      token.title = `step ${step + 1}: ${label}`;
      return token;
    });
    strip.append(...tokens);
  };
  const addAxis = () => {
    const box = make("div", "track"), strip = make("div", "strip axis");
    const apart = Math.max(1, Math.ceil(96 / width)), nice = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000];
    const every = nice.find((one) => one >= apart) ?? apart;
    const first = (isText() || isNumbered()) && every > 1 ? every - 1 : 0; // step 10, not 11
    for (let step = first; step < count(); step += every) {
      const label = isText() ? `${step + 1}` : sequence().labels[step];
      if (step && (count() - step) * width < 9 * label.length) continue;
      const tick = make("span", "", label);
      tick.style.left = `${(step + 0.5) * width}px`;
      strip.append(tick);
    }
    box.append(strip);
    tracks.append(box);
  };
  const addCurves = () => {
    const { curves, roll, attribution } = sequence();
    if (curves.length) {
      const labels = curves.map((curve, k) => keyed(k, curve.name));
      const { strip } = track(96, make("b", "", "input"), ...labels);
      if (curves.length > 1) labels.at(-1).after(make("span", "", "each on its own scale"));
      const ranges = curves.map(({ values }) => {
        const known = values.filter((value) => value !== null);
        return { low: Math.min(...known), high: Math.max(...known) };
      });
      chart(strip, curves.map(({ values }, k) => ({ values, ...ranges[k], colour: k })));
    }
    if (roll) addMap(roll, make("b", "", "notes"), make("span", "", "the highest on top")).classList.add("roll");
    if (attribution.length) {
      const { strip } = track(56, make("b", "", "attribution"), keyed(0, "raises the answer"), keyed(1, "lowers it"));
      const size = Math.max(...attribution.map((value) => Math.abs(value ?? 0))) || 1;
      const svg = draw("svg", { viewBox: `0 0 ${count()} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
      const bars = { gain: "", loss: "" };
      attribution.forEach((value, step) => {
        const high = (48 * (value ?? 0)) / size;
        if (high) bars[high > 0 ? "gain" : "loss"] += `M${step + 0.05} 50h.9v${-high}h-.9z`;
      });
      svg.append(draw("path", { class: "zero", d: `M0 50H${count()}` }));
      for (const name of ["gain", "loss"]) svg.append(draw("path", { class: name, d: bars[name] }));
      strip.append(svg);
    }
  };
  const addMap = (signal, ...labels) => {
    const rows = signal.units.length;
    const high = Math.max(2, Math.min(12, Math.floor(176 / rows)));
    const { strip } = track(rows * high, ...labels);
    const canvas = make("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${signal.name}: ${rows} rows by ${count()} steps`);
    strip.append(canvas);
    if (signal.layer >= 0) strip.append(make("div", "chosen-unit"));
    painted.push({ canvas, signal, strip, high });
    return strip;
  };

  const addUnit = () => {
    unitTrack = track(110);
  };
  const lay = () => {
    stage.style.setProperty("--view", `${stage.clientWidth - 4}px`);
    const room = stage.clientWidth - 24;
    width = Math.max(room / count(), isText() ? 14 : 3);
    tracks.style.setProperty("--step", `${width}px`);
    for (const strip of tracks.querySelectorAll(".strip")) strip.style.width = `${width * count()}px`;
  };
  const rebuild = () => {
    tracks.replaceChildren(cursor);
    painted = [];
    lay();
    addTokens();
    addCurves();
    addUnit();
    for (const signal of signals()) {
      const shown = signal.units.length === 1 ? "one number" : `${signal.units.length} units`;
      addMap(signal, make("b", "", signal.name), ramp(signal), make("span", "", shown));
    }
    addAxis();
    lay();
    for (const { canvas, signal } of painted) paint(canvas, signal);
  };

  // --- what is chosen ---

  const step = byId("step"), where = byId("where"), unit = byId("unit"), spoken = byId("spoken");
  let speaking = 0;

  const showUnit = () => {
    const own = signals();
    for (const { signal, strip, high } of painted) {
      const mark = strip.querySelector(".chosen-unit");
      if (!mark) continue;
      const row = signal.units.indexOf(at.unit);
      mark.hidden = row < 0;
      mark.style.top = `${row * high - 1}px`;
      mark.style.height = `${high + 2}px`;
    }
    const series = own.map((signal, k) => ({
      values: Array.from({ length: count() }, (_, t) => valueOf(signal, t, at.unit)),
      ...rangeOf(signal),
      colour: k,
    }));
    chart(unitTrack.strip, series.filter(({ values }) => values.some((value) => value !== null)));
    unit.value = at.unit;
    const state = own.at(-1), scale = scaleOf(state);
    tokens.forEach((token, t) => {
      const value = valueOf(state, t, at.unit);
      token.style.background = value === null ? "" : `rgb(${scale(value).join(" ")} / 0.55)`;
    });
  };
  const showReadings = () => {
    const exact = exactOf(at.step, at.unit);
    const life = lives[layers[at.layer].name]?.[at.unit];
    const readings = signals().map((signal, k) => {
      const value = exact?.(`${signal.name}[t]`);
      const text = value === undefined || value === null ? rounded(valueOf(signal, at.step, at.unit)) : rounded(value, 4);
      return keyed(k, `${signal.name} `, make("b", "", text));
    });
    const half = life === undefined ? [] : [make("span", "", life === null ? "half-life without end" : `half-life ${rounded(life)} steps`)];
    unitTrack.label.replaceChildren(make("b", "", `unit ${at.unit}`), ...readings, ...half);
    if (signals().some((signal) => !isGate(signal))) unitTrack.label.append(make("span", "", "scales as below"));
  };
  const showEquations = () => {
    const exact = exactOf(at.step, at.unit), own = signals();
    const known = (term) => {
      if (exact) return rounded(exact(term), 4);
      const [, name, before] = /^(\w+)\[t(-1)?\]$/.exec(term) ?? [];
      const signal = own.find((one) => one.name === name);
      const value = signal ? valueOf(signal, at.step - (before ? 1 : 0), at.unit) : null;
      return value === null ? "·" : rounded(value);
    };
    for (const card of document.querySelectorAll(".card[data-layer]")) {
      card.hidden = Number(card.dataset.layer) !== at.layer;
      if (card.hidden) continue;
      const note = exact ? "" : ": numbers of the maps; exact ones are kept for other steps or units";
      card.querySelector("[data-title]").textContent =
        `Step ${at.step + 1} (${shownText(sequence().labels[at.step])}), unit ${at.unit}${note}`;
      const lines = layers[at.layer].lines.map(([name, pieces]) => {
        const row = make("li");
        row.append(make("span", "left", name), exact ? " = " : " ≈ ");
        pieces.forEach((piece, k) => {
          if (k % 2 === 0) return row.append(piece);
          const ruby = make("ruby", "", known(piece));
          ruby.append(make("rt", "", piece));
          row.append(ruby);
        });
        row.append(exact ? " = " : " ≈ ", make("b", "", known(name)));
        return row;
      });
      card.querySelector("[data-lines]").replaceChildren(...lines);
    }
  };
  const showStep = () => {
    step.value = at.step;
    const label = shownText(sequence().labels[at.step]);
    where.textContent = `${at.step + 1} of ${count()}` + (label === `${at.step + 1}` ? "" : ` · ${label}`);
    step.setAttribute("aria-valuetext", where.textContent);
    cursor.style.left = `${11 + at.step * width}px`;
    cursor.style.width = `${width + 2}px`;
    const left = 12 + at.step * width;
    if (left < stage.scrollLeft + 24) stage.scrollLeft = left - stage.clientWidth / 4;
    if (left + width > stage.scrollLeft + stage.clientWidth - 24) stage.scrollLeft = left - 0.75 * stage.clientWidth;
    showReadings();
    showEquations();
    clearTimeout(speaking);
    speaking = setTimeout(() => (spoken.textContent = `Step ${where.textContent}. ${unitTrack.label.textContent}`), 400);
  };
  const move = (to) => {
    at.step = Math.max(0, Math.min(count() - 1, to));
    showStep();
  };
  const pick = (to) => {
    at.unit = to;
    showUnit();
    showStep();
  };
  const nextUnit = (by) => {
    const order = widest();
    const place = order.indexOf(at.unit) + by;
    if (place >= 0 && place < order.length) pick(order[place]);
  };
  const openLayer = (layer) => {
    at.layer = layer;
    rebuild();
    const order = widest();
    unit.replaceChildren(
      ...order.map((one, rank) => {
        const option = make("option", "", rank ? `${one}` : `${one}, the most important`);
        option.value = one;
        return option;
      }),
    );
    if (!order.includes(at.unit)) at.unit = order[0];
    pick(at.unit);
  };
  const openSequence = (to) => {
    at.sequence = to;
    byId("sequence").value = to;
    byId("said").textContent = sequence().answer;
    step.max = count() - 1;
    at.step = sequence().target ?? count() - 1;
    const usable = [...new Set(sequence().signals.map((signal) => signal.layer))];
    for (const option of byId("layer").options) option.disabled = !usable.includes(Number(option.value));
    const layer = usable.includes(at.layer) ? at.layer : usable[0];
    byId("layer").value = layer;
    stage.scrollLeft = 0;
    openLayer(layer);
  };

  // --- hands ---

  byId("sequence").addEventListener("change", (event) => openSequence(Number(event.target.value)));
  byId("layer").addEventListener("change", (event) => openLayer(Number(event.target.value)));
  unit.addEventListener("change", () => pick(Number(unit.value)));
  step.addEventListener("input", () => move(Number(step.value)));
  byId("back").addEventListener("click", () => move(at.step - 1));
  byId("next").addEventListener("click", () => move(at.step + 1));
  const keys = {
    ArrowLeft: () => move(at.step - 1),
    ArrowRight: () => move(at.step + 1),
    PageUp: () => move(at.step - 10),
    PageDown: () => move(at.step + 10),
    Home: () => move(0),
    End: () => move(count() - 1),
    ArrowUp: () => nextUnit(-1),
    ArrowDown: () => nextUnit(1),
    "[": () => openSequence((at.sequence + sequences.length - 1) % sequences.length),
    "]": () => openSequence((at.sequence + 1) % sequences.length),
  };
  stage.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.altKey || event.metaKey ? null : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  tracks.addEventListener("click", (event) => {
    const strip = event.target.closest(".strip");
    if (!strip) return;
    const box = strip.getBoundingClientRect();
    const map = painted.find((one) => one.strip === strip);
    const row = map?.signal.layer >= 0 ? map.signal.units[Math.floor((event.clientY - box.top) / map.high)] : undefined;
    if (row !== undefined) at.unit = row;
    at.step = Math.max(0, Math.min(count() - 1, Math.floor((event.clientX - box.left) / width)));
    pick(at.unit);
  });

  byId("explorer").hidden = false;
  byId("layer").closest("label").hidden = layers.length < 2;
  openSequence(0);
  let known = stage.clientWidth;
  new ResizeObserver(() => {
    if (stage.clientWidth === known) return;
    known = stage.clientWidth;
    rebuild();
    pick(at.unit);
  }).observe(stage);
  const repaint = () => {
    for (const { canvas, signal } of painted) paint(canvas, signal);
    showUnit();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  addEventListener("beforeprint", repaint);
  addEventListener("afterprint", repaint);
})();
