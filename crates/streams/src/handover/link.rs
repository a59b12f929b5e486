//! A connected control socket: whole frames in and out, never blocking.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::error::{Attempt, HandoverError};
use super::frame::{Frame, MAX_FRAME};
use super::sync::lock;

#[cfg(target_os = "linux")]
const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
#[cfg(not(target_os = "linux"))]
const SEND: SendFlags = SendFlags::DONTWAIT;
#[cfg(target_os = "linux")]
const RECV: RecvFlags = RecvFlags::CMSG_CLOEXEC.union(RecvFlags::DONTWAIT);
#[cfg(not(target_os = "linux"))]
const RECV: RecvFlags = RecvFlags::DONTWAIT;

/// What is there to receive.
#[derive(Debug)]
pub(super) enum Received {
    /// A frame, and the descriptor that came with it.
    Frame(Frame, Option<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

/// A connected control socket. Unix sockets keep the frames apart (`SOCK_SEQPACKET`); on TCP each has a length before it.
#[derive(Debug)]
pub(super) struct Link {
    fd: OwnedFd,
    is_tcp: bool,
    inbox: Mutex<Inbox>,
    outbox: Mutex<VecDeque<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    since: Option<Instant>,
}

impl Link {
    pub(super) fn new(fd: OwnedFd, is_tcp: bool) -> Self {
        Self { fd, is_tcp, inbox: Mutex::default(), outbox: Mutex::default() }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// When the frame began that has come in part only.
    pub(super) fn partial_since(&self) -> Option<Instant> {
        lock(&self.inbox).since
    }

    /// Sends a frame if the socket takes it whole; `false` if it does not take it now.
    ///
    /// With a descriptor, the frame must not be preceded by ones that are still waiting here.
    pub(super) fn send(
        &self,
        frame: &Frame,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<bool, HandoverError> {
        let mut outbox = lock(&self.outbox);
        self.flush_queue(&mut outbox)?;
        if !outbox.is_empty() {
            return Ok(false);
        }
        let bytes = self.pack(frame);
        match self.send_raw(&bytes, fd)? {
            sent if sent == bytes.len() => Ok(true),
            0 => Ok(false),
            sent => {
                // Part of it is on its way, so the rest must follow.
                outbox.push_back(bytes[sent..].to_vec());
                Ok(true)
            }
        }
    }

    /// Sends a frame now or, if the socket is full, with a later call.
    pub(super) fn post(&self, frame: &Frame) -> Result<(), HandoverError> {
        let mut outbox = lock(&self.outbox);
        outbox.push_back(self.pack(frame));
        self.flush_queue(&mut outbox)
    }

    /// Sends what waits here; `true` if nothing is left.
    pub(super) fn flush(&self) -> Result<bool, HandoverError> {
        let mut outbox = lock(&self.outbox);
        self.flush_queue(&mut outbox)?;
        Ok(outbox.is_empty())
    }

    fn flush_queue(&self, outbox: &mut VecDeque<Vec<u8>>) -> Result<(), HandoverError> {
        while let Some(front) = outbox.front_mut() {
            match self.send_raw(front, None)? {
                0 => break,
                sent if sent == front.len() => {
                    outbox.pop_front();
                }
                sent => {
                    front.drain(..sent);
                }
            }
        }
        Ok(())
    }

    fn pack(&self, frame: &Frame) -> Vec<u8> {
        let body = frame.encode();
        debug_assert!(body.len() <= MAX_FRAME);
        if !self.is_tcp {
            return body;
        }
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&body);
        bytes
    }

    fn send_raw(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<usize, HandoverError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        loop {
            match sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, SEND) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
                    return Err(HandoverError::PeerGone { what: "its socket is closed" });
                }
                Err(err) => return Err(err).attempt("send a control frame"),
            }
        }
    }

    /// The next frame, if all of it is here.
    pub(super) fn receive(&self) -> Result<Received, HandoverError> {
        let mut inbox = lock(&self.inbox);
        if let Some(frame) = self.unpack(&mut inbox)? {
            return Ok(Received::Frame(frame, None));
        }
        let mut bytes = [0; MAX_FRAME + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            match recvmsg(&self.fd, &mut [IoSliceMut::new(&mut bytes)], &mut control, RECV) {
                Ok(message) => break message,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(Errno::CONNRESET) => return Ok(Received::End),
                Err(err) => return Err(err).attempt("receive a control frame"),
            }
        };
        // Taken out first, so that whatever is wrong with the frame, no descriptor stays open.
        let mut fds: Vec<OwnedFd> = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                fds.extend(rights);
            }
        }
        if message.bytes == 0 {
            return match inbox.bytes.is_empty() {
                true => Ok(Received::End),
                false => Err(HandoverError::PeerGone { what: "it ended in the middle of a frame" }),
            };
        }
        if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
            || fds.len() > 1
            || message.bytes > MAX_FRAME
        {
            return Err(HandoverError::protocol(
                "a frame that is too large, or several descriptors",
            ));
        }
        if !self.is_tcp {
            return Ok(Received::Frame(Frame::decode(&bytes[..message.bytes])?, fds.pop()));
        }
        inbox.bytes.extend_from_slice(&bytes[..message.bytes]);
        inbox.since.get_or_insert_with(Instant::now);
        match self.unpack(&mut inbox)? {
            Some(frame) => Ok(Received::Frame(frame, None)),
            None => Ok(Received::Nothing),
        }
    }

    fn unpack(&self, inbox: &mut Inbox) -> Result<Option<Frame>, HandoverError> {
        let Some((head, rest)) = inbox.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length == 0 || length > MAX_FRAME {
            return Err(HandoverError::protocol(format!("a frame of {length} bytes")));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(body)?;
        inbox.bytes.drain(..4 + length);
        inbox.since = (!inbox.bytes.is_empty()).then(Instant::now);
        Ok(Some(frame))
    }
}

/// `span` after `start`; where no clock counts so far, so late that it never comes.
pub(super) fn after(start: Instant, span: Duration) -> Instant {
    start.checked_add(span).unwrap_or_else(|| start + Duration::from_secs(u32::MAX.into()))
}

/// Waits until one of `fds` has something to say or `deadline` passes; `false` if it passed. A signal ends the wait, too.
pub(super) fn wait(
    fds: &mut [PollFd<'_>],
    deadline: Option<Instant>,
) -> Result<bool, HandoverError> {
    let timeout = deadline.map(|at| {
        let left = at.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(0) => Ok(false),
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(err) => Err(err).attempt("wait for the other process"),
    }
}

/// What `wait` should look for on a socket or bell.
pub(super) fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}
