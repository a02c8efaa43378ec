//! `cargo bench --bench records`: see `vigo_bench::records`.

fn main() -> std::process::ExitCode {
    vigo_bench::main(vigo_bench::records::figures)
}
