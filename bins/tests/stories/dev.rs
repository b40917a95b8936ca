//! `electrum-server --dev` as a newcomer meets it: nothing else runs.

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::free_port;
use crate::server::command;
use crate::wallet::{Wallet, electrum};
use crate::wire::Wire;
use crate::{eventually, within};

const COIN: u64 = 100_000_000;

/// A running `electrum-server --dev`; dropping it kills the process.
struct Dev {
    process: Option<Child>,
    port: u16,
    rpc_port: u16,
    more: Vec<String>,
    dir: TempDir,
}

impl Dev {
    fn start(more: &[&str]) -> Self {
        let mut dev = Self {
            process: None,
            port: free_port(),
            rpc_port: free_port(),
            more: more.iter().map(ToString::to_string).collect(),
            dir: TempDir::new().unwrap(),
        };
        dev.resume();
        dev
    }

    fn resume(&mut self) {
        let log = File::create(self.dir.path().join("log")).unwrap();
        let out = File::create(self.dir.path().join("out")).unwrap();
        let process = command("electrum-server", self.dir.path())
            .args(["--dev", "--skip-default-conf-files"])
            .args(["--electrum-rpc-addr", &format!("127.0.0.1:{}", self.port)])
            .args(["--dev-rpc-addr", &format!("127.0.0.1:{}", self.rpc_port)])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        within(Duration::from_secs(20), "it serves", || {
            Wire::try_connect(self.port)
                .map(drop)
                .map_err(|error| format!("{error}: {}", self.text("log")))
        });
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    /// `electrum-tools dev …`; what it printed.
    fn tool(&self, arguments: &[&str]) -> String {
        let output = command("electrum-tools", self.dir.path())
            .args(["dev", "--rpc", &format!("127.0.0.1:{}", self.rpc_port)])
            .args(arguments)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn height(&self) -> u32 {
        self.tool(&["call", "getblockcount"]).parse().unwrap()
    }

    fn stop(&mut self) {
        let process = self.process.take().unwrap();
        let pid = process.id().to_string();
        let killed = std::process::Command::new("kill").arg(&pid).status();
        assert!(killed.unwrap().success());
        self.process = Some(process);
        self.ends();
    }

    fn ends(&mut self) {
        let mut process = self.process.take().unwrap();
        let status = eventually("it ends", || {
            process.try_wait().unwrap().ok_or_else(|| self.text("log"))
        });
        assert_eq!(status.code(), Some(0), "{}", self.text("log"));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn it_serves_within_a_second_and_says_what_to_type() {
    let begin = Instant::now();
    let dev = Dev::start(&[]);
    let took = begin.elapsed();
    println!("--dev serves after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("it says what to type", || {
        let text = dev.text("out");
        let server = format!(
            "electrum --regtest --oneserver --server 127.0.0.1:{}:t",
            dev.port
        );
        match text.contains(&server) && text.contains("Ctrl-C") {
            true => Ok(()),
            false => Err(text),
        }
    });
    assert_eq!(dev.height(), 102);
    // The funded wallet's first address, derived by somebody else's rules: BIP 84.
    assert!(dev.text("out").contains("wpkh(tprv8ZgxMBicQKsPd"));
}

#[test]
fn it_serves_through_every_transport() {
    let ports = [free_port(), free_port(), free_port()];
    let [tls, ws, wss] = ports.map(|port| format!("127.0.0.1:{port}"));
    let dev = Dev::start(&[
        "--electrum-tls-addr",
        &tls,
        "--ws-addr",
        &ws,
        "--wss-addr",
        &wss,
    ]);
    for server in [
        format!("tcp://127.0.0.1:{}", dev.port),
        format!("ssl://{tls}"),
        format!("ws://{ws}"),
        format!("wss://{wss}"),
    ] {
        let output = command("electrum-tools", dev.dir.path())
            .args(["ping", "--any-certificate", &server])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{server}: {complaint}");
    }
    // A wallet of the command line that is shown can connect there.
    assert!(
        dev.text("out")
            .contains(&format!("127.0.0.1:{}:t", dev.port))
    );
}

/// As the guide to serving without a firewall has it: a listener for those who have a certificate.
#[test]
fn a_listener_may_demand_a_certificate() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for name in ["mine", "other"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        std::fs::write(file(&format!("{name}.crt")), certificate.pem()).unwrap();
    }
    let address = format!("127.0.0.1:{}", free_port());
    let dev = Dev::start(&[
        "--electrum-tls-addr",
        &address,
        "--tls-client-ca",
        &file("mine.crt"),
    ]);
    let ping = |more: &[&str]| {
        command("electrum-tools", dev.dir.path())
            .args(["ping", "--any-certificate", &format!("ssl://{address}")])
            .args(more)
            .output()
            .unwrap()
    };
    let with = |name: &str| {
        let (certificate, key) = (file(&format!("{name}.crt")), file(&format!("{name}.key")));
        ping(&["--client-cert", &certificate, "--client-key", &key])
    };
    let mine = with("mine");
    assert!(
        mine.status.success(),
        "{}",
        String::from_utf8_lossy(&mine.stderr)
    );
    for refused in [ping(&[]), with("other")] {
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && complaint.contains(&address),
            "{complaint}"
        );
    }
}

#[test]
fn scripts_for_bitcoin_cli_work() {
    let mut dev = Dev::start(&[]);
    let cli = crate::node::bitcoind_exe().with_file_name("bitcoin-cli");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(&cli)
            .args([
                "-regtest",
                &format!("-datadir={}", dev.dir.path().display()),
            ])
            .arg(format!("-rpcport={}", dev.rpc_port))
            .args(arguments)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let mined: Value = serde_json::from_str(&run(&["generatetoaddress", "3", address])).unwrap();
    assert_eq!(mined.as_array().unwrap().len(), 3);
    let txid = run(&["sendtoaddress", address, "0.25"]);
    let mempool: Value = serde_json::from_str(&run(&["getrawmempool"])).unwrap();
    assert_eq!(mempool, json!([txid]));
    run(&["invalidateblock", mined[1].as_str().unwrap()]);
    assert_eq!(run(&["getblockcount"]), "103");
    run(&["reconsiderblock", mined[1].as_str().unwrap()]);
    assert_eq!(run(&["getbestblockhash"]), mined[2].as_str().unwrap());

    // What scripts for a real node begin with.
    let info = run(&["-getinfo"]);
    assert!(
        info.contains("Chain: regtest") && info.contains("Blocks: 105"),
        "{info}"
    );
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&run(arguments)).unwrap() };
    assert_eq!(json(&["createwallet", "alice"])["name"], "alice");
    assert_eq!(json(&["listwallets"]), json!(["", "alice"]));
    run(&["unloadwallet", "alice"]);
    assert_eq!(json(&["loadwallet", "alice"])["name"], "alice");
    assert_eq!(
        json(&["-rpcwallet=alice", "getwalletinfo"])["descriptors"],
        true
    );
    let [first, second] = [(); 2].map(|()| run(&["-rpcwallet=alice", "getnewaddress"]));
    assert_ne!(first, second);
    let generated: Value = serde_json::from_str(&run(&["-generate", "2"])).unwrap();
    assert_eq!(generated["blocks"].as_array().unwrap().len(), 2);
    let paid = run(&["sendtoaddress", &first, "0.5"]);
    run(&["-generate", "1"]);
    let coins = json(&["listunspent", "1", "1"]);
    let coin = coins
        .as_array()
        .unwrap()
        .iter()
        .find(|coin| coin["txid"] == *paid && coin["address"] == *first);
    assert_eq!(coin.unwrap()["amount"], 0.5);
    assert_eq!(json(&["getaddressinfo", &first])["ismine"], true);
    assert_eq!(json(&["getaddressinfo", address])["ismine"], false);
    // What was paid to a new address is spent like everything else.
    let balance: f64 = run(&["getbalance"]).parse().unwrap();
    run(&["sendtoaddress", address, &format!("{:.8}", balance - 0.01)]);
    run(&["-generate", "1"]);
    assert!(json(&["getbalances"])["mine"]["immature"].as_f64().unwrap() > 0.0);

    let checked = json(&["getdescriptorinfo", "raw(51)"])["descriptor"].clone();
    let checked = checked.as_str().unwrap();
    assert_eq!(
        json(&["generatetodescriptor", "1", checked])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let found = json(&["scantxoutset", "start", &json!([checked]).to_string()]);
    assert_eq!(found["unspents"].as_array().unwrap().len(), 1);
    let addresses = json(&["deriveaddresses", &format!("addr({address})#8pk5s7ya")]);
    assert_eq!(addresses, json!([address]));
    assert_eq!(json(&["getpeerinfo"]), json!([]));
    assert!(run(&["uptime"]).parse::<u32>().unwrap() < 3600);
    // Wallets pay what they are told, and not what they think is safe.
    assert_eq!(json(&["estimatesmartfee", "2"])["feerate"], 0.00002);
    let told = Wire::try_connect(dev.port)
        .unwrap()
        .call("blockchain.estimatefee", json!([2]));
    assert_eq!(told, json!(0.00002));
    run(&["stop"]);
    dev.ends();
}

