//! From coordinates to the numbers of a cell.

use ottava_core::MAX_MAGNITUDE;

use super::Cell;

/// Cells from the origin, on an axis, within which a cell is found by the factors.
const NEAR: f32 = 2047.0;

/// The side of a cell, ready to divide by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side {
    size: f32,
    scales: [f32; 8],
    /// `scale / size`, rounded.
    factors: [f32; 8],
    /// No coordinate above these is found by the factors.
    limits: [f32; 8],
}

impl Side {
    /// A finite side above 0, in coordinates with these scales.
    pub(crate) fn new(size: f32, scales: &[f32; 8]) -> Self {
        let factors = scales.map(|scale| (f64::from(scale) / f64::from(size)) as f32);
        let limits = std::array::from_fn(|axis| {
            let (scale, factor) = (scales[axis], factors[axis]);
            // A subnormal factor has lost digits.
            if !factor.is_normal() || !(factor * NEAR).is_finite() {
                return if scale == 0.0 { MAX_MAGNITUDE } else { -1.0 };
            }
            (NEAR / factor).min(MAX_MAGNITUDE / scale.max(1.0)).next_down()
        });
        Self { size, scales: *scales, factors, limits }
    }

    pub(crate) fn size(&self) -> f32 {
        self.size
    }

    /// The cell of coordinates that are not too large.
    #[inline]
    pub(crate) fn cell(&self, position: &[f32; 8]) -> Cell {
        self.quick_cell(position).unwrap_or_else(|| self.divide(position))
    }

    /// `floor(scale * coordinate / size)` on each axis, kept within `i32`.
    #[inline(never)]
    fn divide(&self, position: &[f32; 8]) -> Cell {
        let mut places = [0.0; 8];
        for axis in 0..8 {
            // The product is exact: two `f32` have half the digits of an `f64` each.
            let scaled = f64::from(self.scales[axis]) * f64::from(position[axis]);
            places[axis] = scaled / f64::from(self.size);
        }
        floor(places)
    }

    /// The same by multiplication, for the usual coordinates: none if one is not finite, or many cells from the origin, or so near
    /// to an edge of a cell that the product may be rounded to the other side of it.
    #[inline(always)]
    pub(crate) fn quick_cell(&self, position: &[f32; 8]) -> Option<Cell> {
        // Added to a product, this leaves 10 binary places of it. Of a product below [`NEAR`], the rounding of the factor and its
        // own are a quarter of the last of them, and this addition's is a half.
        const PLACES: u32 = 10;
        const SHIFT: f32 = 1.5 * (1_u32 << (23 - PLACES)) as f32;
        let (mut cell, mut quick) = ([0; 8], true);
        for axis in 0..8 {
            let x = position[axis];
            let shifted = (x * self.factors[axis] + SHIFT).to_bits() as i32;
            let places = shifted.wrapping_sub(SHIFT.to_bits() as i32);
            cell[axis] = places >> PLACES;
            let edge = (places & ((1 << PLACES) - 1) == 0) & (x != 0.0);
            quick &= (x.abs() <= self.limits[axis]) & !edge;
        }
        quick.then_some(cell)
    }
}

/// `x.floor() as i32` for each, without the calls that this is where the target has no instruction for it.
#[inline(always)]
fn floor(places: [f64; 8]) -> Cell {
    // Added to a number of fewer than 32 bits, this leaves it in the lowest bits, rounded.
    const SHIFT: f64 = 1.5 * (1_u64 << 52) as f64;
    const LIMIT: f64 = (1_u64 << 31) as f64 - 1.0;
    if !places.iter().fold(true, |fits, x| fits & (x.abs() <= LIMIT)) {
        return places.map(|x| x.floor() as i32);
    }
    let mut cell = [0; 8];
    for axis in 0..8 {
        let shifted = places[axis] + SHIFT;
        let above = shifted - SHIFT > places[axis];
        cell[axis] = shifted.to_bits() as i32 - i32::from(above);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_down_as_the_standard_library() {
        let edges = [
            0.0,
            0.5,
            1.0,
            1.5,
            2.5,
            1e9,
            2_147_483_646.0,
            2_147_483_646.5,
            2_147_483_647.0,
            2_147_483_648.5,
            1e300,
            f64::INFINITY,
        ];
        let nudged = edges.iter().flat_map(|&x: &f64| [x.next_down(), x, x.next_up()]);
        for x in nudged.flat_map(|x| [x, -x]) {
            for others in [0.0, 1e300] {
                let mut places = [others; 8];
                places[3] = x;
                assert_eq!(floor(places), places.map(|x| x.floor() as i32), "{x}");
            }
        }
    }

    #[test]
    fn multiplication_rounds_as_division_or_gives_up() {
        let mut found = 0;
        for (size, scale) in [0.1_f32, 0.3, 1.0, 7.0, 1e-30, 1e18]
            .into_iter()
            .flat_map(|size| [(size, 1.0_f32), (size, 0.7), (size, 0.0)])
        {
            let side = Side::new(size, &[scale; 8]);
            let steps =
                (-500..500_i64).chain([1 << 29, (1 << 30) - 1, 1 << 30, 1 << 31, -(1 << 31)]);
            for step in steps {
                // On an edge of a cell, and beside it.
                let edge = (step as f64 * f64::from(size) / f64::from(scale.max(0.1))) as f32;
                let beside = [edge.next_down(), edge, edge.next_up(), edge + 0.4 * size];
                for x in beside.into_iter().filter(|x| x.abs() <= MAX_MAGNITUDE) {
                    let expected = f64::from(x) * f64::from(scale) / f64::from(size);
                    let expected = [expected.floor() as i32; 8];
                    assert_eq!(side.cell(&[x; 8]), expected, "{x} * {scale} by {size}");
                    if let Some(cell) = side.quick_cell(&[x; 8]) {
                        assert_eq!(cell, expected, "{x} * {scale} by {size}");
                        found += 1;
                    }
                }
            }
            for wrong in [f32::NAN, f32::INFINITY, -3e18] {
                let mut position = [0.05; 8];
                position[3] = wrong;
                assert_eq!(side.quick_cell(&position), None);
            }
        }
        assert!(found > 10_000, "{found}");
    }
}
