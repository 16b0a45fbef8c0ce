/* The model of the live page: nearest neighbours in lag space, as in ecgnb/reconstruction/neighbours.py, the
   average beat of ecgnb/reconstruction/average_beat.py, and the scores. Signals are Float64Array per lead, mV. */
"use strict";
window.ecgLive = (() => {
  const LEAF = 16; // moments in a leaf of the k-d tree
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  function readSignals(text, nLead) {
    const values = new Int16Array(bytes(text));
    const nTime = values.length / nLead;
    return Array.from({ length: nLead }, (_, lead) =>
      Float64Array.from(values.subarray(lead * nTime, (lead + 1) * nTime), (v) => v * 0.001));
  }

  /* Return a recording with its signals, peaks and, per lead and reach, the axes. */
  function decode(packed, nLead) {
    const floats = new Float32Array(bytes(packed.axes));
    let at = 0;
    const take = (n) => Float64Array.from(floats.subarray(at, (at += n)));
    const embeddings = Array.from({ length: nLead }, () =>
      packed.embeddings.map((one) => {
        const nLag = (2 * one.reach) / one.step + 1;
        return { ...one, nLag, mean: take(nLag), axes: take(nLag * one.nComponent) };
      }));
    return {
      ...packed, embeddings,
      library: readSignals(packed.library, nLead),
      shown: readSignals(packed.shown, nLead),
    };
  }

  /* Return the place (moment, component) of every moment at least `reach` from an end. */
  function embed(signal, { reach, step, nLag, nComponent, mean, axes }) {
    const nMoment = signal.length - 2 * reach;
    const places = new Float64Array(nMoment * nComponent);
    for (let moment = 0; moment < nMoment; moment++) {
      const row = moment * nComponent;
      for (let lag = 0; lag < nLag; lag++) {
        const value = signal[moment + lag * step] - mean[lag];
        const weights = lag * nComponent;
        for (let c = 0; c < nComponent; c++) places[row + c] += value * axes[weights + c];
      }
    }
    return places;
  }

  /* Return places in a k-d tree: `bounds` and `children` of each node, moments leaf by leaf. */
  function makeLibrary(places, nComponent) {
    const n = places.length / nComponent;
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    const nodes = []; // [start, stop, axis, cut, left, right]; a leaf has axis -1
    const build = (start, stop) => {
      const number = nodes.push([start, stop, -1, 0, 0, 0]) - 1;
      if (stop - start <= LEAF) return number;
      let axis = 0, widest = 0;
      for (let c = 0; c < nComponent; c++) {
        let low = Infinity, high = -Infinity;
        for (let i = start; i < stop; i++) {
          const value = places[order[i] * nComponent + c];
          if (value < low) low = value;
          if (value > high) high = value;
        }
        if (high - low > widest) { widest = high - low; axis = c; }
      }
      if (widest === 0) return number;
      order.subarray(start, stop).sort((a, b) => places[a * nComponent + axis] - places[b * nComponent + axis]);
      const middle = (start + stop) >> 1;
      const cut = places[order[middle] * nComponent + axis];
      nodes[number] = [start, stop, axis, cut, build(start, middle), build(middle, stop)];
      return number;
    };
    build(0, n);
    const sorted = new Float64Array(places.length), rank = new Uint32Array(n);
    order.forEach((moment, i) => {
      sorted.set(places.subarray(moment * nComponent, (moment + 1) * nComponent), i * nComponent);
      rank[moment] = i;
    });
    const column = (kind, c) => kind.from(nodes, (node) => node[c]);
    return {
      n, nComponent, order, rank, sorted, seen: new Uint32Array(n), query: 0,
      start: column(Int32Array, 0), stop: column(Int32Array, 1), axis: column(Int32Array, 2),
      cut: column(Float64Array, 3), left: column(Int32Array, 4), right: column(Int32Array, 5),
      sides: new Float64Array(nComponent), // distance to a node's region, by axis
    };
  }

  /* Write the nearest moments of one place and their squared distances, exactly. `hints` are
     moments that are probably near: they make the first bound tight. */
  function nearest(library, place, hints, moments, squares) {
    const { n, nComponent, order, rank, sorted, seen, start, stop, axis, cut, left, right, sides } = library;
    const nWanted = moments.length, stamp = ++library.query;
    let count = 0;
    const offer = (i) => {
      if (seen[i] === stamp) return;
      seen[i] = stamp;
      const worst = count < nWanted ? Infinity : squares[nWanted - 1];
      let square = 0;
      for (let c = 0, at = i * nComponent; c < nComponent; c++) {
        const gap = sorted[at + c] - place[c];
        square += gap * gap;
        if (square >= worst) return;
      }
      let slot = Math.min(count, nWanted - 1);
      while (slot > 0 && squares[slot - 1] > square) {
        squares[slot] = squares[slot - 1];
        moments[slot] = moments[--slot];
      }
      squares[slot] = square;
      moments[slot] = order[i];
      if (count < nWanted) count++;
    };
    for (const moment of hints) if (moment < n) offer(rank[moment]);
    const visit = (node, square) => {
      if (count === nWanted && square >= squares[nWanted - 1]) return;
      const along = axis[node];
      if (along < 0) {
        for (let i = start[node]; i < stop[node]; i++) offer(i);
        return;
      }
      const gap = place[along] - cut[node], side = sides[along];
      visit(gap < 0 ? left[node] : right[node], square);
      sides[along] = gap;
      visit(gap < 0 ? right[node] : left[node], square - side * side + gap * gap);
      sides[along] = side;
    };
    visit(0, 0);
  }

  /* Return for every place its nearest moments and their weights (inverse squared distance).
     A generator: it pauses now and then, so that the page stays responsive. */
  function* lookUp(library, places, nNeighbour) {
    const { nComponent } = library, nPlace = places.length / nComponent;
    const nWanted = Math.min(nNeighbour, library.n);
    const moments = new Uint32Array(nPlace * nWanted);
    const weights = new Float64Array(nPlace * nWanted);
    let hints = [];
    for (let t = 0; t < nPlace; t++) {
      const row = moments.subarray(t * nWanted, (t + 1) * nWanted);
      const place = places.subarray(t * nComponent, (t + 1) * nComponent);
      nearest(library, place, hints, row, weights.subarray(t * nWanted, (t + 1) * nWanted));
      hints = Array.from(row, (moment) => moment + 1);
      if (t % 64 === 63) yield;
    }
    const distances = Float64Array.from(weights, Math.sqrt).sort();
    const half = distances.length >> 1;
    const median = distances.length % 2
      ? distances[half] : (distances[half - 1] + distances[half]) / 2;
    const floor = 1e-3 * median * median + 1e-12;
    for (let t = 0; t < nPlace; t++) {
      let total = 0;
      for (let k = t * nWanted; k < (t + 1) * nWanted; k++) total += weights[k] = 1 / (weights[k] + floor);
      for (let k = t * nWanted; k < (t + 1) * nWanted; k++) weights[k] /= total;
    }
    return { moments, weights, nWanted, nPlace };
  }

  /* Return the model of one given lead: its library for each reach. */
  function fit(recording, lead) {
    return recording.embeddings[lead].map((axes) => ({
      axes,
      library: makeLibrary(embed(recording.library[lead], axes), axes.nComponent),
    }));
  }

  /* Return all leads from one, and what was found for each reach; pauses like `lookUp`. */
  function* predict(recording, model, signal, nNeighbour) {
    const nTime = signal.length;
    const leads = recording.library.map(() => new Float64Array(nTime));
    const found = [];
    for (const { axes, library } of model) {
      const near = yield* lookUp(library, embed(signal, axes), nNeighbour);
      found.push({ reach: axes.reach, ...near });
    }
    for (const { reach, moments, weights, nWanted, nPlace } of found) {
      for (let t = 0; t < nTime; t++) {
        const place = Math.min(Math.max(t - reach, 0), nPlace - 1);
        for (let k = place * nWanted; k < (place + 1) * nWanted; k++) {
          const at = moments[k] + t - place, weight = weights[k] / model.length;
          for (let lead = 0; lead < leads.length; lead++)
            leads[lead][t] += weight * recording.library[lead][at];
        }
      }
    }
    return { leads, found };
  }

  function median(values) {
    const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  /* Return the median beat of every lead, aligned at the R peaks of one lead. */
  function averageBeat(recording, lead) {
    const { before, after, library } = recording;
    const inside = recording.peaks[lead][0].filter((p) => p >= before && p + after <= library[0].length);
    return library.map((signal) => {
      if (!inside.length) return new Float64Array(before + after).fill(mean(signal));
      return Float64Array.from({ length: before + after }, (_, i) =>
        median(inside.map((peak) => signal[peak - before + i])));
    });
  }

  /* Return the average beat pasted at R peaks, as `templates.paste_beats` does. */
  function pasteBeats(beat, peaks, nTime, before) {
    const leads = beat.map((one) => new Float64Array(nTime).fill(mean(one)));
    peaks.forEach((peak, i) => {
      const edge = (j) => peaks[j] - Math.trunc(Math.min(0.4 * (peaks[j] - peaks[j - 1]), before));
      const start = i ? edge(i) : 0, stop = i + 1 < peaks.length ? edge(i + 1) : nTime;
      for (let t = start; t < stop; t++) {
        const place = Math.min(Math.max(t - peak + before, 0), beat[0].length - 1);
        beat.forEach((one, lead) => { leads[lead][t] = one[place]; });
      }
    });
    return leads;
  }

  /* Return Pearson's r (NaN for a flat lead) and the root mean square error, mV. */
  function score(truth, guess) {
    const meanTruth = mean(truth), meanGuess = mean(guess), n = truth.length;
    let square = 0, xx = 0, yy = 0, xy = 0;
    for (let t = 0; t < n; t++) {
      const x = truth[t] - meanTruth, y = guess[t] - meanGuess;
      square += (truth[t] - guess[t]) ** 2;
      xx += x * x; yy += y * y; xy += x * y;
    }
    const flat = Math.min(xx, yy) / n <= 1e-12;
    return { r: flat ? NaN : xy / n / Math.sqrt((xx / n) * (yy / n)), error: Math.sqrt(square / n) };
  }

  /* Run a generator to its end, in slices of `sliceMs` between which the page can breathe. */
  async function run(generator, sliceMs = 25) {
    for (let until = performance.now() + sliceMs; ;) {
      const { done, value } = generator.next();
      if (done) return value;
      if (performance.now() > until) {
        await new Promise((resolve) => { setTimeout(resolve); });
        until = performance.now() + sliceMs;
      }
    }
  }

  return { run, decode, fit, predict, averageBeat, pasteBeats, score };
})();
