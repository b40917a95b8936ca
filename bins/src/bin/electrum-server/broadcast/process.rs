//! Processes that read something, answer, and leave nothing behind.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// As many bytes are kept of each output, the last ones.
const KEPT: usize = 64 * 1024;
/// As many bytes are read at once: the usual capacity of a pipe.
const CHUNK: usize = 64 * 1024;
/// As many times the outputs are read after the end of a process, which may have left a full pipe of 1 MiB.
const LAST_READS: usize = 32;
/// How long a process that does not use its pipes is left alone before it is looked after.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Processes, each of which is the leader of a process group of its own.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    groups: Vec<Pid>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last 64 KiB of its standard output.
    pub(super) stdout: Vec<u8>,
    /// The last 64 KiB of its standard error.
    pub(super) stderr: Vec<u8>,
    /// Whether everything was written to its standard input. It may have left the rest in the pipe nevertheless.
    pub(super) has_read_all: bool,
}

/// Why a process did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("cannot start `{program}`: {error}")]
    Start { program: String, error: io::Error },
    #[error("it was killed because it took more than {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Processes {
    /// Starts a process, gives it `input` to read, and waits for its end. Whatever it has started in its process group is
    /// killed then.
    ///
    /// # Errors
    ///
    /// It could not be started, or was killed: because of the timeout, or by [`stop`](Self::stop).
    pub(super) fn run(
        &self,
        command: &mut Command,
        input: &[u8],
        timeout: Duration,
    ) -> Result<Ended, RunError> {
        let began = Instant::now();
        let mut group = self.start(command)?;
        let mut stdin = Input::new(group.child.stdin.take(), input)?;
        let mut stdout = Output::new(group.child.stdout.take())?;
        let mut stderr = Output::new(group.child.stderr.take())?;
        while !group.has_ended()? {
            if began.elapsed() >= timeout {
                return Err(RunError::Timeout(timeout));
            }
            wait_for_pipes(&stdin, &stdout, &stderr)?;
            stdin.write()?;
            stdout.read()?;
            stderr.read()?;
        }
        let status = group.end()?;
        if self.state().is_stopping {
            return Err(RunError::Stopping);
        }
        stdout.read_rest()?;
        stderr.read_rest()?;
        Ok(Ended {
            status,
            stdout: stdout.bytes,
            stderr: stderr.bytes,
            has_read_all: stdin.rest.is_empty(),
        })
    }

    /// Kills all process groups, and lets no other begin.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        state.groups.iter().for_each(|pid| kill(*pid));
    }

    fn start(&self, command: &mut Command) -> Result<Group<'_>, RunError> {
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Held while it starts, so that `stop` misses none.
        let mut state = self.state();
        if state.is_stopping {
            return Err(RunError::Stopping);
        }
        let child = command.spawn().map_err(|error| RunError::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            error,
        })?;
        let pid = Pid::from_child(&child);
        state.groups.push(pid);
        drop(state);
        Ok(Group {
            processes: self,
            child,
            pid,
            is_over: false,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every state is a good one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process group; dropping it kills it.
struct Group<'a> {
    processes: &'a Processes,
    child: Child,
    pid: Pid,
    is_over: bool,
}

impl Group<'_> {
    /// Whether its leader has ended, which stays a zombie: so nothing else gets its process id.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => Ok(status.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills what there is of it, and returns how its leader ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.is_over {
            self.is_over = true;
            let mut state = self.processes.state();
            kill(self.pid);
            // Its id may be another's as soon as it has been waited for.
            state.groups.retain(|pid| *pid != self.pid);
        }
        self.child.wait()
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        // It was killed; there is nothing to tell.
        let _ = self.end();
    }
}

fn kill(group: Pid) {
    // It fails when nothing is left of the group.
    let _ = kill_process_group(group, Signal::KILL);
}

/// The standard input of a process, and what is still to be written to it.
struct Input<'a> {
    pipe: Option<ChildStdin>,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn new(pipe: Option<ChildStdin>, rest: &'a [u8]) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe, rest })
    }

    /// Writes what the pipe takes now, and closes it after the last byte or when nobody reads.
    fn write(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        if !self.rest.is_empty() {
            match pipe.write(self.rest) {
                Ok(count) => self.rest = self.rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.pipe = None,
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if self.rest.is_empty() {
            self.pipe = None;
        }
        Ok(())
    }
}

/// An output of a process, and what is kept of it.
struct Output<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Output<R> {
    fn new(pipe: Option<R>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        let bytes = Vec::new();
        Ok(Self { pipe, bytes })
    }

    /// Reads once; returns whether there may be more now.
    fn read(&mut self) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(false);
        };
        let mut chunk = vec![0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.bytes
                    .extend_from_slice(chunk.get(..count).unwrap_or_default());
                let surplus = self.bytes.len().saturating_sub(KEPT);
                self.bytes.drain(..surplus);
                return Ok(true);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Reads what an ended process has left in the pipe. Another process that has left its group may hold the pipe open,
    /// so the end of the output is not waited for.
    fn read_rest(&mut self) -> io::Result<()> {
        for _ in 0..LAST_READS {
            if !self.read()? {
                break;
            }
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until a pipe can be used, for a moment at most.
fn wait_for_pipes<O: AsFd, E: AsFd>(
    stdin: &Input<'_>,
    stdout: &Output<O>,
    stderr: &Output<E>,
) -> io::Result<()> {
    let mut pipes = Vec::new();
    let writable = stdin.pipe.iter();
    pipes.extend(writable.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
    let readable = stdout.pipe.iter();
    pipes.extend(readable.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    let readable = stderr.pipe.iter();
    pipes.extend(readable.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    match poll(&mut pipes, Some(&PAUSE)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