/// The phrase that is told is a wallet of Electrum's that has coins.
#[test]
fn electrum_opens_the_funded_phrase() {
    let Some(program) = electrum() else {
        eprintln!("left out, as SKIP_ELECTRUM_WALLET says");
        return;
    };
    let dev = Dev::start(&[]);
    let text = dev.text("out");
    let line = text.lines().find(|line| line.contains("funded wallet"));
    let phrase = line.unwrap().trim().strip_prefix("funded wallet").unwrap();
    let mut wallet = Wallet::offline(program, &["restore", phrase.trim()]);
    wallet.connect(dev.port);
    wallet.eventually("it is connected", || wallet.is_at(102));
    wallet.run(&["load_wallet"]);
    wallet.has_balance(COIN, 0);
    wallet.run(&["stop"]);
}

#[test]
fn a_chain_is_kept_between_runs() {
    let mut dev = Dev::start(&["--dev-state", "chain.txt"]);
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    dev.tool(&["mine", "5"]);
    let txid = dev.tool(&["fund", address, "0.5"]);
    let tip = dev.tool(&["call", "getbestblockhash"]);
    dev.stop();
    dev.resume();
    assert_eq!(dev.tool(&["call", "getbestblockhash"]), tip);
    assert_eq!(dev.tool(&["call", "getrawmempool"]), txid);
}

