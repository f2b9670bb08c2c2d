// What applications do with node-redis (RESP3, with its cache on), and then jobs in a stream
// with a consumer group.
import { createClient, createClientPool, defineScript, BasicClientSideCache } from 'redis';
import { ended, expect, host, port, produce, run, say, sleep, until } from './program.js';

const addJob = defineScript({
  NUMBER_OF_KEYS: 2,
  // A job that is known is not added again.
  SCRIPT: `if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 'again' end
           return redis.call('XADD', KEYS[1], '*', 'id', ARGV[1])`,
  parseCommand(parser, id) {
    parser.pushKeys(['jobs', 'seen']);
    parser.push(id);
  },
  transformReply: (reply) => reply,
});

const options = {
  RESP: 3,
  socket: { host, port, reconnectStrategy: () => 50 },
  scripts: { addJob },
};

async function connect(more) {
  const client = createClient({ ...options, ...more });
  client.on('error', (err) => console.error(String(err)));
  await client.connect();
  return client;
}

run(async () => {
  const client = await connect();
  await features(client);

  await client.xGroupCreate('jobs', 'workers', '0', { MKSTREAM: true });
  let ending = false;
  const workers = [1, 2, 3].map((n) => work(`worker-${n}`, () => ending));
  await produce((id) => client.addJob(id));
  await ended;
  ending = true;
  await Promise.all(workers);
  expect('pending', (await client.xPending('jobs', 'workers')).pending, 0);
});

async function work(name, ending) {
  const client = await connect();
  for (let from = '0'; from === '0' || !ending(); ) { // nothing of its own is left pending
    try {
      const streams = await client.xReadGroup('workers', name, [{ key: 'jobs', id: from }], { COUNT: 5, BLOCK: 200 });
      const messages = Object.values(streams ?? {}).flatMap((s) => s.messages ?? s);
      for (const m of messages) {
        say('ran', m.message.id);
        while (!(await client.xAck('jobs', 'workers', m.id).then(() => true, () => false))) await sleep(50);
      }
      // What is pending comes first, whenever nothing else does: a reply that was lost left some there.
      from = messages.length > 0 || from === '>' ? '0' : '>';
    } catch (err) {
      console.error(String(err));
      from = '0';
      await sleep(50);
    }
  }
}

async function features(client) {
  expect('transaction', await client.multi().set('n', 1).incr('n').hSet('h', { a: 1, b: 'two' }).hGetAll('h').exec(), [
    'OK', 2, 2, { a: '1', b: 'two' },
  ]);
  const other = await connect();
  await client.watch('n');
  await other.incr('n');
  const failed = await client.multi().set('n', 0).exec().then(() => 'done', (err) => err.constructor.name);
  expect('a transaction over a key that has changed', failed, 'WatchError');

  // Types of RESP3.
  await client.zAdd('z', [{ score: 1.5, value: 'x' }, { score: Infinity, value: 'y' }]);
  expect('zRangeWithScores', await client.zRangeWithScores('z', 0, -1), [{ value: 'x', score: 1.5 }, { value: 'y', score: Infinity }]);
  expect('script', await client.eval(`redis.setresp(3); return redis.call('HGETALL', KEYS[1])`, { keys: ['h'] }), { a: '1', b: 'two' });
  expect('function', await client.functionLoad(`#!lua name=apps\nredis.register_function{function_name='plus', callback=function(k, a) return a[1] + a[2] end, flags={'no-writes'}}`, { REPLACE: true }), 'apps');
  expect('fCallRo', await client.fCallRo('plus', { keys: [], arguments: ['1', '2'] }), 3);

  // Pub/sub of both kinds.
  const heard = [];
  await other.subscribe('news', (message, channel) => heard.push([channel, message]));
  await other.sSubscribe('shard', (message, channel) => heard.push([channel, message]));
  expect('publish', [await client.publish('news', 'hello'), await client.sPublish('shard', 'there')], [1, 1]);
  await until(() => heard.length === 2);
  expect('heard', heard, [['news', 'hello'], ['shard', 'there']]);
  expect('a command while subscribed', await other.get('n'), '3');
  other.destroy();

  // The cache on the client's side hears of what others write.
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100 });
  const cached = await connect({ clientSideCache: cache });
  expect('cached', [await cached.get('n'), await cached.get('n')], ['3', '3']);
  expect('hits', [cache.stats().hitCount, cache.stats().missCount], [1, 1]);
  await client.set('n', 'new');
  await until(async () => (await cached.get('n')) === 'new');
  cached.destroy();

  const pool = createClientPool(options, { minimum: 2, maximum: 5 });
  await pool.connect();
  expect('pool', await Promise.all(Array.from({ length: 50 }, () => pool.incr('pooled'))).then((n) => n.sort((a, b) => a - b)), Array.from({ length: 50 }, (_, i) => i + 1));
  pool.destroy();

  await client.mSet(Array.from({ length: 500 }, (_, i) => [`key:${i}`, String(i)]));
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: 'key:*', COUNT: 50 })) keys.forEach((k) => found.add(k));
  expect('scan', found.size, 500);
}
