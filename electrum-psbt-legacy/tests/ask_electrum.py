"""Reads requests as JSON from standard input and answers what the installed Electrum makes of them."""

import json
import sys

from electrum import bitcoin, constants, ecc
from electrum.transaction import PartialTransaction, convert_raw_tx_to_hex


def psbt(request):
    constants.net = {"mainnet": constants.BitcoinMainnet, "testnet": constants.BitcoinTestnet}[request["network"]]
    parsed = PartialTransaction.from_raw_psbt(request["psbt"])
    answer = parsed.to_json()
    answer["serialized"] = parsed.serialize_as_bytes(force_psbt=True).hex()
    answer["unsigned"] = parsed.serialize_to_network(include_sigs=False)
    answer["segwit"] = [txin.is_segwit() for txin in parsed.inputs()]
    return answer


def sign(request):
    """Signs a PSBT with keys that are given, telling Electrum of each coin what its own wallet would tell it."""
    # Electrum 3.0 took the first signature, whatever its length.
    ecc.ENABLE_ECDSA_R_VALUE_GRINDING = False
    constants.net = constants.BitcoinTestnet
    parsed = PartialTransaction.from_raw_psbt(request["psbt"])
    for txin, known in zip(parsed.inputs(), request["inputs"]):
        txin.script_type = known["type"]
        txin.num_sig = known["num_sig"]
        txin.pubkeys = [bytes.fromhex(key["pubkey"]) for key in known["x_pubkeys"]]
        if txin.address is None:
            txin._trusted_address = known["address"]
    keys = {key: (bytes.fromhex(secret), compressed) for key, secret, compressed in request["keys"]}
    parsed.sign(keys)
    return [
        {key.hex(): signature.hex() for key, signature in txin.part_sigs.items()} for txin in parsed.inputs()
    ]


def text(request):
    try:
        return convert_raw_tx_to_hex(request)
    except Exception:
        return None


requests = json.load(sys.stdin)
answers = {
    "psbt": [psbt(request) for request in requests["psbt"]],
    "base43": [bitcoin.base_encode(bytes.fromhex(request), base=43) for request in requests["base43"]],
    "sign": [sign(request) for request in requests.get("sign", [])],
    "text": [text(request) for request in requests["text"]],
}
json.dump(answers, sys.stdout)
