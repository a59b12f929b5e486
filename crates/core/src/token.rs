//! A token: a point with an identity, a weight and a field.

use crate::point::{AXES, Point8};

/// The identity of a token, unique within its grid. [`NO_TOKEN`] is reserved.
pub type TokenId = u64;

/// The identity that no token has; it fills the places of missing neighbors.
pub const NO_TOKEN: TokenId = u64::MAX;

/// The influence that a token spreads around itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Field {
    /// How far the field reaches, in the units of the distance; 0 (the default) is no field.
    pub radius: f32,
    /// How strong it is at the token; 0 by default.
    pub strength: f32,
}

/// One record of the token space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Its identity.
    pub id: TokenId,
    /// Where it is.
    pub position: Point8,
    /// How much it counts in connections and influence; 1 by default.
    pub weight: f32,
    /// The influence around it; none by default.
    pub field: Field,
}

impl Token {
    /// A token of weight 1 without a field.
    pub const fn new(id: TokenId, position: [f32; AXES]) -> Self {
        Self {
            id,
            position: Point8(position),
            weight: 1.0,
            field: Field { radius: 0.0, strength: 0.0 },
        }
    }
}
