//! `cargo bench --bench policy`: see `vigo_bench::policy`.

fn main() -> std::process::ExitCode {
    vigo_bench::main(vigo_bench::policy::figures)
}
