//! What can be typed.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::keys::{ConfigKey, DefaultValue, KEYS};
use crate::config::kinds::{LEVELS, ValueKind};

/// Sandboxes for AI agents on your own machine: one program, one URL, one key.
#[derive(Debug, Parser)]
#[command(name = "harbor", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 110)]
pub(super) struct Arguments {
    /// Directory with everything of this installation
    #[arg(
        help = "Directory with everything of this installation [env: HARBOR_DATA_DIR]",
        long,
        global = true,
        value_name = "PATH"
    )]
    pub(super) data_dir: Option<PathBuf>,

    /// Configuration file
    #[arg(
        help = "Configuration file [env: HARBOR_CONFIG; default: config.toml in the data directory]",
        long,
        global = true,
        value_name = "PATH"
    )]
    pub(super) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  harbor up                       start, wait until ready, print URL and key
  eval \"$(harbor env)\"            point the Daytona SDKs and CLI at it
  harbor config get daytona.admin_api_key
  harbor logs -n 50 daytona-runner
  harbor doctor                   what is wrong, and what to do about it";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start harbor in the background and wait until it is ready
    #[command(
        after_help = "Examples:\n  harbor up\n  harbor up daytona --open\n  harbor up --foreground --host-port 36000\n\nRunning it again prints the same and changes nothing. Values that flags give are kept in config.toml."
    )]
    Up(Up),
    /// Stop harbor; sandboxes keep running and are taken over at the next start
    #[command(after_help = "Example:\n  harbor down")]
    Down(Down),
    /// List the components and where they listen
    #[command(after_help = "Example:\n  harbor ps | grep daytona-proxy")]
    Ps {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Components to list; all unless given
        #[arg(value_name = "HANDLE")]
        handles: Vec<String>,
    },
    /// Show the last log lines; with -f also those to come
    #[command(
        after_help = "Examples:\n  harbor logs -f\n  harbor logs --since 10m --level warn daytona-runner\n  harbor logs --json --sandbox ID | jq ."
    )]
    Logs(Logs),
    /// Say whether harbor is ready; exit status 0 only when it is
    #[command(after_help = "Example:\n  harbor status && echo ready")]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Also tell what harbor's own loops do, and did last
        #[arg(long, conflicts_with = "json")]
        verbose: bool,
        #[arg(hide = true)]
        handles: Vec<String>,
    },
    /// Print shell commands that point SDKs and CLI at this harbor
    #[command(
        after_help = "Examples:\n  eval \"$(harbor env)\"\n  harbor env --shell fish | source\n  harbor env --shell powershell | Out-String | Invoke-Expression\n  harbor env --shell dotenv > .env"
    )]
    Env(Env),
    /// Print the URL of the API
    #[command(after_help = "Example:\n  curl \"$(harbor url)/api/health\"")]
    Url {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[arg(hide = true)]
        handles: Vec<String>,
    },
    /// Open the API's page in a browser
    #[command(after_help = "Example:\n  harbor open")]
    Open {
        #[arg(hide = true)]
        handles: Vec<String>,
    },
    /// Get the image of the default snapshot, or build it where it cannot be pulled
    #[command(after_help = "Example:\n  harbor pull")]
    Pull {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[arg(hide = true)]
        handles: Vec<String>,
    },
    /// Read and change the configuration
    #[command(subcommand)]
    Config(Config),
    /// Check this machine; every failed check comes with one remedy
    #[command(after_help = "Example:\n  harbor doctor --json")]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Accepted for scripts: checking is all it does
        #[arg(long, hide = true)]
        check: bool,
        #[arg(hide = true)]
        handles: Vec<String>,
    },
    /// Make this system trust harbor's certificates: the Python SDK needs that for local files in images
    #[command(
        after_help = "Examples:\n  harbor trust\n  harbor trust --print > harbor.crt && export NODE_EXTRA_CA_CERTS=\"$PWD/harbor.crt\"\n  harbor trust --remove\n\nWithout root it changes nothing and prints the commands that do it. The private key stays where it is."
    )]
    Trust(Trust),
    /// List, make and remove volumes
    #[command(subcommand)]
    Volume(Volume),
    /// Remove what nobody needs any more: built images, pushes, uploads
    #[command(
        after_help = "Examples:\n  harbor prune --dry-run\n  harbor prune --older-than 1d\n  harbor prune --orphans --dry-run"
    )]
    Prune(Prune),
    /// Run harbor at boot with systemd
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Remove what harbor made on this machine: sandboxes, images, data; asks first
    #[command(after_help = "Examples:\n  harbor uninstall --dry-run\n  harbor uninstall")]
    Uninstall(Uninstall),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  harbor completions bash > ~/.local/share/bash-completion/completions/harbor")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub(super) struct Up {
    /// Stay in the foreground and log to standard error, for service managers
    #[arg(long, short)]
    pub(super) foreground: bool,
    /// Open the API's page in a browser when ready
    #[arg(long, short)]
    pub(super) open: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// How long to wait until ready; making the default image may take minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub(super) wait: u64,
    /// We are the process in the background
    #[arg(long, hide = true)]
    pub(super) detached: bool,
    /// Accepted as Harbor's documents write it: `harbor up daytona`
    #[arg(value_name = "HANDLE")]
    pub(super) handles: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Down {
    /// How long to wait until it has stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) wait: u64,
    /// Accepted as Harbor's documents write it: `harbor down daytona`
    #[arg(value_name = "HANDLE")]
    pub(super) handles: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Most lines to show; 100 unless --since is given
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) tail: Option<usize>,
    /// Stay, and show lines as they come
    #[arg(long, short = 'f')]
    pub(super) follow: bool,
    /// Accepted for scripts: following is no longer the default
    #[arg(long, hide = true)]
    pub(super) no_follow: bool,
    /// Only lines from then on: 90s, 10m, 2h or 1d ago, or a time such as 2026-11-28T21:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::logs::since::since)]
    pub(super) since: Option<String>,
    /// Only lines of this importance or more
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(LEVELS))]
    pub(super) level: Option<String>,
    /// Only lines about the sandbox of this id, or of the one id that begins like this
    #[arg(long, value_name = "ID")]
    pub(super) sandbox: Option<String>,
    /// Print the lines as they are in the file, as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Components, such as daytona-runner; all unless given
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Env {
    /// For which shell; dotenv is for files that programs read
    #[arg(long, value_enum, default_value_t = VariableSyntax::Posix)]
    pub(super) shell: VariableSyntax,
    /// Print JSON
    #[arg(long, conflicts_with = "shell")]
    pub(super) json: bool,
    #[arg(hide = true)]
    pub(super) handles: Vec<String>,
}

