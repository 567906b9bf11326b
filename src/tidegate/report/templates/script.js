"use strict";
(() => {
  const source = document.getElementById("curve-data");
  if (!source) return;
  const panels = JSON.parse(source.textContent);
  const hidden = new Set();
  const number = (value) => Number(value.toPrecision(4)).toString().replace("-", "\u2212");

  for (const box of document.querySelectorAll("[data-toggle]")) {
    box.hidden = false;
    box.addEventListener("change", () => {
      const series = box.dataset.toggle;
      hidden[box.checked ? "delete" : "add"](Number(series));
      for (const line of document.querySelectorAll(`.panel [data-series="${series}"]`)) {
        line.style.display = box.checked ? "" : "none";
      }
    });
  }

  const nearest = (xs, x) => xs.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(xs[best] - x) ? i : best), 0);

  const readings = (series, x, reach) =>
    series
      .filter((item) => !hidden.has(item.series))
      .map((item) => ({ item, at: nearest(item.x, x) }))
      .filter(({ item, at }) => Math.abs(item.x[at] - x) <= reach)
      .map(({ item, at }) => ({ name: item.name, x: item.x[at], y: item.y[at] }))
      .sort((a, b) => a.y - b.y);

  const fill = (tip, axis, found) => {
    const head = document.createElement("strong");
    head.textContent = axis === "epoch" ? `epoch ${found[0].x}` : `${number(found[0].x)} s`;
    const rows = found.map(({ name, y }) => {
      const row = document.createElement("div");
      row.append(document.createElement("span"), document.createElement("b"));
      row.firstChild.textContent = name;
      row.lastChild.textContent = number(y);
      return row;
    });
    tip.replaceChildren(head, ...rows);
  };

  for (const panel of document.querySelectorAll(".panel")) {
    const svg = panel.querySelector("svg");
    const { box, limits, series } = panels[panel.dataset.panel];
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const rule = document.createElementNS("http://www.w3.org/2000/svg", "line");
    rule.setAttribute("class", "rule");
    rule.setAttribute("y1", box[1]);
    rule.setAttribute("y2", box[3]);
    const hide = () => {
      tip.hidden = true;
      rule.style.display = "none";
    };
    hide();
    svg.append(rule);
    panel.append(tip);

    panel.addEventListener("pointermove", (event) => {
      const place = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / place.width;
      const pixel = (event.clientX - place.left) * scale;
      const x = limits[0] + ((pixel - box[0]) / (box[2] - box[0])) * (limits[2] - limits[0]);
      const found = readings(series, x, (limits[2] - limits[0]) / 20);
      if (pixel < box[0] || pixel > box[2] || !found.length) return hide();
      fill(tip, panel.dataset.panel, found);
      rule.setAttribute("x1", pixel);
      rule.setAttribute("x2", pixel);
      rule.style.display = "";
      tip.hidden = false;
      const left = event.clientX - panel.getBoundingClientRect().left;
      tip.style.left = `${left > place.width / 2 ? left - tip.offsetWidth - 14 : left + 14}px`;
      tip.style.top = `${box[1] / scale}px`;
    });
    panel.addEventListener("pointerleave", hide);
  }
})();
