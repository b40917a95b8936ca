// Asks the test that has started this script for what only the test can do: one JSON object in a line each way.
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

// Standard output is for questions; some clients log there.
console.log = console.error;

export const stage = JSON.parse(process.env.CLIENT_STAGE);

setTimeout(() => {
  console.error('nothing happened for too long');
  process.exit(1);
}, 120_000).unref();

const input = createInterface({ input: process.stdin });
const answers = input[Symbol.asyncIterator]();

async function ask(question) {
  process.stdout.write(`${JSON.stringify(question)}\n`);
  const { value, done } = await answers.next();
  assert(!done, 'the test has ended');
  return JSON.parse(value);
}

/// A call of the node.
export const node = (method, ...params) => ask({ ask: 'node', method, params });
/// A block more; its hash.
export const mine = () => ask({ ask: 'mine' });
/// A payment to a script, by somebody else; its id.
export const pay = (script) => ask({ ask: 'pay', script });
/// A payment that nobody has seen: `txid`, `hex`, and another that spends the same, `conflict`.
export const payment = (script) => ask({ ask: 'payment', script });
/// What the node says of a script, in the words of the protocol.
export const truth = (script) => ask({ ask: 'truth', script });
/// Stops the server, and starts it again.
export const restart = () => ask({ ask: 'restart' });

/// Waits until a condition holds.
export async function eventually(what, condition) {
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain for ${what}`);
}

const flip = (hex) => Buffer.from(hex, 'hex').reverse();
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

/// The merkle root that a proof leads to.
export function root(txid, { merkle, pos }) {
  let hash = flip(txid);
  for (const other of merkle) {
    const pair = pos % 2 ? [flip(other), hash] : [hash, flip(other)];
    hash = sha256(sha256(Buffer.concat(pair)));
    pos = Math.floor(pos / 2);
  }
  return Buffer.from(hash).reverse().toString('hex');
}

/// Runs the story and ends: clients leave timers behind.
export async function tell(story) {
  try {
    await story();
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
