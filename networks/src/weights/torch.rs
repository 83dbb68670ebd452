//! Files that `torch.save` writes since version 1.6: a zip archive of a pickle and one entry per storage.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Element, PickleError, TensorRecord};
use crate::error::WeightsError;
use crate::state::StateDict;

const EXPECTED: &str = "a state dict that torch.save wrote";
/// A pickle of names and shapes: that of ResNet-152 has 100 kB.
const MOST_PICKLE: u64 = 64 << 20;

/// The floating-point tensors of an archive.
///
/// # Errors
/// [`WeightsError`]; never a panic, whatever the file holds.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<StateDict, WeightsError> {
    let unreadable =
        |detail: String| WeightsError::Unreadable { path: path.to_path_buf(), detail, expected: EXPECTED };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| unreadable(e.to_string()))?;
    let Some(name) = archive.file_names().find(|n| n.ends_with("data.pkl")).map(str::to_owned) else {
        return Err(unreadable("it is an archive without data.pkl".to_owned()));
    };
    let folder = name.trim_end_matches("data.pkl").to_owned();
    // Nothing is inflated: what an entry takes in memory is then no more than it takes in the file.
    let mut entry = |name: &str, most: u64| -> Result<Vec<u8>, WeightsError> {
        let mut entry =
            archive.by_name(name).map_err(|_| unreadable(format!("it lacks the entry {name}")))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(unreadable(format!("its entry {name} is compressed")));
        }
        if entry.size() > most {
            return Err(unreadable(format!("its entry {name} has {} bytes", entry.size())));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| unreadable(format!("its entry {name}: {e}")))?;
        Ok(content)
    };
    let order = format!("{folder}byteorder");
    if let Ok(order) = entry(&order, 64)
        && order != b"little"
    {
        return Err(unreadable("its numbers are big-endian".to_owned()));
    }
    let records = pickle::state_dict(&entry(&name, MOST_PICKLE)?).map_err(|error| match error {
        PickleError::Calls(call) => WeightsError::Calls { path: path.to_path_buf(), call },
        PickleError::Damaged(detail) => unreadable(format!("its pickle: {detail}")),
    })?;
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    let mut state = StateDict::new();
    for (name, record) in records {
        if matches!(record.storage.element, Element::Whole(_)) {
            continue;
        }
        let key = record.storage.key.to_string();
        if !storages.contains_key(&key) {
            storages.insert(key.clone(), entry(&format!("{folder}data/{key}"), bytes.len() as u64)?);
        }
        let values = window(&record, &storages[&key]).ok_or_else(|| {
            let found = storages[&key].len();
            unreadable(format!("{name} has the shape {:?} and {found} bytes", record.shape))
        })?;
        state.insert(name, values);
    }
    Ok(state)
}

/// The numbers of a tensor; `None` where they lie beyond its storage.
fn window(record: &TensorRecord, bytes: &[u8]) -> Option<ArrayD<f32>> {
    let size = record.storage.element.size();
    let available = bytes.len() / size;
    let len = record.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    // A stride of 0 would make much of little.
    if record.storage.len != available || len > available || record.shape.len() != record.strides.len() {
        return None;
    }
    let array = |values: Vec<f32>| ArrayD::from_shape_vec(IxDyn(&record.shape), values).ok();
    if len == 0 {
        return array(Vec::new());
    }
    let reach = record
        .shape
        .iter()
        .zip(&record.strides)
        .try_fold(record.offset, |end, (d, s)| end.checked_add((d - 1).checked_mul(*s)?))?;
    if reach >= available {
        return None;
    }
    let number = |at: usize| super::number(record.storage.element, &bytes[at * size..(at + 1) * size]);
    let mut index = vec![0usize; record.shape.len()];
    let mut values = Vec::with_capacity(len);
    for _ in 0..len {
        let at: usize = index.iter().zip(&record.strides).map(|(i, s)| i * s).sum();
        values.push(number(record.offset + at));
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < record.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    array(values)
}
