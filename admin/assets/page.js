// Keeps the status page up to date and draws its plots. The page is complete without it: what is here only puts newer texts into cells that
// the server has rendered, and history into figures.
'use strict';
(() => {
  const span = 15 * 60; // seconds that plots show at most
  const least = 2 * 60; // and at least, of an instance that has just begun
  const maxLegend = 8;
  const maxSilence = 7000; // an event comes every two seconds
  const names = {
    residentIndex: 'resident index', blockCache: 'block cache', memtables: 'memtables', go: 'Go', run: 'run', failed: 'answered with an error', p50: 'median', p99: 'p99',
  };
  const order = Object.keys(names); // of lines; others, as partitions, by themselves
  const connection = document.getElementById('connection');
  const asOf = document.getElementById('as-of');
  let kept = null; // {times: ms[], series: {name: number[]}, limit}
  let plots = [];
  let live = false; // the stream of events is open
  let reshaping = false;
  let source; // of events
  let heard = performance.now(); // when it last said something
  let shape = document.getElementById('shape').dataset.shape;

  const say = (text, on) => {
    if (connection.textContent === text) return;
    connection.textContent = text;
    connection.classList.toggle('on', on);
    connection.classList.toggle('off', !on);
  };

  const magnitude = (v, units, step) => {
    let i = 0;
    while (Math.abs(v) >= step && i < units.length - 1) {
      v /= step;
      i++;
    }
    return +v.toPrecision(3) + units[i];
  };
  const formats = {
    records: (v) => magnitude(v, ['', ' k', ' M', ' G'], 1000),
    perSecond: (v) => magnitude(v, ['', ' k', ' M', ' G'], 1000),
    seconds: (v) => magnitude(v, [' s'], Infinity),
    bytes: (v) => magnitude(v, [' B', ' KiB', ' MiB', ' GiB', ' TiB'], 1024),
    latency: (v) => (v === 0 ? '0' : v < 1e-3 ? +(v * 1e6).toPrecision(3) + ' µs' : v < 1 ? +(v * 1e3).toPrecision(3) + ' ms' : +v.toPrecision(3) + ' s'),
  };

  const clock = (t, withSeconds) => new Date(t * 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: withSeconds ? '2-digit' : undefined, hourCycle: 'h23'});

  const powers = Array.from({length: 50}, (_, i) => 2 ** i); // of bytes

  const range = (times) => {
    const end = times.length > 0 ? times[times.length - 1] : Date.now() / 1000;
    return [end - Math.min(span, Math.max(least, end - (times[0] || end))), end];
  };

  class Plot {
    constructor(figure) {
      this.figure = figure;
      this.prefix = figure.dataset.plot;
      this.format = formats[figure.dataset.unit];
      this.box = document.createElement('div');
      this.box.className = 'plot';
      this.box.setAttribute('role', 'img');
      this.legend = document.createElement('ul');
      this.legend.className = 'legend';
      figure.append(this.box, this.legend);
      this.sizes = new ResizeObserver(() => {
        if (this.chart && this.box.clientWidth > 0) this.chart.setSize({width: this.box.clientWidth, height: this.box.clientHeight});
      });
      this.sizes.observe(this.box);
    }

    end() {
      this.sizes.disconnect();
      if (this.chart) this.chart.destroy();
      this.box.remove();
      this.legend.remove();
    }

    draw() {
      const lines = Object.keys(kept.series).filter((n) => n.startsWith(this.prefix));
      const rank = (n) => order.indexOf(n.slice(this.prefix.length));
      lines.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, 'en', {numeric: true}));
      const data = [kept.times.map((t) => t / 1000), ...lines.map((n) => kept.series[n])];
      const same = this.lines && this.lines.join('\n') === lines.join('\n');
      this.lines = lines;
      if (!same) this.make(data);
      else this.chart.setData(data);
      this.describe();
    }

    make(data) {
      if (this.chart) this.chart.destroy();
      const style = getComputedStyle(document.documentElement);
      const color = (name) => style.getPropertyValue(name).trim();
      const axis = {stroke: color('--soft'), grid: {stroke: color('--line'), width: 1}, ticks: {stroke: color('--line'), width: 1, size: 4}, font: '11px system-ui, sans-serif'};
      this.chart = new uPlot({
        width: this.box.clientWidth || 400,
        height: this.box.clientHeight || 150,
        padding: [8, 24, null, null],
        legend: {show: false},
        cursor: {show: false},
        scales: {
          x: {time: true, range: (u) => range(u.data[0])},
          y: {range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1]},
        },
        axes: [
          {...axis, space: 70, size: 28, values: (u, at, axis, space, apart) => at.map((t) => clock(t, apart < 60))},
          {...axis, space: 30, size: 62, ...(this.figure.dataset.unit === 'bytes' ? {incrs: powers} : {}), values: (u, at) => at.map((v) => this.format(v))},
        ],
        series: [{}, ...this.lines.map((n, i) => ({label: this.label(n), stroke: color('--s' + (i % 8)), width: 1.75, points: {show: false}, spanGaps: false}))],
      }, data, this.box);
      this.legend.replaceChildren(...this.lines.slice(0, maxLegend).map((n, i) => {
        const item = document.createElement('li');
        const mark = document.createElement('i');
        mark.className = 'c' + (i % 8);
        item.append(mark, this.label(n));
        return item;
      }));
      if (this.lines.length > maxLegend) {
        const rest = document.createElement('li');
        rest.textContent = `and ${this.lines.length - maxLegend} more`;
        this.legend.append(rest);
      }
    }

    label(name) {
      const rest = name.slice(this.prefix.length);
      return (this.figure.dataset.label || '') + (this.prefix === 'applied/' ? rest : names[rest] || rest);
    }

    // What a plot says to who does not see it.
    describe() {
      let newest = null, most = null;
      for (const n of this.lines) {
        const values = kept.series[n];
        const last = values[values.length - 1];
        if (last !== null && last !== undefined && (newest === null || last > newest)) newest = last;
        for (const v of values) if (v !== null && (most === null || v > most)) most = v;
      }
      const text = newest === null ? 'nothing is known yet' : `at most ${this.format(newest)} now, ${this.format(most)} over the last fifteen minutes`;
      this.box.setAttribute('aria-label', this.figure.querySelector('figcaption').textContent + ': ' + text);
      this.box.dataset.newest = newest === null ? '' : newest;
      this.box.dataset.most = most === null ? '' : most;
    }
  }

  const makePlots = () => {
    for (const p of plots) p.end();
    for (const all of document.querySelectorAll('.plots')) all.hidden = false;
    plots = [...document.querySelectorAll('figure[data-plot]')].map((f) => new Plot(f));
    drawPlots();
  };
  const drawPlots = () => {
    if (kept && !document.hidden) for (const p of plots) p.draw();
  };

  // null: there is no answer, or one that says no.
  const ask = async (path) => {
    try {
      const answer = await fetch(path, {cache: 'no-store'});
      return answer.ok ? await answer.text() : null;
    } catch {
      return null;
    }
  };

  const loadHistory = async () => {
    const text = await ask('api/v1/history');
    if (text === null) {
      setTimeout(() => { if (live) loadHistory(); }, 5000);
      return;
    }
    const h = JSON.parse(text);
    kept = {times: h.times, series: h.series, limit: Math.ceil(span / h.intervalSeconds)};
    drawPlots();
  };

  const note = (time, values) => {
    if (!kept || (kept.times.length > 0 && kept.times[kept.times.length - 1] >= time)) return;
    const n = kept.times.push(time);
    for (const name of Object.keys(values)) {
      if (!kept.series[name]) kept.series[name] = new Array(n - 1).fill(null);
    }
    for (const name of Object.keys(kept.series)) {
      kept.series[name].push(name in values ? values[name] : null);
    }
    if (n > kept.limit) {
      kept.times.shift();
      for (const name of Object.keys(kept.series)) {
        const values = kept.series[name];
        values.shift();
        if (values.every((v) => v === null)) delete kept.series[name];
      }
    }
  };

  // The parts of the page have changed, as when a partition was added.
  const reshape = async () => {
    if (reshaping) return; // the next event asks again
    reshaping = true;
    const text = await ask('./');
    reshaping = false;
    const page = new DOMParser().parseFromString(text || '', 'text/html');
    const fresh = page.getElementById('live');
    if (!fresh) return;
    document.getElementById('live').replaceWith(document.importNode(fresh, true));
    shape = page.getElementById('shape').dataset.shape;
    makePlots();
  };

  const show = (cells) => {
    for (const e of document.querySelectorAll('[data-cell]')) {
      const c = cells[e.dataset.cell];
      if (!c) continue;
      if (e.textContent !== c[0]) e.textContent = c[0];
      if (e.className !== c[1]) e.className = c[1];
    }
    for (const e of document.querySelectorAll('[data-class-of]')) {
      const c = cells[e.dataset.classOf];
      if (c && e.className !== 'state ' + c[1]) e.className = 'state ' + c[1];
    }
  };

  const hear = () => {
    heard = performance.now();
    live = true;
    say('live', true);
  };

  const listen = () => {
    if (source) source.close();
    source = new EventSource('api/v1/events');
    source.addEventListener('open', () => {
      hear();
      loadHistory();
    });
    source.addEventListener('status', async (e) => {
      hear();
      const event = JSON.parse(e.data);
      note(event.time, event.values);
      if (event.shape !== shape) await reshape();
      else show(event.cells);
      const at = new Date(event.time).toISOString().replace(/\.\d+/, '');
      asOf.textContent = at;
      asOf.dateTime = at;
      drawPlots();
    });
    source.addEventListener('error', () => { live = false; }); // what follows says so, unless it is open again before
  };

  // An instance that hangs, or a network that swallows, ends no connection.
  const watch = () => {
    const silent = performance.now() - heard;
    if (silent < maxSilence) return;
    live = false;
    say('no connection to the instance: what is shown is of ' + asOf.textContent, false);
    if (document.hidden || silent < maxSilence + 3000) return;
    heard = performance.now() - maxSilence + 2000; // so that the next attempt is in five seconds
    listen();
  };

  makePlots();
  listen();
  setInterval(watch, 1000);
  document.addEventListener('visibilitychange', drawPlots);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', makePlots);
})();
