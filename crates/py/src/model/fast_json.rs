//! The fast path over JSON text: values go from the bytes straight into the slots. See `fast`.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use ottava_validate::{Checked, Entry, Found, Input, JsonInput, Program, Schema};

use crate::gate;

use super::fast::made;
use super::fast_plan::{FastPlan, FastRecord, Kind};
use super::instance;
use super::make;
use super::object::Object;

impl FastPlan {
    /// What a document becomes, or `None`: with an exception set if a signal handler raised it in a pause, and else because it is not valid, or
    /// only the engine can tell.
    ///
    /// # Safety
    /// The interpreter is attached, and the plan that this belongs to, of which `schema` is a part, stays alive.
    #[inline]
    pub(crate) unsafe fn json(&self, schema: &Schema, document: &[u8]) -> Option<Object> {
        let input = JsonInput::new(document, schema.json_options(), schema.limits()).ok()?;
        let input = input.watched(&|| pause().is_some());
        let mut reader = Reader { plan: self, program: schema.program(), input };
        let start = reader.input.start();
        // SAFETY: the caller's promise.
        let object = unsafe { reader.read(&self.root, start)? };
        reader.input.finish().ok()?;
        Some(object)
    }
}

struct Reader<'p, 'j> {
    plan: &'p FastPlan,
    program: &'p Program,
    input: JsonInput<'j>,
}

/// A made object; for want of memory the engine will say so.
#[inline(always)]
fn kept(object: Checked<Object>) -> Option<Object> {
    if object.is_err() {
        // SAFETY: objects are only made where the interpreter is attached.
        unsafe { ffi::PyErr_Clear() };
    }
    object.ok()
}

impl Reader<'_, '_> {
    /// The value that stands at `at`.
    #[inline(always)]
    unsafe fn read(&mut self, kind: &Kind, at: usize) -> Option<Object> {
        kept(match kind {
            Kind::Int { low, high } => {
                let int = self.input.int(&at).ok()??;
                if int < *low || int > *high {
                    return None;
                }
                make::int(int)
            }
            Kind::Float => match self.input.float(&at).ok()? {
                Some(float) => make::float(float),
                None => make::float(self.input.int(&at).ok()?? as f64),
            },
            Kind::FreeText => make::str(self.input.str(&at).ok()??),
            Kind::Text(rule) => {
                let text = self.input.str(&at).ok()??;
                if !rule.accepts(text) {
                    return None;
                }
                make::str(text)
            }
            // SAFETY: the caller's promise.
            Kind::Record(number) => return unsafe { self.record(&self.plan.records[*number], at) },
            // SAFETY: as above.
            _ => return unsafe { self.read_other(kind, at) },
        })
    }

    #[inline(never)]
    unsafe fn read_other(&mut self, kind: &Kind, at: usize) -> Option<Object> {
        let program = self.program;
        // SAFETY: the caller's promise; literals and members are kept alive by the plan.
        unsafe {
            match kind {
                Kind::Bool => match self.input.get(&at).ok()? {
                    Found::Bool(value) => Some(make::bool(value)),
                    _ => None,
                },
                Kind::Nullable(inner) => match self.input.is_null(&at).ok()? {
                    true => Some(Object::none()),
                    false => self.read(inner, at),
                },
                Kind::Null => self.input.is_null(&at).ok()?.then(Object::none),
                Kind::Textual(textual) => textual.made_of(self.input.str(&at).ok()??),
                Kind::Literal(literal) => {
                    let found = self.input.get(&at).ok()?;
                    let index = program.literals().get(literal.number)?.find(found)?;
                    Some(Object::borrowed(*literal.objects.get(index)?))
                }
                Kind::Enum { number, members } => {
                    let found = self.input.get(&at).ok()?;
                    let index = program.enums().get(*number)?.find(found)?;
                    Some(Object::borrowed(*members.get(index)?))
                }
                Kind::List { item, min, max } => self.list(item, *min, *max, at),
                Kind::Dict { value, min, max } => self.dict(value, *min, *max, at),
                Kind::Any => self.any(at),
                Kind::Int { .. }
                | Kind::Float
                | Kind::FreeText
                | Kind::Text(_)
                | Kind::Record(_) => self.read(kind, at),
            }
        }
    }

    #[inline]
    unsafe fn record(&mut self, record: &FastRecord, at: usize) -> Option<Object> {
        // SAFETY: the caller's promise; the offset is that of a slot of the object.
        unsafe {
            let plan = self.program.records().get(record.number)?;
            let mut entries = self.input.map(&at, None, false).ok()??;
            let object = instance::allocate(record.class, &*record.layout)?;
            let mut given: u64 = 0;
            let mut expected = 0;
            loop {
                match self.input.next_field(&mut entries, plan, expected).ok()? {
                    Entry::Field(index, at) => {
                        let field = record.fields.get(index)?;
                        if given & (1 << index) != 0 {
                            return None;
                        }
                        given |= 1 << index;
                        expected = index + 1;
                        let value = self.read(&field.kind, at)?;
                        instance::write_slot(object.as_ptr(), field.offset, value);
                    }
                    Entry::Unknown(at) if record.ignores_unknown => self.input.skip(&at).ok()?,
                    Entry::Unknown(_) => return None,
                    Entry::End => break,
                }
            }
            self.plan.finish(record, &object, given)?;
            Some(object)
        }
    }

