// What applications do with ioredis, and then a job queue in lists, with scripts: a job is
// taken and moved aside in one step, and removed from there when it is done.
import { Redis } from 'ioredis';
import { addr, ended, expect, host, port, produce, run, say, sleep, until } from './program.js';

const connect = () => {
  const client = new Redis({ host, port, retryStrategy: () => 50, maxRetriesPerRequest: 3 });
  client.on('error', (err) => console.error(`${addr}: ${err}`));
  return client;
};

run(async () => {
  const client = connect();
  await features(client);

  // The library sends a command again when a connection breaks, so a job has to say who it is.
  client.defineCommand('addJob', {
    numberOfKeys: 2,
    lua: `if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('LPUSH', KEYS[1], ARGV[1]) end`,
  });
  let ending = false;
  const worker = work(() => ending);
  await produce((id) => client.addJob('jobs', 'seen', id));
  await ended;
  ending = true;
  await worker;
  expect('left', [await client.llen('jobs'), await client.llen('aside')], [0, 0]);
});

async function work(ending) {
  const client = connect();
  const done = new Set();
  for (;;) {
    try {
      for (const id of await client.lrange('aside', 0, -1)) {
        if (!done.has(id)) say('ran', id);
        done.add(id);
        await client.lrem('aside', 1, id);
      }
      if (ending()) return; // nothing is left aside
      await client.blmove('jobs', 'aside', 'RIGHT', 'LEFT', 0.2);
    } catch (err) {
      console.error(String(err));
      await sleep(50);
    }
  }
}

async function features(client) {
  const replies = await client.pipeline().set('n', 1).incr('n').hset('h', 'a', 1, 'b', 'two').hgetall('h').lpush('n', 1).exec();
  expect('pipeline', replies.slice(0, 4), [[null, 'OK'], [null, 2], [null, 2], [null, { a: '1', b: 'two' }]]);
  expect('an error in a pipeline', replies[4][0].message, 'WRONGTYPE Operation against a key holding the wrong kind of value');
  expect('transaction', await client.multi().incr('n').get('n').exec(), [[null, 3], [null, '3']]);

  const other = connect();
  await client.watch('n');
  await other.incr('n');
  expect('a transaction over a key that has changed', await client.multi().set('n', 0).exec(), null);

  // Scripts by name; binary strings go through them unchanged.
  client.defineCommand('both', { numberOfKeys: 1, lua: `return {redis.call('GET', KEYS[1]), ARGV[1], {1, {2.9}}, false}` });
  expect('script', await client.both('n', 'x'), ['4', 'x', [1, [2]], null]);
  const bytes = Buffer.from([0, 255, 13, 10, 128]);
  expect('binary', await client.bothBuffer('n', bytes), [Buffer.from('4'), bytes, [1, [2]], null]);
  expect('pipelined script', await client.pipeline().both('n', 'y').exec(), [[null, ['4', 'y', [1, [2]], null]]]);

  // Pub/sub by name and by pattern.
  const heard = [];
  other.on('message', (channel, message) => heard.push([channel, message]));
  other.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
  expect('subscribe', [await other.subscribe('news', 'more'), await other.psubscribe('n?ws')], [2, 3]);
  expect('publish', await client.publish('news', 'hello'), 2);
  await until(() => heard.length === 2);
  expect('heard', heard, [['news', 'hello'], ['n?ws', 'news', 'hello']]);
  await other.unsubscribe('news', 'more');
  await other.punsubscribe('n?ws');
  expect('after unsubscribing', await other.get('n'), '4');
  other.disconnect();

  // Streams, and scans that have to come back for more.
  await client.xadd('s', '1-1', 'f', 'v');
  expect('xread', await client.xread('COUNT', 5, 'STREAMS', 's', 0), [['s', [['1-1', ['f', 'v']]]]]);
  await client.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key:${i}`, i])));
  const found = new Set();
  for await (const keys of client.scanStream({ match: 'key:*', count: 50 })) keys.forEach((k) => found.add(k));
  expect('scan', found.size, 500);

  // Everything of one turn of the event loop becomes one pipeline.
  const auto = new Redis({ host, port, enableAutoPipelining: true });
  expect('auto pipelining', await Promise.all(Array.from({ length: 100 }, (_, i) => auto.get(`key:${i}`))), Array.from({ length: 100 }, (_, i) => String(i)));
  await auto.quit();
}
