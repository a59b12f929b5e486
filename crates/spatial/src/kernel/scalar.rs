use super::{LANES, Lanes, Simd};

/// Plain loops, vectorized by the compiler as far as the target goes.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Lanes {
    let mut lanes = [0.0; LANES];
    for (lane, value) in lanes.iter_mut().enumerate() {
        *value = f(lane);
    }
    lanes
}

impl Simd for Scalar {
    type F = Lanes;

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, lanes: &Lanes) -> Lanes {
        *lanes
    }

    #[inline(always)]
    fn store(self, value: Lanes, lanes: &mut Lanes) {
        *lanes = value;
    }

    #[inline(always)]
    fn stream(self, value: Lanes, lanes: &mut Lanes) {
        *lanes = value;
    }

    #[inline(always)]
    fn fence(self) {}

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn abs(self, a: Lanes) -> Lanes {
        each(|i| a[i].abs())
    }

    #[inline(always)]
    fn sqrt(self, a: Lanes) -> Lanes {
        each(|i| a[i].sqrt())
    }

    #[inline(always)]
    fn le(self, a: Lanes, b: Lanes) -> u16 {
        let mut mask = 0;
        for i in 0..LANES {
            mask |= u16::from(a[i] <= b[i]) << i;
        }
        mask
    }

    #[inline(always)]
    fn select(self, mask: u16, a: Lanes, b: Lanes) -> Lanes {
        each(|i| if mask >> i & 1 == 1 { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn least(self, a: Lanes) -> f32 {
        a.into_iter().fold(f32::INFINITY, |least, x| if x < least { x } else { least })
    }

    #[inline(always)]
    fn shift_up(self, a: Lanes) -> Lanes {
        each(|i| a[i.saturating_sub(1)])
    }

    #[inline(always)]
    fn columns(self, rows: &[[f32; 8]; LANES]) -> [Lanes; 8] {
        let mut columns = [[0.0; LANES]; 8];
        for (axis, column) in columns.iter_mut().enumerate() {
            *column = each(|lane| rows[lane][axis]);
        }
        columns
    }

    #[inline(always)]
    fn prefetch<T>(self, _value: &T) {}
}
