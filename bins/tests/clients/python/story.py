"""aiorpcx over every transport. Asks the test that has started this script for what only the test can do: one JSON
object in a line each way."""

import asyncio
import hashlib
import json
import os
import ssl
import sys

import aiorpcx
from aiorpcx.rawsocket import ConnectionLostError

STAGE = json.loads(os.environ["CLIENT_STAGE"])


def ask(what, **more):
    """The test answers at once; nothing else happens meanwhile."""
    print(json.dumps({"ask": what, **more}), flush=True)
    return json.loads(sys.stdin.readline())


def node(method, *params):
    return ask("node", method=method, params=list(params))


class Told:
    """What the server tells a session unasked. Over WebSocket aiorpcx forgets which class of session was wanted."""

    def __init__(self, session):
        self.queue = asyncio.Queue()
        session.handle_request = self.keep

    async def keep(self, request):
        assert isinstance(request, aiorpcx.Notification), request
        await self.queue.put((request.method, request.args))

    async def next(self, method):
        told, args = await asyncio.wait_for(self.queue.get(), 30)
        assert told == method, (told, method)
        return args


def double_sha256(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def root(txid, proof):
    """The merkle root that a proof leads to."""
    digest, position = bytes.fromhex(txid)[::-1], proof["pos"]
    for other in proof["merkle"]:
        other = bytes.fromhex(other)[::-1]
        digest = double_sha256(other + digest if position % 2 else digest + other)
        position //= 2
    return digest[::-1].hex()


async def refused(session, method, args, part):
    """The error's code; its text has `part` in it."""
    try:
        answer = await session.send_request(method, args)
    except aiorpcx.RPCError as error:
        assert part in error.message, error.message
        return error.code
    raise AssertionError(f"{method} {args}: {answer}")


async def greet(session):
    software, version = await session.send_request("server.version", ["story", ["1.4", "1.6"]])
    assert software.startswith("electrum-server "), software
    assert version == "1.6", version
    features = await session.send_request("server.features")
    assert features["genesis_hash"] == node("getblockhash", 0)


async def follow(session):
    told = Told(session)
    tip = await session.send_request("blockchain.headers.subscribe")
    assert tip["hex"] == node("getblockheader", node("getbestblockhash"), False)
    block = ask("mine")
    (header,) = await told.next("blockchain.headers.subscribe")
    assert header["hex"] == node("getblockheader", block, False)

    alice = ask("truth", script=STAGE["alice"])
    subscribed = await session.send_request("blockchain.scripthash.subscribe", [alice["script_hash"]])
    assert subscribed == alice["status"]
    ask("pay", script=STAGE["alice"])
    args = await told.next("blockchain.scripthash.subscribe")
    alice = ask("truth", script=STAGE["alice"])
    assert args == [alice["script_hash"], alice["status"]]
    # The header before what its block has changed.
    ask("mine")
    await told.next("blockchain.headers.subscribe")
    _, status = await told.next("blockchain.scripthash.subscribe")
    assert status == ask("truth", script=STAGE["alice"])["status"]
    # Nothing more is told of a script that was let go.
    assert await session.send_request("blockchain.scripthash.unsubscribe", [alice["script_hash"]])
    ask("pay", script=STAGE["alice"])
    for _ in range(2):
        ask("mine")
        await told.next("blockchain.headers.subscribe")
    assert told.queue.empty()


async def read(session):
    alice = ask("truth", script=STAGE["alice"])
    args = [alice["script_hash"]]
    for method, expected in (
        ("get_history", alice["history"]),
        ("get_balance", alice["balance"]),
        ("listunspent", alice["unspent"]),
    ):
        answer = await session.send_request(f"blockchain.scripthash.{method}", args)
        assert answer == expected, (method, answer, expected)
    entry = alice["history"][0]
    txid, height = entry["tx_hash"], entry["height"]
    block = node("getblock", node("getblockhash", height), 2)
    (told,) = (tx for tx in block["tx"] if tx["txid"] == txid)
    assert await session.send_request("blockchain.transaction.get", [txid]) == told["hex"]
    verbose = await session.send_request("blockchain.transaction.get", {"tx_hash": txid, "verbose": True})
    assert verbose["vout"] == told["vout"] and verbose["blockhash"] == block["hash"]
    proof = await session.send_request("blockchain.transaction.get_merkle", [txid, height])
    assert root(txid, proof) == block["merkleroot"]
    assert await session.send_request("blockchain.estimatefee", [6]) == -1

    # A batch is a JSON array.
    async with session.send_batch() as batch:
        for at in range(50):
            batch.add_request("blockchain.block.header", [at])
        batch.add_request("blockchain.nonsense")
    assert batch.results[49] == node("getblockheader", node("getblockhash", 49), False)
    assert batch.results[50].code == aiorpcx.JSONRPC.METHOD_NOT_FOUND


async def send(session):
    payment = ask("payment", script=8)
    txid = await session.send_request("blockchain.transaction.broadcast", [payment["hex"]])
    assert txid == payment["txid"] and txid in node("getrawmempool")
    await refused(session, "blockchain.transaction.broadcast", [payment["conflict"]], "insufficient fee")
    await refused(session, "blockchain.transaction.get", ["00" * 32], "")
    await refused(session, "blockchain.scripthash.get_history", ["00"], "")
    code = await refused(session, "blockchain.scripthash.get_history", [], "")
    assert code == aiorpcx.JSONRPC.INVALID_ARGS, code
    await session.send_request("server.ping")


async def story(connect):
    async with connect() as session:
        await greet(session)
        await follow(session)
        await read(session)
        await send(session)
        # The server goes: the session ends, and whoever wants to go on connects again.
        ask("restart")
        try:
            await asyncio.wait_for(session.send_request("server.ping"), 30)
        except (asyncio.CancelledError, ConnectionLostError, OSError):
            pass
        except Exception as error:  # The WebSocket library has an error of its own.
            assert type(error).__name__.startswith("ConnectionClosed"), error
        else:
            raise AssertionError("the old session is still there")
    async with connect() as session:
        await greet(session)


async def main():
    pinned = ssl.create_default_context(cafile=STAGE["certificate"])
    for connect in (
        lambda: aiorpcx.connect_rs("127.0.0.1", STAGE["tcp"]),
        lambda: aiorpcx.connect_rs("localhost", STAGE["tls"], ssl=pinned),
        lambda: aiorpcx.connect_ws(f"ws://127.0.0.1:{STAGE['ws']}"),
        lambda: aiorpcx.connect_ws(f"wss://localhost:{STAGE['wss']}", ssl=pinned),
    ):
        await asyncio.wait_for(story(connect), 60)
    # Without being told to trust it, the certificate is refused.
    try:
        async with aiorpcx.connect_rs("localhost", STAGE["tls"], ssl=ssl.create_default_context()):
            raise AssertionError("nobody has signed that certificate")
    except ssl.SSLCertVerificationError:
        pass


asyncio.run(main())
