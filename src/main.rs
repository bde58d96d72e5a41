//! The `scarce` command: everything it does is in the library.

fn main() -> std::process::ExitCode {
    scarce::cli::main()
}
