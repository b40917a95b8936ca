"""Does what the test asks of an installed Electrum wallet, offline, and says what it found.

Reads one JSON object per line, and answers each with one. What is asked is in the field `do`:

restore    opens the wallets of `phrase` and `passphrase` on `network`, and shows their keys and first addresses
make       generates a phrase of `seed_type` in `language` with at least `bits` bits
normalize  normalizes `text`
texts      makes `count` random texts of assigned characters from the number `start`
"""

import json
import os
import random
import sys
import traceback
import unicodedata

from electrum import bitcoin, constants, keystore, mnemonic, util
from electrum.bip32 import BIP32Node
from electrum.plugins.trustedcoin import trustedcoin
from electrum.simple_config import SimpleConfig
from electrum.wallet import Wallet
from electrum.wallet_db import WalletDB

CONFIG = SimpleConfig({"offline": True, "electrum_path": sys.argv[1]})
MAKERS = {}


def open_wallet(wallet_type, keystores):
    db = WalletDB("", manual_upgrades=False)
    for name, store in keystores.items():
        db.put(name, store.dump())
    db.put("wallet_type", wallet_type)
    db.put("gap_limit", 1)
    db.put("gap_limit_for_change", 1)
    if wallet_type == "2fa":
        return trustedcoin.Wallet_2fa(db, None, config=CONFIG)
    return Wallet(db, None, config=CONFIG)


def addresses(wallet):
    return {
        "receiving": [wallet.derive_address(0, index) for index in (0, 1, 70000)],
        "change": [wallet.derive_address(1, index) for index in (0, 1)],
    }


def private_key(store, txin_type):
    key, compressed = store.get_private_key((1, 1), None)
    # Without the type before the colon, which only Electrum writes.
    return bitcoin.serialize_privkey(key, compressed, txin_type).split(":")[-1]


def describe_account(store, wallet):
    return {
        "xpub": store.get_master_public_key(),
        "xprv": store.get_master_private_key(None),
        "derivation": store.get_derivation_prefix().replace("'", "h"),
        "root_fingerprint": store.get_root_fingerprint(),
        "wif": private_key(store, "p2pkh"),
        **addresses(wallet),
    }


def restore_account(phrase, passphrase):
    store = keystore.from_seed(phrase, passphrase, False)
    alone = describe_account(store, open_wallet("standard", {"keystore": store}))
    store = keystore.from_seed(phrase, passphrase, True)
    # The other key of the wallet of two is the first one's child.
    child = BIP32Node.from_xkey(store.get_master_public_key()).subkey_at_public_derivation([5])
    other = keystore.from_master_key(child.to_xpub())
    shared = describe_account(store, open_wallet("2of2", {"x1/": store, "x2/": other}))
    return {"alone": alone, "shared": shared}


def restore_old(phrase):
    store = keystore.from_seed(phrase, "", False)
    return {
        "hex_seed": store.get_hex_seed(None).decode(),
        "words": store.get_seed(None),
        "mpk": store.get_master_public_key(),
        "wif": private_key(store, "p2pkh"),
        **addresses(open_wallet("standard", {"keystore": store})),
    }


def restore_two_factor(phrase, passphrase):
    xprv1, xpub1, xprv2, xpub2 = trustedcoin.TrustedCoinPlugin.xkeys_from_seed(phrase, passphrase)
    stores = {"x1/": keystore.from_xprv(xprv1), "x2/": keystore.from_xprv(xprv2)}
    long_id, short_id = trustedcoin.get_user_id(
        {name: {"xpub": store.get_master_public_key()} for name, store in stores.items()}
    )
    xtype = BIP32Node.from_xkey(xpub1).xtype
    third = trustedcoin.make_xpub(trustedcoin.get_signing_xpub(xtype), long_id)
    stores["x3/"] = keystore.from_xpub(third)
    wallet = open_wallet("2fa", stores)
    return {
        "xprv1": xprv1,
        "xpub1": xpub1,
        "xprv2": xprv2,
        "xpub2": xpub2,
        "xpub3": third,
        "long_user_id": long_id.hex(),
        "short_user_id": short_id,
        "billing_legacy": trustedcoin.make_billing_address(wallet, 0, "legacy"),
        "billing_segwit": trustedcoin.make_billing_address(wallet, 1, "segwit"),
        **addresses(wallet),
    }


def restore(phrase, passphrase, network):
    if network == "mainnet":
        constants.set_mainnet()
    else:
        constants.set_testnet()
    kind = mnemonic.seed_type(phrase)
    answer = {"seed_type": kind}
    if kind == "old":
        answer.update(restore_old(phrase))
    elif kind in ("standard", "segwit"):
        answer.update(restore_account(phrase, passphrase))
    elif kind:
        answer.update(restore_two_factor(phrase, passphrase))
    return answer


def make(seed_type, language, bits):
    maker = MAKERS.get(language)
    if maker is None:
        maker = MAKERS[language] = mnemonic.Mnemonic(language)
    return maker.make_seed(seed_type=seed_type, num_bits=bits)


def texts(start, count):
    """Texts in which whatever normalization treats specially is frequent."""
    chance = random.Random(start)
    special = [
        chr(point)
        for point in range(sys.maxunicode + 1)
        if unicodedata.combining(chr(point))
        or unicodedata.decomposition(chr(point))
        or chr(point).isspace()
        or chr(point).lower() != chr(point)
        or mnemonic.is_CJK(chr(point))
    ]
    special = [c for c in special if assigned(c)]
    found = []
    while len(found) < count:
        text = ""
        for _ in range(chance.randrange(1, 30)):
            c = chance.choice(special) if chance.random() < 0.7 else chr(chance.randrange(0x110000))
            if assigned(c):
                text += c
            if chance.random() < 0.2:
                text += chance.choice(" \t\u3000\u0345\u03a3\u0130aZ")
        found.append(text)
    return found


def assigned(c):
    """Whether every version of Unicode since this Python's agrees on the character."""
    # Whether this letter has a case, which decides about the end of words, depends on the version.
    if "\u0295" in unicodedata.normalize("NFKD", c):
        return False
    return unicodedata.category(c) not in ("Cn", "Cs")


def answer(question):
    do = question.pop("do")
    if do == "restore":
        return restore(**question)
    if do == "make":
        return make(**question)
    if do == "normalize":
        return mnemonic.normalize_text(question["text"])
    return texts(**question)


# Wallets announce themselves to an event loop, which needs to be there.
util.create_and_start_event_loop()
status = 1
try:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
        # Wallets never stop listening by themselves, and each makes all later ones slower.
        util.callback_mgr.callbacks.clear()
    status = 0
except Exception:
    traceback.print_exc()
finally:
    # That loop has no end of its own.
    os._exit(status)
