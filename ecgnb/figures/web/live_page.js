/* The live page itself: reads the controls, computes with window.ecgLive, draws and tells. */
"use strict";
(() => {
  const PER_S = 25, PER_MV = 10, LEFT = 12; // mm of ECG paper
  const AROUND_S = 0.3;
  const live = window.ecgLive;
  let root, data, state;
  const part = (name) => document.getElementById(`ecg-live-${name}`);
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const recordings = new Map();

  function recording(index) {
    if (!recordings.has(index)) {
      const decoded = live.decode(data.recordings[index], data.leads.length);
      recordings.set(index, { ...decoded, models: new Map() });
    }
    return recordings.get(index);
  }

  /* Return what the controls ask for. */
  function choices() {
    return {
      index: Number(part("recording").value),
      given: data.leads.indexOf(part("given").value),
      blank: data.leads.indexOf(part("blank").value),
      scale: Number(part("scale").value),
      shift: Number(part("shift").value),
      beat: part("beat").checked,
    };
  }

  /* Return recording, input, reconstruction, average beat and scores for some choices. */
  async function compute({ index, given, blank, scale, shift, beat }) {
    const one = recording(index), { models } = one;
    if (!models.has(given)) models.set(given, live.fit(one, given));
    const isBlank = blank === given;
    const input = one.shown[given].map((value) => (isBlank ? 0 : scale * value + shift));
    const { leads, found } = await live.run(live.predict(one, models.get(given), input, data.nNeighbour));
    const peaks = isBlank ? [] : one.peaks[given][1];
    const pasted = beat
      ? live.pasteBeats(live.averageBeat(one, given), peaks, input.length, one.before) : null;
    const scored = data.leads.map((_, lead) => lead !== given && lead !== blank);
    const score = (guess) =>
      guess && guess.map((signal, lead) => (scored[lead] ? live.score(one.shown[lead], signal) : null));
    return {
      one, index, given, blank, input, leads, found, pasted, scored,
      scores: score(leads), pastedScores: score(pasted),
    };
  }

  const number = (value, digits) =>
    Number.isFinite(value) ? value.toFixed(digits).replace("-", "\u2212") : "undefined";

  function average(scores, key) {
    const values = scores.filter(Boolean).map((s) => s[key]).filter(Number.isFinite);
    return values.length ? values.reduce((a, b) => a + b, 0) / values.length : NaN;
  }

  function describe({ one, given, blank, scored, scores, pastedScores }) {
    const n = scored.filter(Boolean).length;
    let worst = -1;
    scores.forEach((s, lead) => {
      if (s && Number.isFinite(s.r) && (worst < 0 || s.r < scores[worst].r)) worst = lead;
    });
    const mean = (s) => `mean r ${number(average(s, "r"), 3)}, mean error ${number(average(s, "error"), 3)} mV`;
    let text = `${n} leads of ${one.name} from lead ${data.leads[given]}: ${mean(scores)}`;
    if (worst >= 0) text += `, lowest r ${number(scores[worst].r, 3)} in ${data.leads[worst]}`;
    if (pastedScores) text += `. Average beat: ${mean(pastedScores)}`;
    if (blank === given) text += ". The given lead is blank: the model sees a flat line";
    else if (blank >= 0) text += `. Lead ${data.leads[blank]} is blank: its reconstruction is all there is`;
    return `${text}.`;
  }

  /* Prepare a canvas of a size in CSS pixels and return its context. */
  function prepare(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = colour("paper");
    context.fillRect(0, 0, width, height);
    context.lineJoin = "round";
    return context;
  }

  function drawGrid(context, width, height, mm) {
    for (const [step, name, thick] of [[1, "fine", 0.5], [5, "bold", 0.8]]) {
      context.beginPath();
      for (let x = 0; x <= width + 0.01; x += step * mm) { context.moveTo(x, 0); context.lineTo(x, height); }
      for (let y = 0; y <= height + 0.01; y += step * mm) { context.moveTo(0, y); context.lineTo(width, y); }
      context.strokeStyle = colour(name);
      context.lineWidth = thick;
      context.stroke();
    }
  }

  function drawTrace(context, values, place, { name, thick = 1.2, dash = [], from = 0, alpha = 1 }) {
    context.beginPath();
    context.setLineDash(dash);
    context.globalAlpha = alpha;
    for (let t = 0; t < values.length; t++) {
      const [x, y] = place(from + t, values[t]);
      if (t) context.lineTo(x, y); else context.moveTo(x, y);
    }
    context.strokeStyle = colour(name);
    context.lineWidth = thick;
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  const middleOf = (values) => Float64Array.from(values).sort()[values.length >> 1];

  /* Return for each lead where its zero line lies, in mm from the top, and the height of all. */
  function layOut(one) {
    let bottom = 2;
    const rows = one.shown.map((signal) => {
      const middle = middleOf(signal), sorted = Float64Array.from(signal).sort();
      const up = PER_MV * (sorted[Math.floor(0.998 * sorted.length)] - middle);
      const down = PER_MV * (middle - sorted[Math.floor(0.002 * sorted.length)]);
      const base = 5 * Math.ceil((bottom + Math.max(up, 11)) / 5);
      bottom = base + Math.max(0.6 * down, 2);
      return { base, middle };
    });
    return { rows, height: 5 * Math.ceil((bottom + 5) / 5) };
  }

  function drawPaper(result) {
    const { one, given, blank, input, leads, pasted } = result;
    const canvas = part("paper"), nTime = input.length;
    const length = LEFT + (PER_S * nTime) / one.rate;
    const mm = Math.min(Math.max(canvas.parentElement.clientWidth / length, 2.4), 3.78);
    const { rows, height } = layOut(one);
    const context = prepare(canvas, length * mm, height * mm);
    drawGrid(context, length * mm, height * mm, mm);
    context.font = `600 ${Math.round(3.6 * mm)}px sans-serif`;
    rows.forEach(({ base, middle }, lead) => {
      const place = (t, value) => [
        (LEFT + (PER_S * t) / one.rate) * mm, (base - PER_MV * (value - middle)) * mm];
      const pulse = [[1, 0], [3, 0], [3, 1], [8, 1], [8, 0], [10, 0]];
      context.beginPath();
      pulse.forEach(([x, mv]) => context.lineTo(x * mm, (base - PER_MV * mv) * mm));
      context.strokeStyle = colour("truth");
      context.lineWidth = 0.8;
      context.stroke();
      if (lead === given) drawTrace(context, input, place, { name: "given", thick: 1.6 });
      else {
        if (lead !== blank) drawTrace(context, one.shown[lead], place, { name: "truth", thick: 2.4 });
        if (pasted) drawTrace(context, pasted[lead], place, { name: "beat", dash: [5, 3] });
        drawTrace(context, leads[lead], place, { name: "guess", thick: 1.1 });
      }
      context.fillStyle = colour(lead === given ? "given" : "ink");
      context.fillText(data.leads[lead], 4 * mm, (base - PER_MV - 0.8) * mm);
    });
    const x = (LEFT + PER_S * Number(part("moment").value)) * mm;
    context.fillStyle = colour("edge");
    context.fillRect(x, 0, 1, height * mm);
    canvas.setAttribute("aria-label", `Twelve leads on ECG paper. ${describe(result)}`);
  }

  /* Draw one panel of the neighbours: the found stretches, and the lead itself over them. */
  function drawPanel(context, left, width, height, stretches, traces) {
    const all = [...stretches, ...traces.map((t) => t.values)].flatMap((v) => [Math.min(...v), Math.max(...v)]);
    const low = Math.min(...all), high = Math.max(...all, low + 0.1), n = traces[0].values.length;
    const place = (t, value) => [
      left + (width * t) / (n - 1), height - 8 - ((height - 34) * (value - low)) / (high - low)];
    context.fillStyle = colour("edge");
    context.fillRect(left + width / 2, 24, 1, height - 24);
    stretches.forEach((values) => drawTrace(context, values, place, { name: "edge", thick: 1, alpha: 0.55 }));
    traces.forEach(({ values, ...look }) => drawTrace(context, values, place, { thick: 2, ...look }));
  }

  function drawFound({ one, given, blank, input, leads, found }) {
    const canvas = part("found"), width = canvas.parentElement.clientWidth, height = 190;
    const reach = Math.round(AROUND_S * one.rate), lead = data.leads.indexOf(part("lead").value);
    const moment = Math.min(Math.max(Math.round(Number(part("moment").value) * one.rate), reach), input.length - reach - 1);
    const list = found[found.length - 1];
    const place = Math.min(Math.max(moment - list.reach, 0), list.nPlace - 1);
    const centres = Array.from(list.moments.subarray(place * list.nWanted, (place + 1) * list.nWanted),
      (index) => index + moment - place).filter((at) => at >= reach && at + reach < one.library[0].length);
    const cut = (signal, at) => signal.subarray(at - reach, at + reach + 1);
    const context = prepare(canvas, width, height);
    context.font = "600 13px sans-serif";
    context.fillStyle = colour("ink");
    const half = width / 2 - 18;
    [`${data.leads[given]}, given`, `${data.leads[lead]}, reconstructed`].forEach((title, i) =>
      context.fillText(title, 10 + i * (half + 16), 17));
    drawPanel(context, 10, half, height, centres.map((at) => cut(one.library[given], at)),
      [{ values: cut(input, moment), name: "given" }]);
    const traces = [{ values: cut(leads[lead], moment), name: "guess" }];
    if (lead !== blank) traces.unshift({ values: cut(one.shown[lead], moment), name: "truth" });
    drawPanel(context, 26 + half, half, height, centres.map((at) => cut(one.library[lead], at)), traces);
    const values = centres.map((at) => one.library[lead][at]);
    const text = `Thin lines: the ${centres.length} stretches of the calibration in which lead ${data.leads[given]} ` +
      `looked most like this one, 0.3 s to both sides. In lead ${data.leads[lead]} they lie between ` +
      `${number(Math.min(...values), 2)} and ${number(Math.max(...values), 2)} mV at this moment; ` +
      `the reconstruction says ${number(leads[lead][moment], 2)} mV` +
      (lead === blank ? "." : `, the recording ${number(one.shown[lead][moment], 2)} mV.`);
    part("found-text").textContent = text;
    canvas.setAttribute("aria-label", text);
  }

  function writeScores({ given, blank, scores, pastedScores }) {
    const body = part("scores").tBodies[0];
    body.replaceChildren(...data.leads.map((name, lead) => {
      const row = document.createElement("tr");
      const cell = (text, kind = "td", style = "") => {
        const made = row.appendChild(document.createElement(kind));
        made.textContent = text;
        if (style) made.className = style;
        return made;
      };
      cell(name, "th").scope = "row";
      const missing = lead === given ? "given" : lead === blank ? "blank" : "";
      for (const [all, style] of [[scores, ""], [pastedScores, "beat"]]) {
        const one = all && all[lead];
        cell(one ? number(one.r, 3) : missing, "td", style);
        cell(one ? number(one.error, 3) : "", "td", style);
      }
      return row;
    }));
  }

  let telling = 0, busy = false, again = false;

  function writeOutputs() {
    part("scale-out").textContent = `${Math.round(100 * Number(part("scale").value))} %`;
    part("shift-out").textContent = `${number(Number(part("shift").value), 2)} mV`;
    const { shown, rate } = recording(choices().index);
    part("moment").max = (shown[0].length / rate - 0.5).toFixed(2); // also limits the value
    part("moment-out").textContent = `${number(Number(part("moment").value), 2)} s`;
  }

  /* Bring the page up to date; asked for while it computes, it does so once more afterwards. */
  async function update() {
    writeOutputs();
    again = busy;
    if (busy) return;
    busy = true;
    root.setAttribute("aria-busy", "true");
    do {
      again = false;
      const asked = choices(), key = JSON.stringify(asked);
      if (!state || state.key !== key) {
        state = { ...(await compute(asked)), key };
        root.classList.toggle("with-beat", asked.beat);
        writeScores(state);
        clearTimeout(telling); // once the sliders rest, not at every step
        telling = setTimeout(() => {
          part("summary").textContent = describe(state);
          telling = 0;
          settle();
        }, 250);
      }
      drawPaper(state);
      drawFound(state);
      await new Promise(requestAnimationFrame);
    } while (again);
    busy = false;
    settle();
  }

  /* Say that the page is at rest once all is computed, drawn and told. */
  function settle() {
    if (!busy && !telling) root.setAttribute("aria-busy", "false");
  }

  function start() {
    root = document.getElementById("ecg-live");
    if (!root || !document.getElementById("ecg-live-data")) return void setTimeout(start, 100);
    data = JSON.parse(part("data").textContent);
    data.recordings.forEach((one, index) => {
      const option = part("recording").appendChild(document.createElement("option"));
      option.value = index;
      option.textContent = one.title;
    });
    const first = ["given", "V2", "lead", "V5"];
    const setDefaults = () => { part(first[0]).value = first[1]; part(first[2]).value = first[3]; };
    setDefaults();
    for (const form of [part("controls"), part("moments")]) {
      form.hidden = false;
      form.addEventListener("input", update);
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("reset", () => {
        root.setAttribute("aria-busy", "true");
        setTimeout(() => { setDefaults(); update(); }); // the values change after the event
      });
    }
    new MutationObserver(update).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let width = 0;
    new ResizeObserver(() => {
      if (root.clientWidth !== width) { width = root.clientWidth; update(); }
    }).observe(root);
    live.compute = compute;
    live.recording = recording;
    update();
  }
  start();
})();
