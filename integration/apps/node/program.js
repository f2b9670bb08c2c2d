// What the programs share: see ../doc.go for what they print and when they end.
import { writeSync } from 'node:fs';
import { isDeepStrictEqual, inspect } from 'node:util';

export const [addr, jobs] = [process.argv[2], Number(process.argv[3])];
export const [host, port] = [addr.slice(0, addr.lastIndexOf(':')), Number(addr.slice(addr.lastIndexOf(':') + 1))];


/** For programs that are told several addresses, and a dialect: see failover programs. */
export const hosts = addr.split(',').map((a) => ({ host: a.slice(0, a.lastIndexOf(':')), port: Number(a.slice(a.lastIndexOf(':') + 1)) }));
export const dialect = process.argv[4];

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prints one event. */
export const say = (event, ...rest) => writeSync(1, [event, ...rest].join(' ').replaceAll('\n', ' ') + '\n');

/** Fails unless got is want; the clones have ordinary prototypes. */
export function expect(what, got, want) {
  if (!isDeepStrictEqual(structuredClone(got), structuredClone(want))) throw new Error(`${what}: got ${inspect(got)}, want ${inspect(want)}`);
}

/** Resolves when the input has ended: the program is to end. */
export const ended = new Promise((resolve) => process.stdin.resume().on('end', resolve));

/** Calls add with new ids until it has succeeded for all jobs. What has failed may have been done or not. */
export async function produce(add) {
  for (let i = 0, added = 0; added < jobs; i++) {
    try {
      await add(String(i));
      say('acked', i);
      added++;
      await sleep(5);
    } catch (err) {
      say('unsure', i, err);
      await sleep(100);
    }
  }
}

/**
 * Writes a key for each job until told to end, and then reads those that were written. It counts them, too, in a way
 * that can be repeated until it has worked: call sends a command that the library does not know.
 */
export async function keepWriting(set, get, call) {
  const acked = [];
  let count = 0;
  let ending = false;
  ended.then(() => (ending = true));
  for (let i = 0; !ending; i++) {
    for (let counted = false; !counted; ) {
      try {
        await call('ONCE', `count:${i}`, '600000', 'INCR', 'count');
        counted = true;
      } catch {
        await sleep(20);
      }
    }
    count++;
    try {
      await set(`job:${i}`, String(i));
      say('acked', i);
      acked.push(i);
      await sleep(5);
    } catch (err) {
      say('unsure', i, err);
      await sleep(20);
    }
  }
  for (const i of acked) {
    expect('get', await get(`job:${i}`), String(i));
    say('ran', i);
  }
  expect('the count', await get('count'), String(count));
}

/** Waits until condition holds; the test's patience ends it if it never does. */
export async function until(condition) {
  while (!(await condition())) await sleep(10);
}

/** Runs a program. */
export async function run(program) {
  try {
    await program();
    say('ok');
    process.exit(0);
  } catch (err) {
    console.error(err);
    process.exit(1);
  }
}
