//! Moves inside the kernel: `splice`, `tee`, `sendfile`, `copy_file_range` (Linux).
//!
//! No call here may block and no refused call may lose a byte, so that falling back to `read` and `write` is always
//! possible.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::ends::{Inlet, Outlet};
use crate::fd::{Kind, is_blocking, means_gone, raise_pipe_size};
use crate::report::{Refusal, Way, Why};

/// The most that one call is asked to move through a pipe, which holds far less.
const MOST: u64 = 1 << 30;

/// The most that one call is asked to copy between files or to send of one: it hears no cancellation meanwhile.
const COPY: u64 = 4 << 20;
const SEND: u64 = 1 << 20;

/// The fastest way between two ends, and why faster ones are out of the question.
pub(crate) fn choose(
    reader: &Inlet<'_>,
    writer: &Outlet<'_>,
    allow_aliasing: bool,
) -> (Option<Way>, Vec<Refusal>) {
    let (from, to) = (reader.nature, writer.nature);
    let refuse = |way, why| (None, vec![Refusal { way, why }]);
    match (from.kind, to.kind) {
        (Kind::Terminal, _) | (_, Kind::Terminal) => refuse(Way::Splice, Why::Terminal),
        (Kind::File, Kind::File) if to.append => refuse(Way::CopyFileRange, Why::Append),
        (Kind::File, Kind::File) => (Some(Way::CopyFileRange), Vec::new()),
        (Kind::File, Kind::Socket) if !allow_aliasing => refuse(Way::Sendfile, Why::Aliasing),
        (Kind::File, Kind::Socket) => (Some(Way::Sendfile), Vec::new()),
        (Kind::File, Kind::Pipe) if !allow_aliasing => refuse(Way::Splice, Why::Aliasing),
        (Kind::Pipe, Kind::File) if to.append => refuse(Way::Splice, Why::Append),
        (Kind::Pipe, _) | (_, Kind::Pipe) => (Some(Way::Splice), Vec::new()),
        _ => refuse(Way::Splice, Why::NoPipe),
    }
}

/// Why a move could block now: `splice` and `sendfile` heed the mode of a socket, not their own flag.
pub(crate) fn blocks(reader: &Inlet<'_>, writer: &Outlet<'_>) -> Option<Why> {
    if reader.nature.kind == Kind::Socket && is_blocking(reader) {
        return Some(Why::BlockingReader);
    }
    (writer.nature.kind == Kind::Socket && is_blocking(writer)).then_some(Why::BlockingSocket)
}

/// Moves at most `most` bytes; 0 at the end of the reader.
pub(crate) fn advance(
    way: Way,
    reader: &Inlet<'_>,
    writer: &Outlet<'_>,
    most: u64,
) -> Result<u64, Errno> {
    let at_most = |limit| most.min(limit) as usize;
    let moved = match way {
        Way::CopyFileRange => {
            rustix::fs::copy_file_range(reader, None, writer, None, at_most(COPY))?
        }
        Way::Sendfile => rustix::fs::sendfile(writer, reader, None, at_most(SEND))?,
        _ => rustix::pipe::splice(reader, None, writer, None, at_most(MOST), flags())?,
    };
    Ok(moved as u64)
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

/// What a failed move says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing about an end: `read` and `write` find out, or succeed.
    Refused,
    /// The reader failed.
    Reader,
    /// The writer's other end is gone.
    Gone,
    /// The writer failed.
    Writer,
}

/// Whose failure `errno` is, of a move out of a reader of this kind.
///
/// A socket tells its error once, so nobody could ask again which end it was; but what it is spliced to is a pipe, which
/// fails in one way only. A pipe cannot fail as a reader. An error of a file comes again.
pub(crate) fn failure(reader: Kind, errno: Errno) -> Failure {
    match (reader, errno) {
        (_, errno) if is_refusal(errno) => Failure::Refused,
        (_, Errno::PIPE) => Failure::Gone,
        (Kind::Socket | Kind::Device | Kind::Terminal, _) => Failure::Reader,
        (_, errno) if means_gone(errno) => Failure::Gone,
        (Kind::File, _) => Failure::Refused,
        (Kind::Pipe, _) => Failure::Writer,
    }
}

/// Whether a failed move only says that these two ends cannot be joined this way.
fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INVAL
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::XDEV
            | Errno::PERM
            | Errno::BADF
            | Errno::TXTBSY
            | Errno::OVERFLOW
            | Errno::NOMEM
    )
}

