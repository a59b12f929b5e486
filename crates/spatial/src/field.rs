//! Influence, its gradient, and density.

use bytemuck::Zeroable;
use ndarray::ArrayView2;
use ottava_core::batch::rows;

use crate::batch::Visit;
use crate::error::Error;
use crate::forest::Forest;
use crate::grid::TokenGrid;
use crate::kernel::{self, Block, LANES, Lanes, Op, Simd};
use crate::metric::{Keys, Measure, Norm, with_keys};
use crate::query::Query;
use crate::tree::{NO_SLOT, Probe, Slots, leaf_keys};

/// How strength falls with the distance `u` as a fraction of the radius; 0 beyond it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Falloff {
    /// `1 - u`
    #[default]
    Linear,
    /// `1 - u^2`
    Quadratic,
    /// `exp(-u^2 / (2 (1/3)^2))`: three standard deviations at the radius.
    Gaussian,
}

impl Falloff {
    /// The value at a distance, for a radius that may be 0 or infinite.
    pub fn at(self, distance: f32, radius: f32) -> f64 {
        if distance > radius {
            return 0.0;
        }
        let u = fraction(distance, radius);
        match self {
            Self::Linear => 1.0 - u,
            Self::Quadratic => 1.0 - u * u,
            Self::Gaussian => (-4.5 * u * u).exp(),
        }
    }

    /// [`Falloff::at`] for distances none of which is beyond the radius.
    pub(crate) fn fill(self, distances: &[f32], radius: f32, out: &mut [f32]) {
        fn each(distances: &[f32], radius: f32, out: &mut [f32], f: impl Fn(f64) -> f64) {
            for (out, &distance) in out.iter_mut().zip(distances) {
                *out = f(fraction(distance, radius)) as f32;
            }
        }
        match self {
            Self::Linear => each(distances, radius, out, |u| 1.0 - u),
            Self::Quadratic => each(distances, radius, out, |u| 1.0 - u * u),
            Self::Gaussian => each(distances, radius, out, |u| (-4.5 * u * u).exp()),
        }
    }

    /// The derivative in `u`.
    fn slope(self, distance: f32, radius: f32) -> f64 {
        let u = fraction(distance, radius);
        match self {
            Self::Linear => -1.0,
            Self::Quadratic => -2.0 * u,
            Self::Gaussian => -9.0 * u * (-4.5 * u * u).exp(),
        }
    }
}

fn fraction(distance: f32, radius: f32) -> f64 {
    if distance == 0.0 { 0.0 } else { f64::from(distance) / f64::from(radius) }
}

impl TokenGrid {
    /// The influence at points of shape (n, 8): the sum over the tokens whose field reaches the point,
    /// of weight times field strength times the falloff at the distance over the field radius.
    /// Shape (n,). A sum does not depend on how the tokens came into the grid.
    ///
    /// # Errors
    /// [`Error::Core`] or [`Error::Scaled`] for bad points, naming the row.
    pub fn influence(
        &self,
        points: ArrayView2<'_, f32>,
        falloff: Falloff,
    ) -> Result<Vec<f32>, Error> {
        self.at_sources(points, |_, sources| {
            let term = |&(slot, distance): &(u32, f32)| {
                self.source(slot) * falloff.at(distance, self.store.field(slot).radius)
            };
            // An empty `sum` is -0.
            sources.iter().map(term).fold(0.0, |sum, value| sum + value) as f32
        })
    }

    /// The gradient of [`TokenGrid::influence`] in the coordinates of the points, shape (n, 8). At the
    /// place of a token, where a linear field has a kink, that token adds 0.
    ///
    /// # Errors
    /// As [`TokenGrid::influence`].
    pub fn influence_gradient(
        &self,
        points: ArrayView2<'_, f32>,
        falloff: Falloff,
    ) -> Result<Vec<[f32; 8]>, Error> {
        self.at_sources(points, |point, sources| {
            let mut sum = [0.0_f64; 8];
            for &(slot, distance) in sources {
                let radius = self.store.field(slot).radius;
                let rate = self.source(slot) * falloff.slope(distance, radius) / f64::from(radius);
                let away = direction(&self.measure, point, &self.measured_slot(slot), distance);
                for axis in 0..8 {
                    sum[axis] += rate * away[axis];
                }
            }
            let whitening = self.options.metric.whitening();
            whitening.map_or(sum, |whitening| whitening.pull_back(&sum)).map(|x| x as f32)
        })
    }

    /// The density at points of shape (n, 8): tokens within `radius`, which is positive, over the
    /// volume of the ball, in scaled coordinates along the axes measured. Shape (n,).
    ///
    /// The Euclidean volume in m axes is `pi^(m/2) / gamma(m/2 + 1) * r^m`: `pi^4 / 24 * r^8` in eight.
    ///
    /// # Errors
    /// [`Error::Radius`] unless the radius is positive and finite, and large enough for densities
    /// that are finite: `r^8` is 0 below about 1e-40. Otherwise as [`TokenGrid::count_within_batch`].
    pub fn density(
        &self,
        points: ArrayView2<'_, f32>,
        radius: f32,
        query: &Query<'_>,
    ) -> Result<Vec<f64>, Error> {
        if !(radius > 0.0 && radius.is_finite()) {
            return Err(Error::Radius { radius });
        }
        let volume = volume(&self.plan(query)?.measure, radius);
        if !(self.len().max(1) as f64 / volume).is_finite() {
            return Err(Error::Radius { radius });
        }
        let counts = self.count_within_batch(points, radius, query)?;
        Ok(counts.into_iter().map(|count| count as f64 / volume).collect())
    }

