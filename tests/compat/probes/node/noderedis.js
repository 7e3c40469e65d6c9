'use strict';
// Tries node-redis, in the version whose name in package.json is the argument; with COMPAT_RESP=3 it speaks RESP3.
const c = require('./conversation.js');
const { key, same, column, SEED } = c;
const name = process.argv[2];
const redis = c.load(name);
const RESP = c.env.COMPAT_RESP ? { RESP: Number(c.env.COMPAT_RESP) } : {};
async function client(port, options = {}, socket = {}) {
  const r = redis.createClient({ socket: { host: c.host, port, ...socket }, ...RESP, ...options });
  r.on('error', () => {}); // what matters is what commands say
  await r.connect();
  return r;
}
const once = { reconnectStrategy: false }; // otherwise connect() tries again for ever

async function main() {
  c.print({ version: c.version(name) });
  const r = await client(c.port);
  await column('connect', async () => {
    same(await r.ping(), 'PONG');
    same(await r.echo('truth'), 'truth');
  });
  await column('auth', async () => {
    same(await (await client(c.authPort, { password: c.password })).get(key('seed')), SEED);
    await c.refused('WRONGPASS', () => client(c.authPort, { password: 'wrong' }, once));
    await c.refused('NOAUTH', async () => (await client(c.authPort, {}, once)).get(key('seed')));
  });
  await column('select', async () => same(await (await client(c.port, { database: 1 })).get(key('seed')), 'truth of database 1'));
  await column('read', async () => {
    same(await r.get(key('seed')), SEED);
    same(await r.get(key('none')), null);
    same(await r.mGet([key('seed'), key('none'), key('scan:7')]), [SEED, null, 'truth 7']);
    same(await r.exists([key('seed'), key('none'), key('seed')]), 2);
    same(await r.strLen(key('seed')), SEED.length);
    same(await r.getRange(key('seed'), 0, 4), 'truth');
    same([await r.ttl(key('seed')), await r.ttl(key('none')), await r.type(key('seed'))], [-1, -2, 'string']);
  });
  await column('write', async () => {
    same(await r.set(key('w'), 'truth w'), 'OK');
    same(await r.get(key('w')), 'truth w');
    same(await r.mSet({ [key('w1')]: 'truth 1', [key('w2')]: 'truth 2' }), 'OK');
    same(await r.mGet([key('w1'), key('w2')]), ['truth 1', 'truth 2']);
    same(await r.del([key('w'), key('w1'), key('none')]), 2);
    same(await r.get(key('w')), null);
    const readonly = await client(c.port, { database: 2 });
    await c.refused('READONLY', () => readonly.set(key('seed'), 'x'));
  });
  await column('pipeline', async () => {
    const sets = [], gets = [];
    for (let n = 0; n < 100; n++) sets.push(r.set(key(`p:${n}`), `truth ${n}`));
    for (let n = 0; n < 100; n++) gets.push(r.get(key(`p:${n}`)));
    same(await Promise.all(sets), Array(100).fill('OK'));
    same(await Promise.all(gets), Array.from({ length: 100 }, (_, n) => `truth ${n}`));
    return 'commands of one tick go out together';
  });
  await column('transaction', async () => {
    same(await r.multi().set(key('t1'), 'truth 1').set(key('t2'), 'truth 2').get(key('t1')).del(key('t2')).exec(), ['OK', 'OK', 'truth 1', 1]);
    same(await r.mGet([key('t1'), key('t2')]), ['truth 1', null]);
  });
  await column('scan', async () => {
    const keys = [];
    for await (const page of r.scanIterator({ MATCH: key('scan:*'), COUNT: 50 })) keys.push(...[page].flat()); // single keys in version 4, pages since
    c.scanned(keys);
  });
  await column('subscribe', async () => {
    const s = r.duplicate();
    s.on('error', () => {});
    await s.connect();
    let told;
    const message = new Promise((yes) => { told = yes; });
    await s.pSubscribe(`__keyspace@0__:${key('event*')}`, (text, channel) => told([channel, text]));
    await c.ask({ ask: 'produce', key: key('event1'), value: 'truth' });
    same(await message, [`__keyspace@0__:${key('event1')}`, 'set']);
  });
  await column('cache', async () => {
    const cached = await client(c.port, { RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: 'LRU' } });
    const hits = () => cached.clientSideCache ? cached.clientSideCache.stats().hitCount : undefined;
    same(await cached.get(key('cached')), 'truth 1');
    same(await cached.get(key('cached')), 'truth 1');
    await c.ask({ ask: 'produce', key: key('cached'), value: 'truth 2' });
    await c.eventually('the new value', async () => same(await cached.get(key('cached')), 'truth 2'));
    const before = hits();
    same(await cached.get(key('cached')), 'truth 2');
    if (before !== undefined) same(hits(), before + 1);
    return before === undefined ? '`clientSideCache`' : '`clientSideCache`, its hits counted';
  });
  await column('cluster', async () => {
    const cluster = redis.createCluster({ rootNodes: [{ socket: { host: c.host, port: c.port } }], ...RESP });
    cluster.on('error', () => {});
    // Its error may say of the root nodes as a whole that none could be had.
    await c.refused('luster', () => cluster.connect());
  });
  await column('wait', async () => {
    same(await r.set(key('waited'), 'truth'), 'OK');
    same(await r.sendCommand(['WAIT', '1', '1000']), 1);
    const began = Date.now();
    same(await r.sendCommand(['WAIT', '7', '300']), 1);
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
    const got = redis.commandOptions ? await r.get(redis.commandOptions({ returnBuffers: true }), k) : await r.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer }).get(k);
    same(Buffer.from(got), v);
  });
  await column('pool', async () => {
    await c.callers((k) => r.get(k));
    return 'one connection for all callers';
  });
  await column('tls', async () => same(await (await client(c.tlsPort, {}, { tls: true, ca: c.ca(), servername: 'localhost' })).get(key('seed')), SEED));
  await column('reconnect', () => c.reconnect(() => r.get(key('seed'))));
  process.exit(0);
}
main();
