// @bitcoinerlab/explorer: what Rewind and other wallets of @bitcoinerlab look at the chain with.
import { strict as assert } from 'node:assert';
import { networks } from 'bitcoinjs-lib';
import { ElectrumExplorer } from '@bitcoinerlab/explorer';
import { eventually, mine, node, pay, payment, restart, stage, tell, truth } from './stage.mjs';

async function explore(protocol, port) {
  const explorer = new ElectrumExplorer({ network: networks.regtest, host: '127.0.0.1', port, protocol });
  await explorer.connect();
  assert(await explorer.isConnected());
  const height = await node('getblockcount');
  assert.equal(await explorer.fetchBlockHeight(), height);
  await mine();
  await eventually('the block', async () => (await explorer.fetchBlockHeight()) === height + 1);
  const status = await explorer.fetchBlockStatus(100);
  const header = await node('getblockheader', await node('getblockhash', 100));
  assert.equal(status.blockHash, header.hash);
  assert.equal(status.blockTime, header.time);
  assert.equal(status.irreversible, true);

  await pay(stage.alice);
  const { address, history, balance } = await truth(stage.alice);
  const confirmed = history.filter((entry) => entry.height > 0).length;
  assert.deepEqual(await explorer.fetchAddress(address), {
    balance: balance.confirmed,
    txCount: confirmed,
    unconfirmedBalance: balance.unconfirmed,
    unconfirmedTxCount: history.length - confirmed,
  });
  const listed = await explorer.fetchTxHistory({ address });
  assert.deepEqual(
    listed.map(({ txId, blockHeight }) => [txId, blockHeight]),
    history.map((entry) => [entry.tx_hash, entry.height]),
  );
  const first = history[0];
  const raw = await node('getrawtransaction', first.tx_hash, false, await node('getblockhash', first.height));
  assert.equal(await explorer.fetchTx(first.tx_hash), raw);

  // 28 calls; it refuses all of them when the node does not know one.
  const fees = await explorer.fetchFeeEstimates();
  assert.equal(Object.keys(fees).length, 28);
  for (const target of [1, 6, 25, 144, 1008]) {
    const { feerate } = await node('estimatesmartfee', target);
    assert.equal(fees[target], 100_000 * feerate);
  }

  const { txid, hex, conflict } = await payment(8);
  assert.equal(await explorer.push(hex), txid);
  assert((await node('getrawmempool')).includes(txid));
  await assert.rejects(explorer.push(conflict), /insufficient fee/);
  await assert.rejects(explorer.fetchTx('00'.repeat(32)));
  await mine();

  // It knows that it is disconnected only when it asks; connecting again is for its user.
  await restart();
  explorer.close();
  await explorer.connect();
  assert.equal(await explorer.fetchBlockHeight(), await node('getblockcount'));
  explorer.close();
}

tell(async () => {
  await explore('tcp', stage.tcp);
  await explore('ssl', stage.tls);
});
