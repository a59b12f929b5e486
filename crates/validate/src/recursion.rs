//! Definitions that check a value by checking the same value again.

use std::collections::HashMap;

use ottava_core::schema::{Kind, Type};

/// Most definitions that may check the same value inside of each other.
pub(crate) const MOST_INSIDE: usize = 64;

/// A definition that no value can be checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recursion<'d> {
    /// It comes back to itself on the same value, so that a check would never end.
    Endless(&'d str),
    /// It checks the same value by more than [`MOST_INSIDE`] others inside of each other.
    Deep(&'d str),
}

/// The first definition that is wrong in such a way.
pub(crate) fn recursion(definitions: &[(String, Type)]) -> Option<Recursion<'_>> {
    let known: HashMap<&str, &Type> =
        definitions.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
    // How many are inside of a definition that was begun, once it is done. A table and a list, since a chain of definitions may be
    // longer than a stack.
    let mut done: HashMap<&str, Option<usize>> = HashMap::new();
    for (name, ty) in definitions {
        if done.contains_key(name.as_str()) {
            continue;
        }
        done.insert(name, None);
        let mut path = vec![Step::new(name, ty)];
        while let Some(step) = path.last_mut() {
            let Some(other) = step.next.pop() else {
                if step.inside > MOST_INSIDE {
                    return Some(Recursion::Deep(step.name));
                }
                done.insert(step.name, Some(step.inside));
                path.pop();
                continue;
            };
            match (done.get(other), known.get(other)) {
                (Some(Some(inside)), _) => {
                    step.inside = step.inside.max(inside + usize::from(!step.is_name));
                }
                (Some(None), _) => return Some(Recursion::Endless(other)),
                (None, Some(ty)) => {
                    // It is looked at once more when it is done.
                    step.next.push(other);
                    done.insert(other, None);
                    path.push(Step::new(other, ty));
                }
                (None, None) => {}
            }
        }
    }
    None
}

struct Step<'d> {
    name: &'d str,
    /// Whether the definition is nothing but another name of one.
    is_name: bool,
    next: Vec<&'d str>,
    inside: usize,
}

impl<'d> Step<'d> {
    fn new(name: &'d str, ty: &'d Type) -> Self {
        let is_name = matches!(ty.kind, Kind::Ref(_)) && !ty.nullable && ty.hooks.is_empty();
        Self { name, is_name, next: same_value(ty), inside: 0 }
    }
}

/// The definitions that a type checks its own value against.
fn same_value(ty: &Type) -> Vec<&str> {
    let (mut names, mut next) = (Vec::new(), vec![ty]);
    while let Some(ty) = next.pop() {
        match &ty.kind {
            Kind::Ref(name) => names.push(name.as_str()),
            Kind::Union(union) => next.extend(&union.members),
            Kind::Schema(given) => {
                next.extend(given.all_of.iter().chain(&given.any_of).chain(&given.one_of));
                next.extend(given.not.as_deref());
                next.extend(given.object.dependent.iter().map(|(_, ty)| ty));
                if let Some(parts) = given.condition.as_deref() {
                    next.push(&parts.condition);
                    next.extend(parts.then.iter().chain(&parts.otherwise));
                }
            }
            _ => {}
        }
    }
    names
}
