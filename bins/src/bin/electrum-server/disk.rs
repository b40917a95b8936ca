//! Watches how much of the disk is left, and how much of it the index takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use electrum_server_core::store::{disk_usage, free_space};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::monitor::{DiskSpace, Status};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(60);

/// Looks at the start and then every minute, until it is dropped. Warns when less than `low` bytes are free: once, and again
/// after there were more.
pub(crate) async fn watch(folder: PathBuf, low: u64, status: Arc<Status>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_low = false;
    loop {
        ticks.tick().await;
        let looked_at = folder.clone();
        let look = move || (free_space(&looked_at), disk_usage(&looked_at));
        let Ok((free, used)) = tokio::task::spawn_blocking(look).await else {
            return;
        };
        let (free, used) = match (free, used) {
            (Ok(free), Ok(used)) => (free, used),
            (Err(error), _) | (_, Err(error)) => {
                debug!("cannot look at the disk of {}: {error}", folder.display());
                continue;
            }
        };
        status.disk.store(Some(Arc::new(DiskSpace { free, used })));
        let mebibytes = free >> 20;
        if free < low && !std::mem::replace(&mut is_low, true) {
            warn!(
                "the disk of {} is almost full: {mebibytes} MiB are left; when there is no more space, no more blocks \
                 are added, and what is known is served",
                folder.display()
            );
        // A little more than before, so that it is not told again and again.
        } else if free > low.saturating_add(low / 8) && std::mem::take(&mut is_low) {
            info!(
                "the disk of {} has space again: {mebibytes} MiB",
                folder.display()
            );
        }
    }
}
