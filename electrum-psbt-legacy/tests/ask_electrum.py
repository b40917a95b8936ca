"""Reads requests as JSON from standard input and answers what the installed Electrum makes of them."""

import json
import sys

from electrum import bitcoin, constants
from electrum.transaction import PartialTransaction, convert_raw_tx_to_hex


def psbt(request):
    constants.net = {"mainnet": constants.BitcoinMainnet, "testnet": constants.BitcoinTestnet}[request["network"]]
    parsed = PartialTransaction.from_raw_psbt(request["psbt"])
    answer = parsed.to_json()
    answer["serialized"] = parsed.serialize_as_bytes(force_psbt=True).hex()
    answer["unsigned"] = parsed.serialize_to_network(include_sigs=False)
    answer["segwit"] = [txin.is_segwit() for txin in parsed.inputs()]
    return answer


def text(request):
    try:
        return convert_raw_tx_to_hex(request)
    except Exception:
        return None


requests = json.load(sys.stdin)
answers = {
    "psbt": [psbt(request) for request in requests["psbt"]],
    "base43": [bitcoin.base_encode(bytes.fromhex(request), base=43) for request in requests["base43"]],
    "text": [text(request) for request in requests["text"]],
}
json.dump(answers, sys.stdout)
