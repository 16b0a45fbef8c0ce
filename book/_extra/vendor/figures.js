// Turns the still image of a `.ecgnb-figure` into an interactive one when it comes into view.
// Data: the JSON beside it. Plotly: the file beside this one, fetched only where it is needed.
(function () {
  "use strict";
  if (window.ecgnbFigures) return;
  window.ecgnbFigures = true;
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const INK = "#1a1a1a", GUESS = "#D55E00", GRID = "#f3d9d9", BOLD = "#e6b3b3";
  const CONFIG = { displayModeBar: false, responsive: true };
  let plotly = null;

  function loadPlotly() {
    plotly = plotly || new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = folder + "plotly-cartesian.min.js";
      script.onload = () => done(window.Plotly);
      script.onerror = failed;
      document.head.append(script);
    });
    return plotly;
  }

  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Int16Array(bytes.buffer);
  }

  function paperAxes(seconds, low, high, title, step) {
    const grid = (small) => ({
      gridcolor: BOLD, zeroline: false, fixedrange: true, tick0: 0,
      minor: { dtick: small, gridcolor: GRID, showgrid: true, tick0: 0 },
    });
    return {
      xaxis: { ...grid(0.04), dtick: 0.2, ticklabelstep: step, range: seconds, title: { text: title } },
      yaxis: {
        ...grid(0.1), dtick: 0.5, range: [low, high], title: { text: "voltage / mV" },
        scaleanchor: "x", scaleratio: 0.4, constrain: "domain",
      },
    };
  }

  function look(extra) {
    return {
      paper_bgcolor: "white", plot_bgcolor: "white", font: { color: INK, size: 12 },
      dragmode: false, hovermode: "closest", showlegend: false,
      margin: { l: 55, r: 15, t: 30, b: 45 }, ...extra,
    };
  }

  function extent(...courses) {
    let low = 0, high = 0;
    for (const course of courses) {
      for (const value of course) { low = Math.min(low, value); high = Math.max(high, value); }
    }
    return [Math.floor(2 * low - 0.4) / 2, Math.ceil(2 * high + 0.4) / 2];
  }

  function outline(column, row, across) {
    const half = across === undefined ? 0.5 : across;
    return {
      type: "rect", x0: column - half, x1: column + half, y0: row - 0.5, y1: row + 0.5,
      line: { color: GUESS, width: 3 },
    };
  }

  // ---- 12 x 12 scores: the worst case of the chosen pair -------------------------------------
  function scoreMap(root, data, Plotly) {
    const [visible, hidden] = root.querySelectorAll("select");
    const map = root.querySelector(".ecgnb-map"), trace = root.querySelector(".ecgnb-trace");
    const readout = root.querySelector(".ecgnb-readout");
    const truth = unpack(data.truth), guess = unpack(data.guess), n = data.n_time;
    const seconds = Array.from({ length: n }, (_, place) => place / data.sampling_rate);
    const part = (array, pair) =>
      Array.from(array.subarray(pair * n, (pair + 1) * n), (value) => value / 1000);

    const cells = {
      type: "heatmap", z: data.r, x: data.leads, y: data.leads, colorscale: "Viridis",
      hovertemplate: "from %{y} to %{x}: mean r %{z:.3f}<extra></extra>", hoverongaps: false,
      colorbar: { title: { text: "mean r", side: "right" }, thickness: 12 }, xgap: 1, ygap: 1,
    };
    const layout = look({
      height: Math.min(480, 300 + root.clientWidth / 4),
      xaxis: { title: { text: "hidden lead" }, fixedrange: true, tickangle: -45 },
      yaxis: { title: { text: "visible lead" }, fixedrange: true, autorange: "reversed" },
    });

    function show() {
      const from = Number(visible.value);
      for (const option of hidden.options) option.disabled = Number(option.value) === from;
      if (Number(hidden.value) === from) hidden.value = String((from + 1) % data.leads.length);
      const to = Number(hidden.value), pair = from * data.leads.length + to;
      const black = part(truth, pair), orange = part(guess, pair);
      const [low, high] = extent(black, orange);
      Plotly.react(map, [cells], { ...layout, shapes: [outline(to, from)] }, CONFIG);
      const axes = paperAxes([0, n / data.sampling_rate], low, high, "time / s (25 mm/s)", 5);
      const line = (y, color, width, name) =>
        ({ x: seconds, y, mode: "lines", line: { color, width }, name, hoverinfo: "x+y+name" });
      const traces = [line(black, INK, 2.2, "recorded"), line(orange, GUESS, 1.3, "reconstructed")];
      const height = 75 + ((high - low) * 0.4 * (trace.clientWidth - 70)) / (n / data.sampling_rate);
      Plotly.react(trace, traces, look({ ...axes, height: Math.min(height, 420) }), CONFIG);
      readout.textContent =
        `From ${data.leads[from]} to ${data.leads[to]}: mean r ${data.r[from][to].toFixed(3)}; ` +
        `lowest r ${data.lowest[from][to].toFixed(3)}, in record ${data.record[from][to]}. ` +
        "Drawn: its 3 s with the largest error, recorded (black) and reconstructed (orange).";
      trace.setAttribute("aria-label", readout.textContent);
    }
    visible.value = String(data.start[0]);
    hidden.value = String(data.start[1]);
    visible.addEventListener("change", show);
    hidden.addEventListener("change", show);
    show();
    map.on("plotly_click", (event) => {
      const [row, column] = event.points[0].pointIndex;
      if (row === column) return;
      visible.value = String(row);
      hidden.value = String(column);
      show();
    });
  }

  // ---- lead x time relevance: the beat of the chosen lead, value at the chosen time -----------
  function relevanceMap(root, data, Plotly) {
    const [group, method, lead] = root.querySelectorAll("select");
    const moment = root.querySelector("input"), readout = root.querySelector(".ecgnb-readout");
    const map = root.querySelector(".ecgnb-map"), trace = root.querySelector(".ecgnb-trace");
    const seconds = data.times, n = seconds.length, last = n - 1;
    const rows = (array, unit) =>
      data.leads.map((_, row) => Array.from(array.subarray(row * n, (row + 1) * n), (v) => v * unit));
    const layout = look({
      height: 380,
      xaxis: { title: { text: "time after the R peak / s" }, fixedrange: true },
      yaxis: { fixedrange: true, autorange: "reversed" },
    });
    const middle = (seconds[0] + seconds[last]) / 2, half = (seconds[last] - seconds[0]) / 2;
    const edge = half + half / last;

    function show() {
      const { limit, values: packed } = data.maps[Number(group.value)][Number(method.value)];
      const values = rows(unpack(packed), limit / 32000);
      const beats = rows(unpack(data.beats[Number(group.value)]), 0.001);
      const row = Number(lead.value), place = Number(moment.value), at = seconds[place];
      const colours = { colorscale: data.colours };
      const cells = {
        type: "heatmap", z: values, x: seconds, y: data.leads, ...colours, zmin: -limit, zmax: limit,
        colorbar: { title: { text: "relevance", side: "right" }, thickness: 12 },
        hovertemplate: "%{y} at %{x:.3f} s: %{z:.3g}<extra></extra>",
      };
      const line = {
        type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1,
        line: { color: GUESS, width: 1.5 },
      };
      Plotly.react(map, [cells], { ...layout, shapes: [outline(middle, row, edge), line] }, CONFIG);
      const [low, high] = extent(beats[row]), beat = { x: seconds, y: beats[row] };
      const title = "time after the R peak / s (25 mm/s)";
      const axes = paperAxes([middle - edge, middle + edge], low, high, title, 1);
      const marker = { size: 8, color: values[row], ...colours, cmin: -limit, cmax: limit };
      const drawn = [
        { ...beat, mode: "lines", line: { color: INK, width: 1.5 }, hoverinfo: "skip" },
        { ...beat, mode: "markers", hoverinfo: "x+y", marker: { ...marker, line: { color: INK, width: 0.5 } } },
      ];
      const height = 75 + ((high - low) * 0.4 * (trace.clientWidth - 70)) / (2 * edge);
      Plotly.react(trace, drawn, look({ ...axes, shapes: [line], height: Math.min(height, 480) }), CONFIG);
      readout.textContent =
        `${data.leads[row]} at ${at.toFixed(3)} s: relevance ${values[row][place].toPrecision(2)}, ` +
        `voltage ${beats[row][place].toFixed(2)} mV.`;
      moment.setAttribute("aria-valuetext", `${at.toFixed(3)} s`);
      trace.setAttribute("aria-label", `${group.selectedOptions[0].text}: average beat in lead ${data.leads[row]}. ${readout.textContent}`);
    }
    lead.value = String(data.start);
    for (const control of [group, method, lead]) control.addEventListener("change", show);
    moment.addEventListener("input", show);
    show();
    map.on("plotly_click", (event) => {
      const [row, column] = event.points[0].pointIndex;
      lead.value = String(row);
      moment.value = String(column);
      show();
    });
  }

  const KINDS = { "score-map": scoreMap, "relevance-map": relevanceMap };

  function start(root) {
    loadPlotly().then((Plotly) => {
      const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      root.classList.add("ecgnb-on");
      KINDS[root.dataset.kind](root, data, Plotly);
    }).catch(() => root.classList.remove("ecgnb-on")); // the still image stays
  }

  function watch() {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        start(entry.target);
      }
    }, { rootMargin: "600px" });
    document.querySelectorAll(".ecgnb-figure").forEach((root) => seen.observe(root));
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", watch);
  else watch();
})();