/// How variables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum VariableSyntax {
    /// sh, bash, zsh.
    Posix,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// A `.env` file.
    Dotenv,
}

/// Run harbor at boot with systemd
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Write a systemd unit for this installation, and start it: root's at boot, a user's at login
    #[command(after_help = "Example:\n  harbor service install --dry-run")]
    Install {
        /// Print the unit, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop it and remove the unit; everything else stays
    Uninstall,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub(super) struct Uninstall {
    /// Only list what would go
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Leave the images that were made here
    #[arg(long)]
    pub(super) keep_images: bool,
    /// Print the list as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// List, make and remove volumes: directories that outlive sandboxes
#[derive(Debug, Subcommand)]
pub(super) enum Volume {
    /// List the volumes, those used last first
    #[command(after_help = "Example:\n  harbor volume ls --json")]
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a volume and print its id
    #[command(after_help = "Example:\n  harbor volume create data")]
    Create {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove volumes, with all that is in them
    #[command(after_help = "Example:\n  harbor volume rm data")]
    Rm {
        /// Names or ids
        #[arg(required = true, value_name = "VOLUME")]
        volumes: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Trust {
    /// Undo it: this system no longer trusts them
    #[arg(long)]
    pub(super) remove: bool,
    /// Print the certificate as PEM, for programs with a list of their own, and change nothing
    #[arg(long, conflicts_with_all = ["remove", "json"])]
    pub(super) print: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Only say what would be removed, and how much that would free
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// For how long nobody has needed it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = super::logs::since::span)]
    pub(super) older_than: std::time::Duration,
    /// Instead: containers and volumes of this installation that its database does not know, with all files in them
    #[arg(long, conflicts_with = "older_than")]
    pub(super) orphans: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Read and change the configuration
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print the value in force, and nothing else
    #[command(after_help = "Example:\n  harbor config get daytona.host_port")]
    Get {
        /// Dotted name or environment variable
        key: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a value in config.toml; it applies at the next start. An empty value clears
    #[command(
        after_help = "Examples:\n  harbor config set daytona.host_port 36000\n  harbor config set daytona.host_port \"\""
    )]
    Set {
        /// Dotted name or environment variable
        key: String,
        /// The value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// List the keys, their values and where these come from
    #[command(visible_alias = "list")]
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Also the keys of components that no longer exist, or do not exist yet
        #[arg(long, short)]
        all: bool,
    },
    /// Print the path of config.toml
    Path,
    /// Print the reference of all keys
    #[command(hide = true)]
    Markdown,
}

/// Adds the flags of the table of keys to the commands that use them.
pub(super) fn with_flags(command: clap::Command) -> clap::Command {
    let flags = || KEYS.iter().filter(|key| key.name != "data_dir").filter_map(flag);
    command
        .mut_subcommand("up", |up| up.args(flags()))
        .mut_subcommand("doctor", |doctor| doctor.args(flags()))
        .mut_subcommand("pull", |pull| {
            pull.args(
                flags().filter(|flag| ["docker_host", "daytona.default_snapshot"].contains(&flag.get_id().as_str())),
            )
        })
}

fn flag(key: &'static ConfigKey) -> Option<Arg> {
    let default = match key.default {
        DefaultValue::Is(value) => format!("; default: {value}"),
        DefaultValue::Unset | DefaultValue::Generated(_) | DefaultValue::DataDirectory => String::new(),
    };
    let help = StyledStr::from(format!("{} [env: {}{default}]", key.meaning.trim_end_matches('.'), key.env()));
    let arg = Arg::new(key.name)
        .long(key.flag()?)
        .value_name(key.kind.placeholder())
        .help(help)
        .help_heading("Configuration (kept in config.toml)");
    Some(match key.kind {
        ValueKind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        ValueKind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        _ => arg,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        with_flags(Arguments::command()).debug_assert();
    }
}
