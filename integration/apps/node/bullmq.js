// A queue and its worker on BullMQ: each feature once, and then jobs.
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { ended, expect, host, jobs, port, produce, run, say, until } from './program.js';

const connection = { host, port };
const quiet = (err) => console.error(String(err)); // connections that break are reported here and made again

const open = [];
const keep = (thing) => {
  thing.on('error', quiet);
  open.unshift(thing);
  return thing;
};

run(async () => {
  await features();

  const queue = keep(new Queue('work', { connection }));
  const worker = keep(
    new Worker('work', async (job) => say('ran', job.data.id), {
      connection,
      concurrency: 5,
      lockDuration: 2000,
      stalledInterval: 1000,
      maxStalledCount: 10,
    }),
  );
  await worker.waitUntilReady();
  await produce((id) => queue.add('job', { id }, { jobId: `job-${id}` }));
  await ended;
  // What has run is also known to have been completed, and nothing is left: also not of the jobs that nobody has heard of.
  await until(async () => (await queue.getCompletedCount()) >= jobs && (await queue.getJobCountByTypes('waiting', 'active', 'delayed')) === 0);
  expect('counts', await queue.getJobCounts('waiting', 'active', 'failed', 'delayed'), { waiting: 0, active: 0, failed: 0, delayed: 0 });
  for (const thing of open) await thing.close();
});

async function features() {
  const name = 'features';
  const queue = keep(new Queue(name, { connection }));
  const events = keep(new QueueEvents(name, { connection }));
  await events.waitUntilReady();
  const tries = new Map();
  const order = [];
  const worker = keep(
    new Worker(
      name,
      async (job) => {
        order.push(job.name);
        tries.set(job.name, (tries.get(job.name) ?? 0) + 1);
        if (job.name === 'fails twice' && job.attemptsMade < 2) throw new Error('not yet');
        if (job.name === 'always fails') throw new Error('never');
        if (job.name === 'parent') return Object.values(await job.getChildrenValues()).sort();
        await job.updateProgress(50);
        await job.log('a line');
        return job.data.x * 2;
      },
      { connection, limiter: { max: 20, duration: 500 }, autorun: false },
    ),
  );

  // Priorities: they are all there before the worker begins.
  for (const [n, priority] of [['low', 10], ['high', 1], ['middle', 5]]) await queue.add(n, { x: 1 }, { priority });
  worker.run().catch(quiet);
  await until(() => order.length === 3);
  expect('priorities', order, ['high', 'middle', 'low']);

  // A result, progress, a log.
  const progress = [];
  events.on('progress', ({ jobId, data }) => progress.push([jobId, data]));
  const job = await queue.add('double', { x: 21 });
  expect('result', await job.waitUntilFinished(events), 42);
  expect('progress', progress.at(-1), [job.id, 50]);
  expect('log', await queue.getJobLogs(job.id), { logs: ['a line'], count: 1 });
  const unique = { delay: 100000, jobId: 'unique' };
  await queue.add('unique', { x: 1 }, unique);
  await queue.add('unique', { x: 1 }, unique);
  expect('one id, one job', await queue.getDelayedCount(), 1);

  // Delays and retries.
  const begin = Date.now();
  await (await queue.add('delayed', { x: 1 }, { delay: 300 })).waitUntilFinished(events);
  if (Date.now() - begin < 300) throw new Error('a delayed job ran too early');
  await (await queue.add('fails twice', { x: 1 }, { attempts: 3, backoff: { type: 'exponential', delay: 50 } })).waitUntilFinished(events);
  expect('tries', tries.get('fails twice'), 3);
  const failing = await queue.add('always fails', {}, { attempts: 2 });
  await failing.waitUntilFinished(events).then(() => { throw new Error('it did not fail'); }, (err) => expect('failure', err.message, 'never'));
  expect('failed', await queue.getFailedCount(), 1);

  await failing.retry();
  await until(async () => (await failing.getState()) === 'failed' && tries.get('always fails') === 3);
  const tomorrow = await queue.add('promoted', { x: 1 }, { delay: 86_400_000 });
  await tomorrow.promote();
  await tomorrow.waitUntilFinished(events);

  // One of a kind.
  const deduplication = { id: 'one', ttl: 60_000 };
  const one = await queue.add('once', { x: 1 }, { deduplication });
  expect('deduplicated', (await queue.add('once', { x: 2 }, { deduplication })).id, one.id);

  // Jobs that repeat: three times, and by the clock.
  await queue.upsertJobScheduler('every', { every: 100, limit: 3 }, { name: 'repeated', data: { x: 1 } });
  await queue.upsertJobScheduler('second', { pattern: '* * * * * *' }, { name: 'ticked', data: { x: 1 } });
  expect('schedulers', (await queue.getJobSchedulers()).map((s) => s.key).sort(), ['every', 'second']);
  await until(() => tries.get('repeated') === 3 && tries.get('ticked') >= 1);
  await queue.removeJobScheduler('every');
  await queue.removeJobScheduler('second');

  // A parent waits for its children.
  const flow = keep(new FlowProducer({ connection }));
  const tree = await flow.add({
    name: 'parent', queueName: name, data: {},
    children: [1, 2, 3].map((x) => ({ name: 'child', queueName: name, data: { x } })),
  });
  expect('a flow', await tree.job.waitUntilFinished(events), [2, 4, 6]);

  // In bulk, through the limit of 20 in half a second.
  await queue.addBulk(Array.from({ length: 45 }, (_, i) => ({ name: 'limited', data: { x: i } })));
  const first = Date.now();
  await until(() => tries.get('limited') === 45);
  if (Date.now() - first < 500) throw new Error('45 jobs within half a second are beyond the limit');

  // Paused, nothing runs; removed, it never does.
  await queue.pause();
  const paused = await queue.add('paused', { x: 1 });
  expect('paused', [await queue.isPaused(), await paused.getState()], [true, 'waiting']);
  await paused.remove();
  await queue.resume();
  const completed = await queue.getJobs(['completed'], 0, -1);
  expect('cleaned', (await queue.clean(0, 5, 'completed')).length, 5);
  expect('completed', await queue.getCompletedCount(), completed.length - 5);
  await worker.close();
  await queue.obliterate({ force: true });
  expect('obliterated', await queue.getJobCountByTypes('completed', 'waiting', 'failed', 'delayed'), 0);
}
