// @electrum-cash/network: the client for browsers, over WebSocket. One message in each text frame.
import { strict as assert } from 'node:assert';
import { ElectrumClient } from '@electrum-cash/network';
import { ElectrumWebSocket } from '@electrum-cash/web-socket';
import { eventually, mine, node, pay, payment, restart, root, stage, tell, truth } from './stage.mjs';

async function follow(socket) {
  const client = new ElectrumClient('story', '1.4.1', socket, { reconnectAfterMilliSeconds: 100 });
  const told = [];
  client.on('notification', ({ method, params }) => told.push([method, params]));
  client.on('error', () => {});
  await client.connect();
  // An error is not thrown by this client, but returned.
  const call = async (method, ...params) => {
    const result = await client.request(method, ...params);
    if (result instanceof Error) throw result;
    return result;
  };
  await call('server.features');
  assert.equal(client.genesisHash, await node('getblockhash', 0));

  await client.subscribe('blockchain.headers.subscribe');
  assert.equal(client.chainHeight, await node('getblockcount'));
  const hash = await mine();
  await eventually('the block', () => told.length === 2);
  assert.deepEqual(told[1], [
    'blockchain.headers.subscribe',
    [{ height: await node('getblockcount'), hex: await node('getblockheader', hash, false) }],
  ]);

  const { script_hash: alice, status } = await truth(stage.alice);
  await client.subscribe('blockchain.scripthash.subscribe', alice);
  assert.deepEqual(told[2][1], [alice, status]);
  await pay(stage.alice);
  await eventually('the payment', () => told.length === 4);
  assert.deepEqual(told[3][1], [alice, (await truth(stage.alice)).status]);

  const { history, balance, unspent } = await truth(stage.alice);
  assert.deepEqual(await call('blockchain.scripthash.get_history', alice), history);
  assert.deepEqual(await call('blockchain.scripthash.get_balance', alice), balance);
  assert.deepEqual(await call('blockchain.scripthash.listunspent', alice), unspent);
  const { tx_hash: txid, height } = history[0];
  const block = await node('getblock', await node('getblockhash', height), 2);
  const tx = block.tx.find((tx) => tx.txid === txid);
  assert.equal(await call('blockchain.transaction.get', txid), tx.hex);
  assert.deepEqual((await call('blockchain.transaction.get', txid, true)).vout, tx.vout);
  const proof = await call('blockchain.transaction.get_merkle', txid, height);
  assert.equal(root(txid, proof), block.merkleroot);
  const { feerate } = await node('estimatesmartfee', 6);
  assert.equal(await call('blockchain.estimatefee', 6), feerate);

  // All at once: a hundred frames.
  const headers = await Promise.all([...Array(100).keys()].map((at) => call('blockchain.block.header', at)));
  assert.equal(headers[99], await node('getblockheader', await node('getblockhash', 99), false));

  const { txid: sent, hex, conflict } = await payment(8);
  assert.equal(await call('blockchain.transaction.broadcast', hex), sent);
  assert((await node('getrawmempool')).includes(sent));
  await assert.rejects(call('blockchain.transaction.broadcast', conflict), /insufficient fee/);
  await assert.rejects(call('blockchain.nonsense'), /unknown method|not found/i);
  await assert.rejects(call('blockchain.scripthash.get_history', '00'));

  // Nothing more is told of a script that was let go.
  await client.unsubscribe('blockchain.scripthash.subscribe', alice);
  let known = told.length;
  await pay(stage.alice);
  await mine();
  await eventually('the block', () => told.length > known);
  await call('server.ping');
  assert.deepEqual(told.slice(known).map(([method]) => method), ['blockchain.headers.subscribe']);

  // It connects again by itself, and asks again for what it was told of.
  known = told.length;
  await restart();
  await eventually('it asks again', () => told.length > known);
  const next = await mine();
  await eventually('the next block', () => told.length > known + 1);
  assert.equal(told.at(-1)[1][0].hex, await node('getblockheader', next, false));
  await client.disconnect(true);
}

tell(async () => {
  await follow(new ElectrumWebSocket('127.0.0.1', stage.ws, false));
  // The certificate is checked: node was told to trust it, and no other of its kind.
  await follow(new ElectrumWebSocket('localhost', stage.wss, true));
});
