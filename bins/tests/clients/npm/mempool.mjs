// @mempool/electrum-client: what the backend of mempool.space asks with. Batches are JSON arrays.
import { strict as assert } from 'node:assert';
import ElectrumClient from '@mempool/electrum-client';
import { eventually, mine, node, pay, payment, restart, root, stage, tell, truth } from './stage.mjs';

async function follow(protocol, port) {
  const reached = [];
  const client = new ElectrumClient(port, '127.0.0.1', protocol, null, {
    onConnect: (_, version) => reached.push(version),
    onClose: () => {},
    onError: () => {},
    onLog: () => {},
  });
  const again = { retryPeriod: 100, maxRetry: 1000, callback: null };
  await client.initElectrum({ client: 'mempool-v3', version: '1.4' }, again);
  assert.equal(reached[0][1], '1.4');
  const features = await client.server_features();
  assert.equal(features.genesis_hash, await node('getblockhash', 0));

  // It sends a parameter that no version has.
  const tip = await client.blockchainHeaders_subscribe();
  assert.equal(tip.hex, await node('getblockheader', await node('getbestblockhash'), false));
  const headers = [];
  client.subscribe.on('blockchain.headers.subscribe', (params) => headers.push(params[0]));
  const hash = await mine();
  await eventually('the block', () => headers.length === 1);
  assert.equal(headers[0].hex, await node('getblockheader', hash, false));

  const { script_hash: alice, status } = await truth(stage.alice);
  assert.equal(await client.blockchainScripthash_subscribe(alice), status);
  const statuses = [];
  client.subscribe.on('blockchain.scripthash.subscribe', (params) => statuses.push(params));
  await pay(stage.alice);
  await eventually('the payment', () => statuses.length === 1);
  assert.deepEqual(statuses[0], [alice, (await truth(stage.alice)).status]);
  const { history, balance, unspent } = await truth(stage.alice);
  assert.deepEqual(await client.blockchainScripthash_getHistory(alice), history);
  assert.deepEqual(await client.blockchainScripthash_getBalance(alice), balance);
  assert.deepEqual(await client.blockchainScripthash_listunspent(alice), unspent);
  assert.deepEqual(
    await client.blockchainScripthash_getMempool(alice),
    history.filter(({ height }) => height === 0),
  );
  await read(client, alice);
  await send(client);

  // Unsubscribing has no method of its own in this client.
  assert.equal(await client.request('blockchain.scripthash.unsubscribe', [alice]), true);
  const known = statuses.length;
  await pay(stage.alice);
  const seen = headers.length;
  await mine();
  await eventually('the block', () => headers.length > seen);
  await client.server_ping();
  assert.equal(statuses.length, known);

  await restart();
  await eventually('it is connected again', () => reached.length > 1);
  assert.deepEqual(
    await client.blockchainScripthash_getHistory(alice),
    (await truth(stage.alice)).history,
  );
  client.close();
}

async function read(client, alice) {
  const numbers = [...Array(20).keys()];
  const truths = [];
  for (const number of numbers) truths.push(await truth(number));
  const hashes = truths.map(({ script_hash }) => script_hash);
  const batch = await client.blockchainScripthash_getHistoryBatch(hashes);
  for (const { param, result } of batch) {
    assert.deepEqual(result, truths[hashes.indexOf(param)].history);
  }
  assert.equal(batch.length, numbers.length);
  const balances = await client.blockchainScripthash_getBalanceBatch(hashes);
  balances.forEach(({ result }, at) => assert.deepEqual(result, truths[at].balance));

  // Everything that mempool.space shows of a transaction is from the verbose form.
  const [{ tx_hash: txid, height }] = await client.blockchainScripthash_getHistory(alice);
  const block = await node('getblock', await node('getblockhash', height), 2);
  const told = block.tx.find((tx) => tx.txid === txid);
  const verbose = await client.blockchainTransaction_get(txid, true);
  for (const field of ['txid', 'hash', 'version', 'size', 'vsize', 'weight', 'locktime', 'vin', 'vout', 'hex']) {
    assert.deepEqual(verbose[field], told[field], field);
  }
  assert.equal(verbose.blockhash, block.hash);
  assert.equal(await client.blockchainTransaction_get(txid), told.hex);
  const [{ result }] = await client.blockchainTransaction_getBatch([txid], true);
  assert.equal(result.hash, told.hash);
  const proof = await client.blockchainTransaction_getMerkle(txid, height);
  assert.equal(root(txid, proof), block.merkleroot);

  assert.equal(await client.blockchainEstimatefee(6), (await node('estimatesmartfee', 6)).feerate);
  assert.equal(await client.blockchain_relayfee(), (await node('getmempoolinfo')).minrelaytxfee);
  assert((await client.mempool_getFeeHistogram()).length > 0);
  // Nothing and an empty list look the same to this client.
  await client.serverPeers_subscribe();
  await client.server_banner();
}

async function send(client) {
  const { txid, hex, conflict } = await payment(8);
  assert.equal(await client.blockchainTransaction_broadcast(hex), txid);
  assert((await node('getrawmempool')).includes(txid));
  await assert.rejects(client.blockchainTransaction_broadcast(conflict), (error) =>
    error.message.includes('insufficient fee'));
  // The method is spelled wrong in this client.
  await assert.rejects(client.blockchainBlock_headers(0, 1), { code: -32601 });
  await assert.rejects(client.blockchainScripthash_getHistory('00'), (error) => error.code < 0 || error.code === 1);
  await assert.rejects(client.blockchainTransaction_get('00'.repeat(32)));
  await client.server_ping();
}

tell(async () => {
  await follow('tcp', stage.tcp);
  await follow('tls', stage.tls);
});