#[test]
fn blocks_come_by_themselves() {
    let dev = Dev::start(&["--block-time", "200ms"]);
    eventually("blocks are mined", || match dev.height() {
        height if height >= 105 => Ok(()),
        height => Err(height.to_string()),
    });
}

#[test]
fn the_control_interface_is_not_for_browsers() {
    use std::io::Write;
    let dev = Dev::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", dev.rpc_port)).unwrap();
    let body = r#"{"method":"generatetoaddress","params":[1,"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"]}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.com\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(dev.height(), 102);
}

/// As a newcomer would: a wallet, coins from the faucet, a block, a payment, a reorg.
#[test]
fn electrum_receives_from_the_faucet_and_pays() {
    let Some(program) = electrum() else {
        eprintln!("left out, as SKIP_ELECTRUM_WALLET says");
        return;
    };
    let dev = Dev::start(&[]);
    let wallet = Wallet::start(program, dev.port);
    wallet.eventually("it is connected", || wallet.is_at(102));
    wallet.run(&["load_wallet"]);
    let own = wallet.run(&["getunusedaddress"]);
    let funding = dev.tool(&["fund", &own, "0.5"]);
    wallet.has_balance(0, COIN / 2);
    dev.tool(&["mine", "1"]);
    wallet.has_balance(COIN / 2, 0);
    wallet.has_verified(&funding, 1);

    let faucet = dev.tool(&["call", "getnewaddress"]);
    let payment = wallet.run(&["payto", &faucet, "0.1", "-f", "0.0001"]);
    let paid = wallet.run(&["broadcast", &payment]);
    assert_eq!(dev.tool(&["call", "getrawmempool"]), paid);
    dev.tool(&["mine"]);
    let left = COIN / 2 - COIN / 10 - 10_000;
    wallet.has_balance(left, 0);
    wallet.has_verified(&paid, 1);

    dev.tool(&["reorg", "1"]);
    wallet.is_unconfirmed(&paid);
    dev.tool(&["mine", "2"]);
    wallet.has_verified(&paid, 2);
    wallet.has_balance(left, 0);
    wallet.run(&["stop"]);
}
