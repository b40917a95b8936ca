#!/usr/bin/env python3
"""Prints golden.txt: three small blocks and the rows that the store format says they make.

Nothing here knows the Rust code. Transactions, hashes and rows are put together from
docs/store-format.md and the network encoding alone; SipHash-2-4 is checked against its published vector.
"""

import hashlib
import struct

MASK = (1 << 64) - 1


def siphash24(key, data):
    k0, k1 = struct.unpack("<QQ", key)
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def rotate(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & MASK

    def round_():
        v[0] = (v[0] + v[1]) & MASK
        v[1] = rotate(v[1], 13) ^ v[0]
        v[0] = rotate(v[0], 32)
        v[2] = (v[2] + v[3]) & MASK
        v[3] = rotate(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK
        v[3] = rotate(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK
        v[1] = rotate(v[1], 17) ^ v[2]
        v[2] = rotate(v[2], 32)

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        round_()
        round_()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        round_()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


KEY = bytes(range(16))
assert siphash24(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256d(data):
    return sha256(sha256(data))


def compact(number):
    assert number < 0xFD
    return bytes([number])


def leb128(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def output(value, script):
    return struct.pack("<Q", value) + compact(len(script)) + script


def transaction(version, inputs, outputs):
    """inputs: (txid, vout, script_sig, sequence); outputs: (value, script)"""
    out = struct.pack("<I", version) + compact(len(inputs))
    for txid, vout, script_sig, sequence in inputs:
        out += txid + struct.pack("<I", vout) + compact(len(script_sig)) + script_sig
        out += struct.pack("<I", sequence)
    out += compact(len(outputs))
    for value, script in outputs:
        out += output(value, script)
    return out + bytes(4)


def coinbase(tag, outputs):
    return transaction(1, [(bytes(32), 0xFFFFFFFF, tag, 0xFFFFFFFF)], outputs)


def merkle_root(leaves):
    while len(leaves) > 1:
        leaves = leaves + leaves[-1:] * (len(leaves) % 2)
        leaves = [sha256d(a + b) for a, b in zip(leaves[::2], leaves[1::2])]
    return leaves[0]


def header(version, previous, root, time, nonce):
    return struct.pack("<I", version) + previous + root + struct.pack("<III", time, 0x207FFFFF, nonce)


GENESIS_COINBASE = coinbase(
    bytes.fromhex(
        "04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f"
        "6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73"
    ),
    [
        (
            50 * 10**8,
            bytes.fromhex(
                "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef"
                "38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac"
            ),
        )
    ],
)

ALICE = bytes.fromhex("5101")
BOB = bytes.fromhex("0014" + "11" * 20)
DATA = bytes.fromhex("6a0b68656c6c6f20776f726c64")
EMPTY = b""

# Block 1: a coinbase that pays twice to Alice and carries data.
coin = coinbase(b"\x51\x00", [(5_000_000_000, ALICE), (0, DATA), (128, ALICE)])
coin_id = sha256d(coin)
# Block 2: Alice spends both, pays Bob, herself, nobody in particular, and leaves a worthless output.
# In the same block Bob spends what he got.
pay = transaction(
    2,
    [(coin_id, 0, b"", 0xFFFFFFFF), (coin_id, 2, b"", 0xFFFFFFFD)],
    [(4_000_000_000, BOB), (1_000_000_000, ALICE), (127, EMPTY), (0, BOB)],
)
pay_id = sha256d(pay)
sweep = transaction(2, [(pay_id, 0, b"", 0xFFFFFFFF)], [(3_999_999_000, EMPTY)])
second = coinbase(b"\x52\x00", [(5_000_001_001, BOB)])

BLOCKS = [
    # transactions, outputs that each spends, time, version, nonce
    ([GENESIS_COINBASE], [[]], 1296688602, 1, 2),
    ([coin], [[]], 1296688603, 2, 7),
    (
        [second, pay, sweep],
        [[], [(5_000_000_000, ALICE), (128, ALICE)], [(4_000_000_000, BOB)]],
        1296688604,
        2,
        9,
    ),
]


def script_prefix(script):
    script_hash = sha256(script)
    return script_hash[:2] + struct.pack(">Q", siphash24(KEY, script_hash))


def spent_id(txid, vout):
    return struct.pack(">Q", siphash24(KEY, txid + struct.pack("<I", vout)))


def row(table, key, value):
    rows.append((table, key.hex(), value.hex() or "-"))


# What each transaction (by number) does to scripts, written down by hand:
# script, funded (vout, value), spent (txid, vout).
EFFECTS = {
    1: [(ALICE, [(0, 5_000_000_000), (2, 128)], [])],
    2: [(BOB, [(0, 5_000_001_001)], [])],
    3: [
        (ALICE, [(1, 1_000_000_000)], [(coin_id, 0), (coin_id, 2)]),
        (BOB, [(0, 4_000_000_000), (3, 0)], []),
        (EMPTY, [(2, 127)], []),
    ],
    4: [(BOB, [], [(pay_id, 0)]), (EMPTY, [(0, 3_999_999_000)], [])],
}

rows = []
print("# Written by golden.py; - stands for an empty value.")
previous, tx_num = bytes(32), 0
for height, (transactions, spent, time, version, nonce) in enumerate(BLOCKS):
    txids = [sha256d(tx) for tx in transactions]
    head = header(version, previous, merkle_root(txids), time, nonce)
    previous = sha256d(head)
    block = head + compact(len(transactions)) + b"".join(transactions)
    print("block", block.hex())
    for outputs in spent:
        print("spent", " ".join(output(*each).hex() for each in outputs) or "-")
    if height == 0:
        genesis = previous
        assert genesis[::-1].hex() == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    undo = b""
    end = len(head) + len(compact(len(transactions)))
    for txid, transaction in zip(txids, transactions):
        end += len(transaction)
        number = struct.pack(">I", tx_num)
        row("txids", number, txid + struct.pack(">I", end))
        row("tx_nums", txid[:8] + number, b"")
        # Within a transaction the undo row lists scripts in the order of their hashes.
        for script, funded, taken in sorted(EFFECTS.get(tx_num, []), key=lambda e: sha256(e[0])):
            value = leb128(len(funded))
            value += b"".join(leb128(vout) + leb128(sats) for vout, sats in funded)
            value += b"".join(spent_id(*outpoint) for outpoint in taken)
            row("history", script_prefix(script) + number, value)
            undo += script_prefix(script) + number
        tx_num += 1
    row("headers", struct.pack(">I", height), head + struct.pack(">I", tx_num))
    row("undo", struct.pack(">I", height), undo)

row("meta", b"format", struct.pack(">I", 2))
row("meta", b"genesis", genesis)
row("meta", b"key", KEY)
for each in sorted(rows):
    print("row", *each)
