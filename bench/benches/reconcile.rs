//! `cargo bench --bench reconcile`: see `vigo_bench::reconcile`.

fn main() -> std::process::ExitCode {
    vigo_bench::main(vigo_bench::reconcile::figures)
}