    unsafe fn list(&mut self, item: &Kind, min: usize, max: usize, at: usize) -> Option<Object> {
        let mut items = self.input.seq(&at, ottava_validate::Collection::List, false).ok()??;
        let mut list = ListMaker::new();
        while let Some(at) = self.input.next_item(&mut items).ok()? {
            // SAFETY: the caller's promise.
            unsafe { list.push(self.read(item, at)?)? };
        }
        if list.count < min || list.count > max {
            return None;
        }
        // SAFETY: as above.
        unsafe { list.finish() }
    }

    unsafe fn dict(&mut self, value: &Kind, min: usize, max: usize, at: usize) -> Option<Object> {
        let mut entries = self.input.map(&at, None, false).ok()??;
        // SAFETY: the caller's promise.
        unsafe {
            let dict = made(ffi::PyDict_New())?;
            let mut count = 0;
            while let Some(at) = self.input.next_key(&mut entries).ok()? {
                let key = kept(make::str(self.input.str(&at).ok()??))?;
                let at = self.input.entry_value(&mut entries).ok()?;
                let value = self.read(value, at)?;
                if ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) < 0 {
                    ffi::PyErr_Clear();
                    return None;
                }
                count += 1;
            }
            // A key that occurs twice is for the engine to count.
            let all = ffi::PyDict_Size(dict.as_ptr()) as usize == count;
            (all && count >= min && count <= max).then_some(dict)
        }
    }

    #[inline(never)]
    unsafe fn any(&mut self, at: usize) -> Option<Object> {
        let found = self.input.get(&at).ok()?;
        kept(match found {
            Found::Null => Ok(Object::none()),
            Found::Bool(value) => Ok(make::bool(value)),
            Found::Int(int) => make::int(int),
            Found::Float(float) => make::float(float),
            Found::Str(text) => make::str(text),
            // SAFETY: the caller's promise.
            Found::Seq(_) => return unsafe { self.list(&Kind::Any, 0, usize::MAX, at) },
            // SAFETY: as above.
            Found::Map => return unsafe { self.dict(&Kind::Any, 0, usize::MAX, at) },
            _ => return None,
        })
    }
}

/// Items of a list between two pauses for other threads and signals.
pub(super) const PAUSE: usize = 4096;

/// A pause before a further piece of a list.
pub(super) fn pause_before(start: usize) -> Option<()> {
    if start > 0 { pause() } else { Some(()) }
}

/// Lets others go ahead; `None`, with an exception set, if a signal handler has raised one.
#[cold]
fn pause() -> Option<()> {
    // SAFETY: objects are only made where the interpreter is attached. Text cannot change meanwhile, plans are never freed while they are in
    // use, and nobody else has the objects in the making.
    let py = unsafe { Python::assume_attached() };
    gate::pause(py).map_err(|raised| raised.restore(py)).ok()
}

/// Most items that a list is made of at once.
const FEW: usize = 16;

/// Makes a list: of few items without room to spare.
struct ListMaker {
    count: usize,
    few: [*mut ffi::PyObject; FEW],
    many: Option<Object>,
}

impl ListMaker {
    #[inline(always)]
    fn new() -> Self {
        Self { count: 0, few: [ptr::null_mut(); FEW], many: None }
    }

    /// # Safety
    /// The interpreter is attached.
    #[inline(always)]
    unsafe fn push(&mut self, item: Object) -> Option<()> {
        if self.count < FEW {
            self.few[self.count] = item.into_ptr();
            self.count += 1;
            return Some(());
        }
        // SAFETY: the caller's promise.
        unsafe { self.push_more(item) }
    }

    #[inline(never)]
    unsafe fn push_more(&mut self, item: Object) -> Option<()> {
        // SAFETY: the caller's promise; the list is nobody else's.
        unsafe {
            if self.many.is_none() {
                let list = self.list_of_few()?;
                // Nobody may find it among the objects of the collector and change it while it grows.
                ffi::PyObject_GC_UnTrack(list.as_ptr().cast());
                self.many = Some(list);
            }
            if ffi::PyList_Append(self.many.as_ref()?.as_ptr(), item.as_ptr()) < 0 {
                ffi::PyErr_Clear();
                return None;
            }
        }
        self.count += 1;
        Some(())
    }

    /// A list that takes over the items so far.
    unsafe fn list_of_few(&mut self) -> Option<Object> {
        let few = self.count.min(FEW);
        // SAFETY: the caller's promise; each item is moved once.
        unsafe {
            let list = made(ffi::PyList_New(few as isize))?;
            for (index, item) in self.few[..few].iter_mut().enumerate() {
                let item = std::mem::replace(item, ptr::null_mut());
                ffi::PyList_SET_ITEM(list.as_ptr(), index as isize, item);
            }
            Some(list)
        }
    }

    /// # Safety
    /// The interpreter is attached.
    #[inline(always)]
    unsafe fn finish(mut self) -> Option<Object> {
        match self.many.take() {
            Some(list) => {
                // SAFETY: the caller's promise; the list was hidden when it was made.
                unsafe { ffi::PyObject_GC_Track(list.as_ptr().cast()) };
                Some(list)
            }
            None => {
                // SAFETY: the caller's promise.
                let list = unsafe { self.list_of_few()? };
                // All items have moved.
                let _ = ManuallyDrop::new(self);
                Some(list)
            }
        }
    }
}

impl Drop for ListMaker {
    fn drop(&mut self) {
        for item in &self.few[..self.count.min(FEW)] {
            // SAFETY: an item that is still here is ours, and lists are only made where the interpreter is attached.
            unsafe { ffi::Py_XDECREF(*item) };
        }
    }
}