/// Private pipes, one per writer, through which one stretch of the source reaches all of them.
///
/// `tee(2)` always copies from the head of the source, so a writer that took only a part of a stretch could never be
/// given the rest. Each stretch is therefore teed into pipes of our own, which are empty and have at least as many slots
/// as the source and so take all of it, and drained from there at each writer's pace.
#[derive(Debug)]
pub(crate) struct Fan {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    read: OwnedFd,
    write: OwnedFd,
    splice: bool,
    /// Bytes taken out of the lane that the writer has not accepted yet.
    carry: Vec<u8>,
    carried: usize,
}

/// The most bytes that pass through a writer's own buffer at once when it cannot be spliced to.
const CARRY: usize = 64 * 1024;

impl Fan {
    /// Pipes from `reader` to `writers`; an `errno` if the system does not give us enough of them.
    pub(crate) fn new(reader: &Inlet<'_>, writers: &[Outlet<'_>]) -> Result<Self, Errno> {
        let size = rustix::pipe::fcntl_getpipe_size(reader)?;
        let lanes = writers
            .iter()
            .map(|writer| {
                let (read, write) =
                    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                raise_pipe_size(write.as_fd(), size);
                if rustix::pipe::fcntl_getpipe_size(&write)? < size {
                    return Err(Errno::PERM);
                }
                let to = writer.nature;
                let splice = match to.kind {
                    Kind::Terminal => false,
                    _ => !to.append,
                };
                Ok(Lane { read, write, splice, carry: Vec::new(), carried: 0 })
            })
            .collect::<Result<_, Errno>>()?;
        Ok(Self { lanes })
    }

    /// Takes at most `most` bytes from the reader into the lane of every writer for which `open` holds.
    pub(crate) fn fill(
        &mut self,
        reader: &Inlet<'_>,
        most: u64,
        open: impl Fn(usize) -> bool,
    ) -> Result<u64, Errno> {
        let most = most.min(MOST) as usize;
        let lanes: Vec<&Lane> =
            self.lanes.iter().enumerate().filter(|(i, _)| open(*i)).map(|(_, l)| l).collect();
        let Some((last, others)) = lanes.split_last() else { return Err(Errno::INVAL) };
        let mut stretch = most;
        for (i, lane) in others.iter().enumerate() {
            let n = retry(|| rustix::pipe::tee(reader, &lane.write, stretch, flags()))?;
            if i > 0 && n != stretch {
                return Err(Errno::IO);
            }
            stretch = n;
            if n == 0 {
                return Ok(0);
            }
        }
        let n = retry(|| rustix::pipe::splice(reader, None, &last.write, None, stretch, flags()))?;
        if !others.is_empty() && n != stretch {
            return Err(Errno::IO);
        }
        Ok(n as u64)
    }

    /// Gives bytes of this writer's lane to the writer.
    pub(crate) fn flush(&mut self, index: usize, writer: &mut Outlet<'_>) -> Result<u64, Errno> {
        let lane = &mut self.lanes[index];
        if lane.splice && !(writer.nature.kind == Kind::Socket && is_blocking(writer)) {
            match rustix::pipe::splice(&lane.read, None, &*writer, None, MOST as usize, flags()) {
                Err(errno) if is_refusal(errno) => lane.splice = false,
                result => return Ok(result? as u64),
            }
        }
        if lane.carried == lane.carry.len() {
            lane.carry.resize(CARRY, 0);
            lane.carried = 0;
            let n = rustix::io::read(&lane.read, &mut lane.carry[..])?;
            lane.carry.truncate(n);
        }
        let n = writer.write(&lane.carry[lane.carried..])?;
        lane.carried += n;
        Ok(n as u64)
    }
}

/// Repeats a call that a signal interrupted: between the first tee and the splice there is no way back.
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_move_is_blamed_on_the_end_that_failed() {
        let cases = [
            (Kind::Socket, Errno::CONNRESET, Failure::Reader),
            (Kind::Socket, Errno::TIMEDOUT, Failure::Reader),
            (Kind::Socket, Errno::PIPE, Failure::Gone),
            (Kind::Socket, Errno::INVAL, Failure::Refused),
            (Kind::Pipe, Errno::CONNRESET, Failure::Gone),
            (Kind::Pipe, Errno::NOSPC, Failure::Writer),
            (Kind::File, Errno::PIPE, Failure::Gone),
            (Kind::File, Errno::IO, Failure::Refused),
        ];
        for (reader, errno, want) in cases {
            assert_eq!(failure(reader, errno), want, "{reader:?} {errno}");
        }
    }
}