    /// Calls `answer` for every point with the slots that have influence on it and their distances,
    /// by id, in parallel.
    fn at_sources<T: Copy + Zeroable + Send + Sync>(
        &self,
        points: ArrayView2<'_, f32>,
        answer: impl Fn(&[f32; 8], &[(u32, f32)]) -> T + Sync + Send,
    ) -> Result<Vec<T>, Error> {
        let rows = rows(points)?;
        let positions = rows.iter().enumerate().map(|(row, point)| self.probe(row, point));
        let visit = Visit::new(positions.collect::<Result<_, _>>()?);
        let parts = visit.chunks(None, |range| {
            let mut sources = Vec::new();
            let at = |step| {
                let point = visit.position(step);
                sources.clear();
                with_keys!(self.measure, K => kernel::run(kernel::current(), Sources::<K> {
                    forest: &self.forest,
                    point,
                    measure: &self.measure,
                    found: &mut sources,
                    keys: std::marker::PhantomData,
                }));
                sources.retain(|&(slot, _)| self.store.is_alive(slot));
                sources.sort_unstable_by_key(|&(slot, _)| self.store.id(slot));
                answer(point, &sources)
            };
            Ok(range.map(at).collect::<Vec<_>>())
        })?;
        self.intact()?;
        visit.restore(parts.concat(), 1)
    }

    fn source(&self, slot: u32) -> f64 {
        f64::from(self.store.weight(slot)) * f64::from(self.store.field(slot).strength)
    }
}

/// The gradient of the distance from `q` in `p`; 0 where they are at the same place.
fn direction(measure: &Measure, p: &[f32; 8], q: &[f32; 8], distance: f32) -> [f64; 8] {
    let scales = measure.scales.map(f64::from);
    let d: [f64; 8] = std::array::from_fn(|a| scales[a] * (f64::from(p[a]) - f64::from(q[a])));
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    match measure.norm {
        _ if distance == 0.0 => [0.0; 8],
        Norm::Two if measure.root => {
            let length = d.iter().map(|d| d * d).sum::<f64>().sqrt();
            std::array::from_fn(|a| scales[a] * d[a] / length)
        }
        Norm::Two => std::array::from_fn(|a| 2.0 * scales[a] * d[a]),
        Norm::One => std::array::from_fn(|a| scales[a] * sign(d[a])),
        Norm::Max => {
            let largest = d.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
            let first = d.iter().position(|d| d.abs() == largest);
            std::array::from_fn(|a| if Some(a) == first { scales[a] * sign(d[a]) } else { 0.0 })
        }
    }
}

/// The volume of a ball in the axes that have a scale.
fn volume(measure: &Measure, radius: f32) -> f64 {
    let axes = measure.scales.iter().filter(|&&scale| scale != 0.0).count() as i32;
    let radius = f64::from(radius);
    let factorial = || (1..=axes).map(f64::from).product::<f64>();
    match measure.norm {
        Norm::Two => {
            // gamma(m/2 + 1) by its recurrence, from gamma(1) = 1 or gamma(1/2) = sqrt(pi).
            let half = f64::from(axes) / 2.0;
            let start = if axes % 2 == 0 { 1.0 } else { std::f64::consts::PI.sqrt() };
            let steps = (0..).map(|i| half - f64::from(i)).take_while(|&x| x > 0.0);
            let gamma = start * steps.product::<f64>();
            let power = if measure.root { radius.powi(axes) } else { radius.powf(half) };
            std::f64::consts::PI.powf(half) / gamma * power
        }
        Norm::One => (2.0 * radius).powi(axes) / factorial(),
        Norm::Max => (2.0 * radius).powi(axes),
    }
}

/// Finds the points whose field reaches a point.
struct Sources<'a, K> {
    forest: &'a Forest,
    point: &'a [f32; 8],
    measure: &'a Measure,
    found: &'a mut Vec<(u32, f32)>,
    keys: std::marker::PhantomData<K>,
}

impl<K: Keys> Op for Sources<'_, K> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let probe = Probe::new(simd, self.point, &self.measure.scales);
        let root = self.measure.root;
        for tree in self.forest.trees() {
            tree.reaching::<S, K>(simd, &probe, root, &mut |block, slots, radii| {
                leaf::<S, K>(simd, &probe, root, block, slots, radii, self.found);
            });
        }
        let buffer = self.forest.buffer();
        for ((block, slots), radii) in buffer.blocks().zip(buffer.radii()) {
            if radii.iter().any(|&radius| radius > 0.0) {
                let mut lanes = [0.0; LANES];
                lanes[..radii.len()].copy_from_slice(radii);
                leaf::<S, K>(simd, &probe, root, block, slots, &lanes, self.found);
            }
        }
    }
}

#[inline(always)]
fn leaf<S: Simd, K: Keys>(
    simd: S,
    probe: &Probe<S>,
    root: bool,
    block: &Block,
    slots: &Slots,
    radii: &Lanes,
    found: &mut Vec<(u32, f32)>,
) {
    let keys = leaf_keys::<S, K>(simd, probe, block);
    let distances = if root { simd.sqrt(keys) } else { keys };
    let mut mask = simd.le(distances, simd.load(radii));
    if mask == 0 {
        return;
    }
    let mut lanes = [0.0; LANES];
    simd.store(distances, &mut lanes);
    while mask != 0 {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        if radii[lane] > 0.0 && slots[lane] != NO_SLOT {
            found.push((slots[lane], lanes[lane]));
        }
    }
}
