'use strict';
// What the probes of Node.js clients share: the environment, and the conversation with who runs them (see compat.Probe).
const readline = require('node:readline');
const { createRequire } = require('node:module');
const fs = require('node:fs');
const { isDeepStrictEqual, inspect } = require('node:util');

const env = process.env;
const columns = env.COMPAT_COLUMNS.split(',');
const PATIENCE = 30_000;
const SEED = 'truth from the log';

// Of the packages that were installed, not of those beside this file.
const load = createRequire(env.COMPAT_MODULES + '/');
const version = (name) => JSON.parse(fs.readFileSync(`${env.COMPAT_MODULES}/${name}/package.json`)).version;

const print = (o) => console.log(JSON.stringify(o));
const key = (name) => env.COMPAT_PREFIX + name;
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

const waiting = [];
readline.createInterface({ input: process.stdin }).on('line', (l) => waiting.shift()(l));

async function ask(question) {
  const answer = new Promise((r) => waiting.push(r));
  print(question);
  const got = await answer;
  if (got !== 'ok') throw new Error(`${question.ask}: ${got}`);
}

async function column(name, f) {
  if (!columns.includes(name)) return;
  let timer;
  try {
    const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`not within ${PATIENCE} ms`)), PATIENCE); });
    const note = await Promise.race([f(), late]);
    print({ column: name, ok: true, note: note || '' });
  } catch (e) {
    print({ column: name, ok: false, note: String(e && e.message || e) });
  } finally {
    clearTimeout(timer);
  }
}

function same(got, want) {
  if (!isDeepStrictEqual(got, want)) throw new Error(`got ${inspect(got).slice(0, 100)}, want ${inspect(want).slice(0, 100)}`);
}

async function refused(word, f) {
  let got;
  try {
    got = await f();
  } catch (e) {
    const text = inspect(e, { depth: 5 });
    if (!text.includes(word)) throw new Error(`got ${e.message}, want ${word}`);
    return;
  }
  throw new Error(`got ${inspect(got)}, want an error with ${word}`);
}

async function eventually(what, f) {
  for (const deadline = Date.now() + PATIENCE; ; await sleep(5)) {
    try {
      return await f();
    } catch (e) {
      if (Date.now() > deadline) throw new Error(`${what}: ${e.message}`);
    }
  }
}

// reconnect has the daemon restarted, and get, which reads the seed, go on by itself.
async function reconnect(get) {
  same(await get(), SEED);
  await ask({ ask: 'restart' });
  let note = 'while it loads, GET is tried again and waits';
  const first = get().then((v) => `while it loads, GET is shown ${v}`, (e) => `while it loads, GET is shown: ${e.message}`);
  note = await Promise.race([first, sleep(1500).then(() => note)]); // long enough for a library that shows it
  await ask({ ask: 'ready' });
  await eventually('the value after the restart', async () => same(await get(), SEED));
  return note;
}

const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const big = Array.from({ length: 400_000 }, (_, n) => `truth ${n} `).join('');
const scanned = (keys) => same([...new Set(keys)].sort(), Array.from({ length: 300 }, (_, n) => key(`scan:${n}`)).sort());

async function callers(get) {
  await Promise.all(Array.from({ length: 50 }, async (_, n) => {
    for (let i = 0; i < 20; i++) same(await get(key(`scan:${n}`)), `truth ${n}`);
  }));
}

function waited(began) {
  const took = Date.now() - began;
  if (took < 290 || took > 10_000) throw new Error(`WAIT of 300 ms took ${took} ms`);
}

module.exports = {
  env, key, ask, column, same, refused, eventually, reconnect, every, big, scanned, callers, waited, print, load, version, SEED,
  host: env.COMPAT_HOST, port: Number(env.COMPAT_PORT), authPort: Number(env.COMPAT_AUTH_PORT), tlsPort: Number(env.COMPAT_TLS_PORT), password: env.COMPAT_PASSWORD,
  ca: () => fs.readFileSync(env.COMPAT_CA),
};
