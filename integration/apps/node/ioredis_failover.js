// Writes on and on with ioredis, which looks for the leader by itself in one of two dialects.
import { Cluster, Redis } from 'ioredis';
import { dialect, hosts, keepWriting, run } from './program.js';

run(async () => {
  const client = dialect === 'cluster'
    ? new Cluster(hosts, { clusterRetryStrategy: () => 50, redisOptions: { connectTimeout: 1000 } })
    : new Redis({ sentinels: hosts, name: 'mymaster', sentinelRetryStrategy: () => 50, retryStrategy: () => 50, connectTimeout: 1000, commandTimeout: 2000 });
  client.on('error', (err) => console.error(String(err)));
  await keepWriting((key, value) => client.set(key, value), (key) => client.get(key), (...args) => client.call(...args));
});
