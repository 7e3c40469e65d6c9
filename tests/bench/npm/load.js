// The smallest application with the npm library kafka-cache, on its defaults: memdown, values as JSON. Arguments:
// bootstrap, topic, and keys to look up once it is ready. Prints READY when the library calls back, and FOUND with how
// many of the keys are there; ends on SIGTERM. It logs warnings alone: by default it writes a line for every request
// to a broker.
'use strict';
process.env.KAFKA_CACHE_LOG_LEVEL = 'WARN';
const kafkaCache = require('kafka-cache');

const [kafkaHost, topic, ...keys] = process.argv.slice(2);
const cache = kafkaCache.create({ kafkaHost, topic });
cache.onReady(async () => {
  console.log('READY');
  let found = 0;
  for (const key of keys) {
    const value = await cache.get(key);
    if (value.id === key) found++;
  }
  console.log('FOUND ' + found);
});
process.on('SIGTERM', () => process.exit(0));
