// Writes on and on with node-redis, which looks for the leader by itself in one of two dialects.
import { createCluster, createSentinel } from 'redis';
import { dialect, hosts, keepWriting, run } from './program.js';

run(async () => {
  const client = dialect === 'cluster'
    ? createCluster({ rootNodes: hosts.map((socket) => ({ socket })), topologyRefreshOnReconnectionAttemptStrategy: 500, defaults: { socket: { connectTimeout: 1000, reconnectStrategy: () => 50 }, commandOptions: { timeout: 2000 } } })
    : createSentinel({ name: 'mymaster', sentinelRootNodes: hosts, nodeClientOptions: { socket: { connectTimeout: 1000 } }, scanInterval: 200 });
  client.on('error', (err) => console.error(String(err)));
  await client.connect();
  await keepWriting((key, value) => client.set(key, value), (key) => client.get(key), (...args) =>
    dialect === 'cluster' ? client.sendCommand(undefined, false, args) : client.sendCommand(false, args));
});
