//! Weights as safetensors, under their Hugging Face names.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::table::Table;
use crate::{Error, Result};

/// The parameters as a safetensors file in f32. A tied head is not stored twice.
pub fn to_safetensors(table: &Table, values: &[f32]) -> Result<Vec<u8>> {
    let bad = |cause: safetensors::SafeTensorError| {
        Error::data(format!("the weights have no safetensors form: {cause}"))
    };
    let mut views = Vec::with_capacity(table.tensors.len());
    for tensor in &table.tensors {
        let data = bytemuck::cast_slice(&values[tensor.range.clone()]);
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), data).map_err(bad)?;
        views.push((tensor.name.clone(), view));
    }
    // `format = pt` is what Hugging Face readers ask for.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata.into_iter().collect())).map_err(bad)
}

/// Reads parameters from a safetensors file into `values`: every tensor of the table must be
/// there with its shape. f32, bf16 and f16 are accepted; tensors that the table does not know are
/// an error, because a silently ignored tensor is a wrong model.
pub fn from_safetensors(table: &Table, file: &[u8], values: &mut [f32]) -> Result<()> {
    let tensors = SafeTensors::deserialize(file)
        .map_err(|cause| Error::data(format!("not a safetensors file: {cause}")))?;
    for tensor in &table.tensors {
        let view = tensors
            .tensor(&tensor.name)
            .map_err(|_| Error::data(format!("tensor `{}` is missing", tensor.name)))?;
        if view.shape() != tensor.shape {
            return Err(Error::data(format!(
                "tensor `{}` has shape {:?}, the model needs {:?}",
                tensor.name,
                view.shape(),
                tensor.shape
            )));
        }
        read_numbers(&view, &mut values[tensor.range.clone()])
            .map_err(|error| error.within(format!("tensor `{}`", tensor.name)))?;
    }
    let known = |name: &str| table.tensors.iter().any(|tensor| tensor.name == name);
    match tensors.names().into_iter().find(|name| !known(name)) {
        Some(name) => Err(Error::data(format!("the model has no tensor `{name}`"))),
        None => Ok(()),
    }
}

fn read_numbers(view: &TensorView<'_>, values: &mut [f32]) -> Result<()> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => bytemuck::cast_slice_mut(values).copy_from_slice(data),
        Dtype::BF16 => {
            for (value, b) in values.iter_mut().zip(data.chunks_exact(2)) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
            }
        }
        Dtype::F16 => {
            for (value, b) in values.iter_mut().zip(data.chunks_exact(2)) {
                *value = half_to_f32(u16::from_le_bytes([b[0], b[1]]));
            }
        }
        other => {
            return Err(Error::data(format!("{other:?} numbers cannot be read"))
                .hint("convert the file to F32, BF16 or F16"));
        }
    }
    Ok(())
}

/// The number in the bits of IEEE half precision, subnormals included.
#[must_use]
pub fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        31 if fraction > 0.0 => f32::NAN,
        31 => sign * f32::INFINITY,
        _ => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use scarce_engine::isa::{Isa, Kernels, Precision};
    use scarce_engine::pool::Pool;

    use super::*;
    use crate::spec::preset;

    fn table() -> (Table, Vec<f32>) {
        let spec = preset::find("pocket-150k").unwrap().model(64);
        let table = Table::new(&spec);
        let mut values = vec![0.0; table.parameters()];
        let kernels = Kernels::new(Isa::Portable, Precision::F32);
        table.initialize((kernels, &Pool::new(1)), (&spec, 3), &mut values);
        (table, values)
    }

    #[test]
    fn weights_survive_the_file() {
        let (table, values) = table();
        let file = to_safetensors(&table, &values).unwrap();
        let mut back = vec![0.0; values.len()];
        from_safetensors(&table, &file, &mut back).unwrap();
        assert_eq!(back, values);
    }

    #[test]
    fn damaged_and_foreign_files_are_errors() {
        let (table, values) = table();
        let file = to_safetensors(&table, &values).unwrap();
        let mut back = vec![0.0; values.len()];
        for cut in [0, 7, 8, 100, file.len() - 1] {
            assert!(from_safetensors(&table, &file[..cut], &mut back).is_err());
        }
        let other = Table::new(&preset::find("pocket-330k").unwrap().model(64));
        let mut back = vec![0.0; other.parameters()];
        let error = from_safetensors(&other, &file, &mut back).unwrap_err().to_string();
        assert!(error.contains("`model.embed_tokens.weight` has shape [64, 64]"), "{error}");
    }

    #[test]
    fn halves_are_read() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0)]
        {
            assert_eq!(half_to_f32(bits).to_bits(), f32::to_bits(value));
        }
        assert!(half_to_f32(0x7e00).is_nan() && half_to_f32(0x7c00).is_infinite());
    }
}
