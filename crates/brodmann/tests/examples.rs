//! The examples run: they are what a newcomer copies.

#[path = "../examples/leiden_from_arrays.rs"]
mod leiden_from_arrays;
#[path = "../examples/mixture_from_arrays.rs"]
mod mixture_from_arrays;
#[path = "../examples/smoothed_pca_from_arrays.rs"]
mod smoothed_pca_from_arrays;
#[path = "../examples/smoothed_pca_from_file.rs"]
mod smoothed_pca_from_file;
#[path = "../examples/spami_from_arrays.rs"]
mod spami_from_arrays;
#[path = "../examples/spami_from_file.rs"]
mod spami_from_file;
#[path = "../examples/spatialleiden_from_arrays.rs"]
mod spatialleiden_from_arrays;
#[path = "../examples/spatialleiden_from_file.rs"]
mod spatialleiden_from_file;
#[path = "../examples/staig_from_arrays.rs"]
mod staig_from_arrays;
#[path = "../examples/staig_from_file.rs"]
mod staig_from_file;

#[test]
fn leiden_from_arrays_runs() {
    leiden_from_arrays::main().expect("the example runs");
}

#[test]
fn mixture_from_arrays_runs() {
    mixture_from_arrays::main().expect("the example runs");
}

#[test]
fn smoothed_pca_from_arrays_runs() {
    smoothed_pca_from_arrays::main().expect("the example runs");
}

#[test]
fn smoothed_pca_from_file_runs() {
    smoothed_pca_from_file::main().expect("the example runs");
}

#[test]
fn spami_from_arrays_runs() {
    spami_from_arrays::main().expect("the example runs");
}

#[test]
fn spami_from_file_runs() {
    spami_from_file::main().expect("the example runs");
}

#[test]
fn spatialleiden_from_arrays_runs() {
    spatialleiden_from_arrays::main().expect("the example runs");
}

#[test]
fn spatialleiden_from_file_runs() {
    spatialleiden_from_file::main().expect("the example runs");
}

#[test]
fn staig_from_arrays_runs() {
    staig_from_arrays::main().expect("the example runs");
}

#[test]
fn staig_from_file_runs() {
    staig_from_file::main().expect("the example runs");
}
