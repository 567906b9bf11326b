// A cell of one unit, step by step: computes the graph that the page holds with the numbers of its sliders.
"use strict";

const logSigmoid = (v) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v)));
const FUNCTIONS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (a) => -a,
  maximum: Math.max,
  minimum: Math.min,
  clamp: (a, bound) => Math.min(Math.max(a, -bound), bound),
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  tanh: Math.tanh,
  relu: (a) => Math.max(a, 0),
  exp: Math.exp,
  log: Math.log,
  log_sigmoid: logSigmoid,
  sqrt: Math.sqrt,
};

// The value of every node of the graph at one step.
function evaluate(nodes, x, states, numbers) {
  const values = [];
  for (const { op, args, name, bias, value } of nodes) {
    const known = args.map((arg) => values[arg]);
    if (op === "input") values.push(x);
    else if (op === "state") values.push(states[name]);
    else if (op === "const") values.push(value);
    else if (op === "product") values.push((numbers[name] ?? 0) * known[0] + (numbers[bias] ?? 0));
    else values.push(FUNCTIONS[op](...known));
  }
  return values;
}

// Every shown value at each step, from states of 0: { i: [...], ..., h: [...] }.
function steps({ nodes, states, shown }, inputs, numbers) {
  let before = Object.fromEntries(Object.keys(states).map((name) => [name, 0]));
  const rows = Object.fromEntries(Object.keys(shown).map((name) => [name, []]));
  for (const x of inputs) {
    const values = evaluate(nodes, x, before, numbers);
    before = Object.fromEntries(Object.entries(states).map(([name, node]) => [name, values[node]]));
    for (const name in rows) rows[name].push(values[shown[name]]);
  }
  return rows;
}

function start(box) {
  const example = JSON.parse(box.dataset.example);
  const form = box.querySelector("form");
  const sliders = [...form.querySelectorAll("input")];
  const update = () => {
    const inputs = [...example.x];
    const numbers = { ...example.numbers };
    for (const slider of sliders) {
      const value = slider.valueAsNumber;
      slider.nextElementSibling.value = value.toFixed(2);
      if (slider.name.startsWith("x.")) inputs[slider.name.slice(2)] = value;
      else numbers[slider.name] = value;
    }
    const rows = [inputs, ...Object.values(steps(example, inputs, numbers))];
    [...box.querySelectorAll("tbody tr")].forEach((row, k) => {
      [...row.querySelectorAll("td")].forEach((cell, t) => {
        cell.textContent = rows[k][t].toFixed(4);
        cell.dataset.value = rows[k][t];
        cell.classList.toggle("negative", rows[k][t] < 0);
        cell.style.setProperty("--share", Math.min(1, Math.abs(rows[k][t])));
      });
    });
  };
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}

document.querySelectorAll(".sliders").forEach(start);
