//! The objects that the issues of a run speak of.

#![allow(unsafe_code)]

use std::cell::RefCell;

use smallvec::SmallVec;

use super::object::Object;

/// Most runs that find anything wrong find a few things.
type Objects = SmallVec<[Object; 4]>;

/// What the inputs and the output of one run share: the objects that its issues speak of.
#[derive(Default)]
pub(crate) struct Session {
    kept: RefCell<Objects>,
}

impl Session {
    /// Keeps an object; returns its number.
    pub(crate) fn keep(&self, object: Object) -> usize {
        let mut kept = self.kept.borrow_mut();
        kept.push(object);
        kept.len() - 1
    }

    /// How many objects there are. [`Session::truncate`] takes this as a mark.
    pub(crate) fn len(&self) -> usize {
        self.kept.borrow().len()
    }

    /// Lets go of the objects from `mark` on.
    pub(crate) fn truncate(&self, mark: usize) {
        // One at a time: freeing an object may run code.
        while self.len() > mark {
            let last = self.kept.borrow_mut().pop();
            drop(last);
        }
    }

    pub(crate) fn into_kept(self) -> Kept {
        Kept(self.kept.into_inner())
    }
}

/// What a run has kept, freed without asking whether the interpreter is attached.
pub(crate) struct Kept(Objects);

impl Kept {
    /// The objects, by number.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.0
    }
}

// SAFETY: a list of issues, which has this, is only read and freed as a Python object, by a thread that is attached to the interpreter.
unsafe impl Send for Kept {}
// SAFETY: as above; nothing changes the objects through it.
unsafe impl Sync for Kept {}
