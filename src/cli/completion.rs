//! `tidewaiter completion SHELL`.

use clap::CommandFactory;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewaiter completion bash > /etc/bash_completion.d/tidewaiter
  tidewaiter completion zsh > \"${fpath[1]}/_tidewaiter\"
  tidewaiter completion fish > ~/.config/fish/completions/tidewaiter.fish")]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The shells we ship completion for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "tidewaiter", &mut script);
    anstream::print!("{}", String::from_utf8_lossy(&script));
    Ok(0)
}
