//! After the fast path: most rows that it does not take have a few values that must be converted or are wrong. The engine is run over those
//! alone, and the path takes the others.

#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use smallvec::SmallVec;

use ottava_validate::{Checked, Issues, RecordPlan, Run, Stop};

use super::fast::Rules;
use super::fast_plan::{FastPlan, FastRecord};
use super::input::{PyInput, text_of};
use super::instance;
use super::object::Object;
use super::output::PyOutput;
use super::plan::Plan;

/// Runs the engine over an object that the fast path has not taken. `strict` overrides the declaration.
///
/// # Errors
/// As [`Schema::run`](ottava_validate::Schema::run).
pub(crate) fn run(
    plan: &Plan,
    input: &mut PyInput<'_, '_>,
    object: Object,
    output: &mut PyOutput<'_, '_>,
    issues: &mut Issues,
    strict: Option<bool>,
) -> Checked<Object> {
    let rules = Rules { program: plan.schema.program(), strict: strict == Some(true) };
    if strict != Some(false)
        && output.target.is_none()
        && let Some(fast) = &plan.fast
    {
        // SAFETY: the plan is borrowed, and so is the interpreter, by the output.
        let part = unsafe { fast.part(rules, &object) };
        if PyErr::occurred(output.py) {
            return Err(Stop::Abort);
        }
        if let Some(part) = part {
            let (program, limits) = (rules.program, plan.schema.limits());
            let run = &mut Run::new(program, input, output, issues, limits, strict);
            run.enter(object.host());
            return part.complete(run);
        }
    }
    plan.schema.run(input, object, output, (), issues, strict)
}

/// An instance without some of its fields.
struct Part<'p> {
    plan: &'p RecordPlan,
    record: &'p FastRecord,
    object: Object,
    /// The fields that are not there, in the order of the data, with what the data has for them.
    rest: SmallVec<[(usize, Object); 4]>,
}

impl Part<'_> {
    fn complete(self, run: &mut Run<'_, PyInput<'_, '_>, PyOutput<'_, '_>>) -> Checked<Object> {
        let Self { plan, record, object, rest } = self;
        let rest = rest.into_iter().map(|(index, value)| (index, (), value));
        run.check_fields(plan, rest, |index, value| {
            let offset = record.fields[index].offset;
            // SAFETY: the offset is that of a slot of the object.
            unsafe { instance::write_slot(object.as_ptr(), offset, value) };
        })?;
        Ok(object)
    }
}

impl FastPlan {
    /// What the path makes of a dictionary that has values for it and others; `None` of anything else, and if an exception is set.
    ///
    /// # Safety
    /// The interpreter is attached, and the plan that this belongs to stays alive.
    #[cold]
    unsafe fn part<'p>(&'p self, rules: Rules<'p>, dict: &Object) -> Option<Part<'p>> {
        let record = self.root_record()?;
        let plan = rules.program.records().get(record.number)?;
        // SAFETY: the caller's promise; an entry is held before other code can run.
        unsafe {
            if ffi::PyDict_CheckExact(dict.as_ptr()) == 0 {
                return None;
            }
            let object = instance::allocate(record.class, &*record.layout)?;
            let mut rest = SmallVec::new();
            let (mut given, mut expected) = (0, 0);
            let mut position = 0;
            let (mut name, mut value) = (ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut name, &raw mut value)
                != 0
            {
                let index = match record.fields.get(expected) {
                    Some(field) if field.key == name => expected,
                    _ => match self.find(rules, record, name)? {
                        // Under its name a field with an alias is called another in issues.
                        Some(index) if text_of(name)? == plan.fields.get(index)?.key => index,
                        Some(_) => return None,
                        None => continue,
                    },
                };
                expected = index + 1;
                if given & (1 << index) != 0 {
                    return None;
                }
                given |= 1 << index;
                let field = record.fields.get(index)?;
                let value = Object::borrowed(value);
                match self.take(rules, &field.kind, value.as_ptr(), 0) {
                    Some(taken) => instance::write_slot(object.as_ptr(), field.offset, taken),
                    None if ffi::PyErr_Occurred().is_null() => rest.push((index, value)),
                    None => return None,
                }
            }
            self.finish(record, &object, given)?;
            Some(Part { plan, record, object, rest })
        }
    }
}
