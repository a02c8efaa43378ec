//! `cargo bench --bench exchange`: see `vigo_bench::exchange`.

fn main() -> std::process::ExitCode {
    vigo_bench::main(vigo_bench::exchange::figures)
}
