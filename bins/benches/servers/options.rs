//! The options of the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::chain::Shape;
use crate::server::Software;

pub(crate) const USAGE: &str = "\
options:
  --quick           a small chain and short loads
  --blocks COUNT    so many full blocks instead of 1100
  --seconds COUNT   length of each load [default: 5]
  --clients COUNT   so many that are notified of blocks [default: 10000]
  --only NAMES      of ours, rest, killed, electrs, electrumx: comma-separated [default: all]
  --keep            leave the indexes and the node's files in the cache";

pub(crate) struct Options {
    pub(crate) shape: Shape,
    pub(crate) duration: Duration,
    pub(crate) clients: usize,
    pub(crate) servers: Vec<Software>,
    pub(crate) keep: bool,
    /// Where the chain is kept, and where everything else is meanwhile.
    pub(crate) folder: PathBuf,
}

impl Options {
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let folder = std::env::var_os("BENCH_SERVERS_DIR").ok_or("BENCH_SERVERS_DIR is not set")?;
        let mut options = Self {
            shape: Shape {
                blocks: 1100,
                payments: 2000,
            },
            duration: Duration::from_secs(5),
            clients: 10_000,
            servers: Software::ALL.to_vec(),
            keep: false,
            folder: folder.into(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            let number = |value: &String| value.parse::<u32>().map_err(|error| error.to_string());
            match argument.as_str() {
                "--bench" => {}
                "--quick" => {
                    options.shape.blocks = 60;
                    options.duration = Duration::from_secs(1);
                    options.clients = 1000;
                }
                "--blocks" => options.shape.blocks = number(value()?)?,
                "--seconds" => options.duration = Duration::from_secs(number(value()?)?.into()),
                "--clients" => options.clients = number(value()?)? as usize,
                "--only" => {
                    let names = value()?.split(',').map(software);
                    options.servers = names.collect::<Result<_, _>>()?;
                }
                "--keep" => options.keep = true,
                _ => return Err(format!("unknown: {argument}")),
            }
        }
        Ok(options)
    }
}

fn software(name: &str) -> Result<Software, String> {
    Ok(match name {
        "ours" => Software::Ours,
        "rest" => Software::OursRest,
        "killed" => Software::OursKilled,
        "electrs" => Software::Electrs,
        "electrumx" => Software::ElectrumX,
        _ => return Err(format!("unknown server: {name}")),
    })
}
