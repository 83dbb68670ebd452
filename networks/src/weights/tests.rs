use std::io::Cursor;

use brodmann_kernels::Diagnosis;
use brodmann_kernels::proofread::flaw;
use ndarray::array;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::*;
use crate::oracle::Folder;
use crate::state::Role;

/// Files that PyTorch wrote (see `tests/oracles/README.md`).
fn torch_file(name: &str) -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torch")).join(name)
}

fn slot(name: &str, shape: &[usize]) -> Slot {
    Slot { name: name.to_owned(), shape: shape.to_vec(), role: Role::Weight }
}

fn refused(path: &Path) -> WeightsError {
    let error = read_weights(path).expect_err("refused");
    assert_eq!(flaw(&error), None, "{error}");
    assert!(error.advice().is_some() && error.path().is_some());
    error
}

#[test]
fn a_state_dict_of_pytorch_reads_in_every_type_and_layout() {
    for name in ["state_dict.pth", "checkpoint.pth"] {
        let (state, card) = read_weights(&torch_file(name)).expect("readable");
        assert_eq!(card, Json::Null);
        let names: Vec<&str> = state.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["a.weight", "b.double", "c.half", "d.bfloat16", "e.transposed", "f.window", "g.scalar"]
        );
        assert_eq!(state["a.weight"], array![[0.5f32, -1.25, 3.0], [1e-30, 2.0, -7.5]].into_dyn());
        assert_eq!(state["b.double"], array![0.1f32, -2.0].into_dyn());
        assert_eq!(state["c.half"], array![1.5f32, -0.000_061_035_156, 65504.0, 5.960_464_5e-8].into_dyn());
        assert_eq!(state["d.bfloat16"], array![1.0f32, -3.140_625].into_dyn());
        assert_eq!(state["e.transposed"], array![[0.5f32, 1e-30], [-1.25, 2.0], [3.0, -7.5]].into_dyn());
        assert_eq!(state["f.window"], array![-1.25f32, 3.0].into_dyn());
        assert_eq!(state["g.scalar"], ndarray::arr0(4.0f32).into_dyn());
    }
}

#[test]
fn safetensors_of_pytorch_reads_in_every_type() {
    let (state, _) = read_weights(&torch_file("state_dict.safetensors")).expect("readable");
    let (other, _) = read_weights(&torch_file("state_dict.pth")).expect("readable");
    assert_eq!(state, other);
}

#[test]
fn old_files_and_files_that_run_something_are_refused() {
    assert!(matches!(refused(&torch_file("legacy.pth")), WeightsError::Legacy { .. }));
    let WeightsError::Calls { call, .. } = refused(&torch_file("whole_module.pth")) else {
        panic!("other error")
    };
    assert!(call.contains("torch.nn.modules"), "{call}");
}

#[test]
fn damaged_files_are_refused_wherever_they_are_cut_or_changed() {
    let folder = Folder::new("weights-1");
    let path = folder.path().join("a.pth");
    for name in ["state_dict.pth", "state_dict.safetensors"] {
        let whole = std::fs::read(torch_file(name)).expect("a file");
        for cut in (0..whole.len() - 1).step_by(23) {
            std::fs::write(&path, &whole[..cut]).expect("written");
            refused(&path);
        }
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x15;
            std::fs::write(&path, &bytes).expect("written");
            if let Err(error) = read_weights(&path) {
                assert_eq!(flaw(&error), None, "{error}");
            }
        }
    }
    refused(&folder.path().join("none"));
}

/// An archive as PyTorch writes it, of this pickle and eight bytes of numbers.
fn archive(path: &Path, pickle: &[u8]) {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("a/data.pkl", pickle), ("a/data/0", &[0u8; 8])] {
        zip.start_file(name, options).expect("an entry");
        zip.write_all(content).expect("written");
    }
    std::fs::write(path, zip.finish().expect("an archive").into_inner()).expect("written");
}

/// `{"w": tensor(len numbers, offset, shape, stride)}` as a pickle.
fn one_tensor(len: u8, offset: u8, shape: u8, stride: u8) -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
    pickle.extend(b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK");
    pickle.push(len);
    pickle.extend([b't', b'Q', b'K', offset, b'K', shape, 0x85, b'K', stride, 0x85]);
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    pickle
}

#[test]
fn a_tensor_beyond_its_storage_is_refused() {
    let folder = Folder::new("weights-2");
    let path = folder.path().join("a.pth");
    archive(&path, &one_tensor(2, 0, 2, 1));
    assert_eq!(read_weights(&path).expect("readable").0["w"], array![0f32, 0.0].into_dyn());
    for (len, offset, shape, stride) in
        [(2, 1, 2, 1), (2, 0, 3, 1), (2, 0, 2, 2), (3, 0, 2, 1), (2, 0, 200, 0)]
    {
        archive(&path, &one_tensor(len, offset, shape, stride));
        assert!(refused(&path).to_string().contains("8 bytes"));
    }
}

#[test]
fn weights_of_another_network_are_refused_by_the_name_of_a_tensor() {
    let slots = [slot("a", &[2, 3]), slot("b", &[1]), slot("c", &[1])];
    let fit = |state: StateDict| fit_to(&slots, state, "tensors of a test", Path::new("x.pth"));
    let one = || ArrayD::<f32>::zeros(IxDyn(&[1]));
    let whole: StateDict =
        [("a".to_owned(), ArrayD::zeros(IxDyn(&[2, 3]))), ("b".to_owned(), one()), ("c".to_owned(), one())]
            .into();
    let mut with_classifier = whole.clone();
    with_classifier.insert("fc.weight".to_owned(), one());
    assert_eq!(fit(with_classifier).expect("fits"), whole);

    let said = |error: WeightsError| {
        assert_eq!(flaw(&error), None, "{error}");
        error.to_string()
    };
    let mut other = whole.clone();
    other.insert("a".to_owned(), ArrayD::zeros(IxDyn(&[3, 2])));
    assert_eq!(said(fit(other).expect_err("refused")), "x.pth holds \"a\" of shape [3, 2]; expected [2, 3]");
    let mut lacking = whole.clone();
    lacking.remove("b");
    lacking.insert("head.weight".to_owned(), one());
    let message = said(fit(lacking).expect_err("refused"));
    assert!(message.contains("(b)") && message.contains("(head.weight)"), "{message}");
    let mut infinite = whole;
    infinite.insert("c".to_owned(), array![f32::INFINITY].into_dyn());
    assert!(said(fit(infinite).expect_err("refused")).contains("\"c\""));
}

#[test]
fn linear_layers_are_drawn_within_the_bounds_of_pytorch() {
    let mut slots = vec![slot("l.weight", &[50, 16]), Slot { role: Role::Bias, ..slot("l.bias", &[50]) }];
    crate::state::push_norm(&mut slots, "n", 4);
    let state = draw(&slots, "test", brodmann_kernels::Seed(1));
    let largest = |name: &str| state[name].iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!((0.24..0.25).contains(&largest("l.weight")) && (0.2..0.25).contains(&largest("l.bias")));
    assert!(state["n.weight"].iter().all(|v| *v == 1.0) && state["n.running_mean"].iter().all(|v| *v == 0.0));
}
