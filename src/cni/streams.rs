//! The standard streams of a plugin that runs: its input given, its output taken, none waiting for another.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// More than any result or log line needs.
pub(super) const LONGEST: usize = 4 << 20;

/// Between two looks at a process that cannot be polled (Linux before 5.3).
const GLANCE: Duration = Duration::from_millis(10);

struct Streams<'a> {
    child: &'a mut Child,
    pidfd: Option<OwnedFd>,
    input: &'a [u8],
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// What a run left.
pub(super) struct Output {
    pub(super) end: End,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// How it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited,
    Deadline,
    TooLong,
}

/// Gives a process its input and takes its output, until it has ended or the deadline is over. A child of its own
/// that still holds its output is not waited for.
pub(super) fn serve(child: &mut Child, input: &[u8], deadline: Instant) -> io::Result<Output> {
    let mut streams = Streams::of(child, input)?;
    let end = streams.run(deadline)?;
    Ok(Output { end, stdout: streams.out, stderr: streams.err })
}

impl<'a> Streams<'a> {
    fn of(child: &'a mut Child, input: &'a [u8]) -> io::Result<Self> {
        let pidfd = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default())
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ends =
            [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        for end in ends.into_iter().flatten() {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self { child, pidfd, input, stdin, stdout, stderr, out: Vec::new(), err: Vec::new() })
    }

    fn run(&mut self, deadline: Instant) -> io::Result<End> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(End::Deadline);
            }
            let exited = self.wait(left)?;
            self.give();
            take(&mut self.stdout, &mut self.out);
            take(&mut self.stderr, &mut self.err);
            if self.out.len().max(self.err.len()) > LONGEST {
                return Ok(End::TooLong);
            }
            if exited {
                return Ok(End::Exited);
            }
        }
    }

    /// Until something can be done; whether that is that the process has ended.
    fn wait(&mut self, left: Duration) -> io::Result<bool> {
        let ends = [
            (self.pidfd.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
            (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN),
        ];
        let wait = |(end, what)| -> Option<PollFd<'_>> { Some(PollFd::from_borrowed_fd(end?, what)) };
        let mut waits: Vec<PollFd<'_>> = ends.into_iter().filter_map(wait).collect();
        let left = if self.pidfd.is_some() { left } else { left.min(GLANCE) };
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut waits, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        match &self.pidfd {
            Some(_) => Ok(waits.first().is_some_and(|wait| !wait.revents().is_empty())),
            None => Ok(self.child.try_wait()?.is_some()),
        }
    }

    /// As much of the input as the pipe takes. A plugin need not read it.
    fn give(&mut self) {
        while let Some(stdin) = &mut self.stdin {
            if self.input.is_empty() {
                self.stdin = None;
                return;
            }
            match stdin.write(self.input) {
                Ok(count) => self.input = self.input.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.stdin = None,
            }
        }
    }
}

/// What is there to be read; the stream is given up at its end.
fn take(stream: &mut Option<impl Read>, taken: &mut Vec<u8>) {
    let mut buffer = [0; 16 << 10];
    while let Some(open) = stream
        && taken.len() <= LONGEST
    {
        match open.read(&mut buffer) {
            Ok(0) => *stream = None,
            Ok(count) => taken.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *stream = None,
        }
    }
}
