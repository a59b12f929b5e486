//! Connections that were handed to Python before, to be handed out again as they are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ottava_spatial::{Connections, Falloff};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arrays::{Outline, outline};

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
    object: Py<PyTuple>,
    /// Of its arrays, as they were made: who has them may have set their shape or dtype since.
    outlines: [Option<Outline>; 3],
}

fn outlines(arrays: &Bound<'_, PyTuple>) -> [Option<Outline>; 3] {
    std::array::from_fn(|index| outline(&*arrays.get_borrowed_item(index).ok()?))
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
        let object = same.then(|| reply.object.bind(py))?;
        (outlines(object) == reply.outlines).then(|| object.clone().into_any())
    }

    /// Lets go of all objects.
    pub(super) fn clear(&self) {
        let dropped = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(dropped);
    }

    /// Keeps the object that was made of an answer.
    pub(super) fn keep(
        &self,
        asked: Asked,
        answer: &Arc<Connections>,
        object: &Bound<'_, PyTuple>,
    ) {
        let (outlines, object) = (outlines(object), object.clone().unbind());
        let mut reply = Some(Reply { asked, answer: Arc::downgrade(answer), object, outlines });
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies.resize_with(PLACES, || None);
        std::mem::swap(&mut replies[place(&asked)], &mut reply);
        // What was there goes after the lock: what Python does then may come back here.
        drop(replies);
        drop(reply);
    }
}
