//! The section `options`: what is not an array.

use ottava_core::{AxisNames, AxisSet, Scales};

use crate::grid::GridOptions;
use crate::metric::Metric;
use crate::whitening::Whitening;

/// The contents of the section.
pub(crate) struct Scalars {
    pub(crate) options: GridOptions,
    pub(crate) cell_size: f32,
    pub(crate) extent: [f32; 8],
    pub(crate) bounds: [[f32; 8]; 2],
    pub(crate) len: u64,
}

impl Scalars {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.len.to_le_bytes());
        let floats = [self.cell_size, self.options.cell_size.unwrap_or(0.0)];
        let scales = self.options.scales.factors();
        for value in
            floats.iter().chain(scales).chain(&self.extent).chain(self.bounds.as_flattened())
        {
            out.extend(value.to_le_bytes());
        }
        out.push(self.options.axes.iter().fold(0, |bits, axis| bits | 1 << axis));
        let (kind, numbers) = match &self.options.metric {
            Metric::Euclidean => (0, Vec::new()),
            Metric::SquaredEuclidean => (1, Vec::new()),
            Metric::Manhattan => (2, Vec::new()),
            Metric::Chebyshev => (3, Vec::new()),
            Metric::Mahalanobis(whitening) => (4, whitening.to_numbers()),
        };
        out.push(kind);
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        for name in self.options.names.iter() {
            out.extend((name.len() as u32).to_le_bytes());
            out.extend(name.as_bytes());
        }
        out
    }

    /// `None` if the bytes are not what [`Scalars::encode`] writes.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let len = u64::from_le_bytes(take(from)?);
        let cell_size = float(from)?;
        let chosen = float(from)?;
        let mut floats = || (0..8).map(|_| float(from)).collect::<Option<Vec<f32>>>();
        let scales: [f32; 8] = floats()?.try_into().ok()?;
        let extent = floats()?.try_into().ok()?;
        let bounds = [floats()?.try_into().ok()?, floats()?.try_into().ok()?];
        let [axes, kind] = take(from)?;
        let axes: Vec<usize> = (0..8).filter(|axis| axes >> axis & 1 == 1).collect();
        let metric = match kind {
            0 => Metric::Euclidean,
            1 => Metric::SquaredEuclidean,
            2 => Metric::Manhattan,
            3 => Metric::Chebyshev,
            4 => {
                let numbers = (0..72).map(|_| Some(f64::from_le_bytes(take(from)?)));
                Metric::Mahalanobis(Whitening::from_numbers(&numbers.collect::<Option<Vec<_>>>()?)?)
            }
            _ => return None,
        };
        let mut names = Vec::new();
        for _ in 0..8 {
            let len = u32::from_le_bytes(take(from)?) as usize;
            let (name, rest) = from.split_at_checked(len)?;
            names.push(std::str::from_utf8(name).ok()?);
            *from = rest;
        }
        let options = GridOptions {
            cell_size: (chosen != 0.0).then_some(chosen),
            names: AxisNames::new(<[&str; 8]>::try_from(names).ok()?).ok()?,
            scales: Scales::new(scales).ok()?,
            axes: AxisSet::new(&axes).ok()?,
            metric,
        };
        let usable = from.is_empty() && cell_size.is_finite() && cell_size > 0.0;
        usable.then_some(Self { options, cell_size, extent, bounds, len })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

fn float(from: &mut &[u8]) -> Option<f32> {
    Some(f32::from_le_bytes(take(from)?))
}
