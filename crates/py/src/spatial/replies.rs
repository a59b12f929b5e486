//! Connections that were handed to Python before, to be handed out again as they are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ottava_spatial::{Connections, Falloff};
use pyo3::prelude::*;

/// What was asked: id, bits of the radius, falloff.
pub(super) type Asked = (u64, u32, Falloff);

/// Objects held, a power of two. Two questions with the same place take turns.
const PLACES: usize = 4096;

/// Python objects made of answers that the cache of the grid may still hold.
///
/// The grid alone decides whether an answer is still good: an object is given out again only for
/// the very answer that it was made of.
#[derive(Default)]
pub(super) struct Replies(Mutex<Vec<Option<Reply>>>);

struct Reply {
    asked: Asked,
    answer: Weak<Connections>,
    object: Py<PyAny>,
}

fn place(asked: &Asked) -> usize {
    let mixed = (asked.0 ^ u64::from(asked.1) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize % PLACES
}

impl Replies {
    /// The object that was made of this answer.
    pub(super) fn get<'py>(
        &self,
        py: Python<'py>,
        asked: &Asked,
        answer: &Arc<Connections>,
    ) -> Option<Bound<'py, PyAny>> {
        let replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = replies.get(place(asked))?.as_ref()?;
        let same = reply.asked == *asked && reply.answer.as_ptr() == Arc::as_ptr(answer);
        same.then(|| reply.object.bind(py).clone())
    }

    /// Lets go of all objects.
    pub(super) fn clear(&self) {
        let dropped = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(dropped);
    }

    /// Keeps the object that was made of an answer.
    pub(super) fn keep(&self, asked: Asked, answer: &Arc<Connections>, object: Py<PyAny>) {
        let mut reply = Some(Reply { asked, answer: Arc::downgrade(answer), object });
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies.resize_with(PLACES, || None);
        std::mem::swap(&mut replies[place(&asked)], &mut reply);
        // What was there goes after the lock: what Python does then may come back here.
        drop(replies);
        drop(reply);
    }
}
