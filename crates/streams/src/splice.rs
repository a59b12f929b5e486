//! Moves inside the kernel: `splice`, `tee`, `sendfile`, `copy_file_range` (Linux).
//!
//! No call here may block and no refused call may lose a byte, so that falling back to `read` and `write` is always
//! possible.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::ends::{Inlet, Outlet};
use crate::fd::{Kind, raise_pipe_size};
use crate::report::{Refusal, Way, Why};

/// The most that one call is asked to move.
const MOST: u64 = 1 << 30;

/// The fastest way between two ends, and why faster ones are out of the question.
pub(crate) fn choose(
    reader: &Inlet<'_>,
    writer: &Outlet<'_>,
    allow_aliasing: bool,
) -> (Option<Way>, Vec<Refusal>) {
    let (from, to) = (reader.nature, writer.nature);
    let refuse = |way, why| (None, vec![Refusal { way, why }]);
    let blocking_socket = to.kind == Kind::Socket && !to.nonblocking;
    match (from.kind, to.kind) {
        (Kind::Terminal, _) | (_, Kind::Terminal) => refuse(Way::Splice, Why::Terminal),
        (Kind::File, Kind::File) if to.append => refuse(Way::CopyFileRange, Why::Append),
        (Kind::File, Kind::File) => (Some(Way::CopyFileRange), Vec::new()),
        (Kind::File, Kind::Socket) if !allow_aliasing => refuse(Way::Sendfile, Why::Aliasing),
        (Kind::File, Kind::Socket) if blocking_socket => refuse(Way::Sendfile, Why::BlockingSocket),
        (Kind::File, Kind::Socket) => (Some(Way::Sendfile), Vec::new()),
        (Kind::File, Kind::Pipe) if !allow_aliasing => refuse(Way::Splice, Why::Aliasing),
        (Kind::Pipe, Kind::Socket) if blocking_socket => refuse(Way::Splice, Why::BlockingSocket),
        (Kind::Pipe, Kind::File) if to.append => refuse(Way::Splice, Why::Append),
        (Kind::Pipe, _) | (_, Kind::Pipe) => (Some(Way::Splice), Vec::new()),
        _ => refuse(Way::Splice, Why::NoPipe),
    }
}

/// Moves at most `most` bytes; 0 at the end of the reader.
pub(crate) fn advance(
    way: Way,
    reader: &Inlet<'_>,
    writer: &Outlet<'_>,
    most: u64,
) -> Result<u64, Errno> {
    let most = most.min(MOST) as usize;
    let moved = match way {
        Way::CopyFileRange => rustix::fs::copy_file_range(reader, None, writer, None, most)?,
        // Without a size to stop at, one call would copy the whole file and hear no cancellation.
        Way::Sendfile => rustix::fs::sendfile(writer, reader, None, most.min(1 << 20))?,
        _ => rustix::pipe::splice(reader, None, writer, None, most, flags())?,
    };
    Ok(moved as u64)
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

/// Whether a failed move only says that these two ends cannot be joined this way.
pub(crate) fn is_refusal(errno: Errno) -> bool {
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
                    Kind::Socket => to.nonblocking,
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
        if lane.splice {
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
