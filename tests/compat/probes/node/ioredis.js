'use strict';
// Tries ioredis, in the version whose name in package.json is the argument.
const c = require('./conversation.js');
const { key, same, column, SEED } = c;
const name = process.argv[2];
const Redis = c.load(name);
const Cluster = Redis.Cluster;
const open = [];
function client(port, options = {}) {
  const r = new Redis({ port, host: c.host, ...options });
  r.on('error', () => {}); // what matters is what commands say
  open.push(r);
  return r;
}

async function main() {
  c.print({ version: c.version(name) });
  const r = client(c.port);
  await column('connect', async () => {
    same(await r.ping(), 'PONG');
    same(await r.echo('truth'), 'truth');
  });
  await column('auth', async () => {
    same(await client(c.authPort, { password: c.password }).get(key('seed')), SEED);
    // It connects again and again, and tells of it by events; commands fail once, after its twenty tries.
    const told = (options) => new Promise((_, no) => {
      const w = client(c.authPort, options);
      w.on('error', (e) => { w.disconnect(); no(e); });
      w.get(key('seed')).then((v) => no(new Error(`got ${v}`)), (e) => { w.disconnect(); no(e); });
    });
    await c.refused('WRONGPASS', () => told({ password: 'wrong' }));
    await c.refused('NOAUTH', () => told({}));
  });
  await column('select', async () => same(await client(c.port, { db: 1 }).get(key('seed')), 'truth of database 1'));
  await column('read', async () => {
    same(await r.get(key('seed')), SEED);
    same(await r.get(key('none')), null);
    same(await r.mget(key('seed'), key('none'), key('scan:7')), [SEED, null, 'truth 7']);
    same(await r.exists(key('seed'), key('none'), key('seed')), 2);
    same(await r.strlen(key('seed')), SEED.length);
    same(await r.getrange(key('seed'), 0, 4), 'truth');
    same([await r.ttl(key('seed')), await r.ttl(key('none')), await r.type(key('seed'))], [-1, -2, 'string']);
  });
  await column('write', async () => {
    same(await r.set(key('w'), 'truth w'), 'OK');
    same(await r.get(key('w')), 'truth w');
    same(await r.mset({ [key('w1')]: 'truth 1', [key('w2')]: 'truth 2' }), 'OK');
    same(await r.mget(key('w1'), key('w2')), ['truth 1', 'truth 2']);
    same(await r.del(key('w'), key('w1'), key('none')), 2);
    same(await r.get(key('w')), null);
    await c.refused('READONLY', () => client(c.port, { db: 2 }).set(key('seed'), 'x'));
  });
  await column('pipeline', async () => {
    const p = r.pipeline();
    for (let n = 0; n < 100; n++) p.set(key(`p:${n}`), `truth ${n}`);
    for (let n = 0; n < 100; n++) p.get(key(`p:${n}`));
    const got = await p.exec();
    for (let n = 0; n < 100; n++) same([got[n], got[100 + n]], [[null, 'OK'], [null, `truth ${n}`]]);
  });
  await column('transaction', async () => {
    same(await r.multi().set(key('t1'), 'truth 1').set(key('t2'), 'truth 2').get(key('t1')).del(key('t2')).exec(), [[null, 'OK'], [null, 'OK'], [null, 'truth 1'], [null, 1]]);
    same(await r.mget(key('t1'), key('t2')), ['truth 1', null]);
  });
  await column('scan', async () => {
    const keys = [];
    for await (const page of r.scanStream({ match: key('scan:*'), count: 50 })) keys.push(...page);
    c.scanned(keys);
  });
  await column('subscribe', async () => {
    const s = client(c.port);
    const message = new Promise((yes) => s.on('pmessage', (_, channel, text) => yes([channel, text])));
    same(await s.psubscribe(`__keyspace@0__:${key('event*')}`), 1);
    await c.ask({ ask: 'produce', key: key('event1'), value: 'truth' });
    same(await message, [`__keyspace@0__:${key('event1')}`, 'set']);
  });
  await column('cluster', async () => {
    const cluster = new Cluster([{ host: c.host, port: c.port }], { clusterRetryStrategy: () => null });
    cluster.on('error', () => {});
    const told = [];
    cluster.on('node error', (e) => told.push(e.message));
    try {
      await c.refused('startup nodes', () => cluster.get(key('seed')));
      same(told.some((m) => m.includes('cluster support disabled')), true); // what the node said is an event of its own
    } finally {
      cluster.disconnect();
    }
  });
  await column('wait', async () => {
    same(await r.set(key('waited'), 'truth'), 'OK');
    same(await r.wait(1, 1000), 1);
    const began = Date.now();
    same(await r.wait(7, 300), 1);
    c.waited(began);
    same(await r.get(key('waited')), 'truth');
  });
  await column('big', async () => {
    same(await r.set(key('big'), c.big), 'OK');
    same(await r.get(key('big')) === c.big, true);
  });
  await column('binary', async () => {
    const k = Buffer.concat([Buffer.from(key('')), c.every]);
    const v = Buffer.concat([Buffer.from('truth'), c.every]);
    same(await r.set(k, v), 'OK');
    same(await r.getBuffer(k), v);
  });
  await column('pool', async () => {
    await c.callers((k) => r.get(k));
    return 'one connection for all callers';
  });
  await column('tls', async () => same(await client(c.tlsPort, { tls: { ca: c.ca() } }).get(key('seed')), SEED));
  await column('reconnect', () => c.reconnect(() => r.get(key('seed'))));
  open.forEach((o) => o.disconnect());
  process.exit(0);
}
main();
