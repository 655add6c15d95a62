use clap::{Arg, Command, CommandFactory as _, Parser as _};

use super::*;

#[test]
fn pages_from_code() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let page = page();
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page, "docs/cli.md is not what the commands say: `make docs` writes it anew");
}

#[test]
fn a_name_that_begins_with_a_dash_is_a_name() {
    let kid = "-WQ6WHuZ5Row-Wczkqa0rvEK6Rws7etbmpbyKW4Ggr4";
    for words in
        [vec!["--emergency", kid], vec!["--emergency", kid, "--output", "json"], vec![kid, "--emergency"]]
    {
        let all = ["chartgate", "key", "rotate"].into_iter().chain(words.iter().copied());
        let parsed = format!("{:?}", Words::try_parse_from(all).unwrap().command);
        assert!(parsed.contains(kid) && parsed.contains("emergency: true"), "{words:?}: {parsed}");
    }
    assert!(
        Words::try_parse_from(["chartgate", "key", "rotate", kid]).is_err(),
        "only in an emergency is one named"
    );
    assert!(Words::try_parse_from(["chartgate", "key", "rotate", "--emergency", "--now"]).is_err());
}

#[test]
fn every_word_is_explained() {
    fn silent(command: &Command, above: &str, found: &mut Vec<String>) {
        let name = format!("{above} {}", command.get_name());
        if command.get_about().is_none() {
            found.push(name.clone());
        }
        let without = command.get_arguments().filter(|arg| arg.get_help().is_none());
        found.extend(without.map(|arg| format!("{name} {}", place(arg))));
        command.get_subcommands().for_each(|below| silent(below, &name, found));
    }
    let mut found = Vec::new();
    silent(&Words::command(), "", &mut found);
    assert!(found.is_empty(), "no help: {found:#?}");
}

fn page() -> String {
    let mut out = String::from(
        "# Commands\n\nMade from the commands' own help by `make docs`; a test fails if it is stale. Errors go to \
         standard error: what happened, which key or argument, what to do. A command exits with 0 on success, 1 on a \
         refusal or failure, 2 on wrong usage.\n\nA command that changes something speaks to the running gateway \
         through `<data_dir>/admin.sock`, so that the next request already sees the change; where no gateway runs, it \
         takes the data folder's lock and does it alone. Where the folder is in use and nobody listens, as while another \
         command works on it, a command waits ten seconds and `serve` thirty. A gateway of another version is given no \
         command. The actor in the log is `local:<uid>`.\n\nEverywhere:\n\n",
    );
    let root = Words::command();
    out.push_str(&table(&root));
    for command in root.get_subcommands() {
        describe(command, "chartgate", &mut out);
    }
    out
}

fn describe(command: &Command, above: &str, out: &mut String) {
    let name = format!("{above} {}", command.get_name());
    if !command.has_subcommands() {
        return describe_one(command, &name, out);
    }
    // One that does something by itself as well.
    if command.get_arguments().any(said) {
        describe_one(command, &name, out);
    }
    command.get_subcommands().for_each(|below| describe(below, &name, out));
}

fn describe_one(command: &Command, name: &str, out: &mut String) {
    let places: String = command.get_positionals().map(|arg| format!(" {}", place(arg))).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    out.push_str(&format!("\n## `{name}{places}`\n{about}.\n"));
    let table = table(command);
    if !table.is_empty() {
        out.push_str(&format!("\n{table}"));
    }
}

fn table(command: &Command) -> String {
    let rows: String = command.get_arguments().filter(|arg| said(arg)).map(row).collect();
    if rows.is_empty() { rows } else { format!("| | |\n|---|---|\n{rows}") }
}

/// Options and places: all but what every command has.
fn said(arg: &Arg) -> bool {
    !["help", "version"].contains(&arg.get_id().as_str())
}

fn row(arg: &Arg) -> String {
    let option = arg.get_long().map(|long| format!("--{long}"));
    let value = arg.get_action().takes_values().then(|| place(arg));
    let shown: Vec<String> = option.into_iter().chain(value).collect();
    let mut words = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if arg.get_action().takes_values() && !values.is_empty() {
        words.push_str(&format!(" ({})", values.join(", ")));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy().into_owned())
        .filter(|v| !v.is_empty())
        .collect();
    if !defaults.is_empty() && !arg.is_hide_default_value_set() {
        words.push_str(&format!(" [default: `{}`]", defaults.join(" ")));
    }
    format!("| `{}` | {} |\n", shown.join(" "), words.trim())
}

/// What stands for an argument's value: an option's own name, in capitals.
fn place(arg: &Arg) -> String {
    let name = arg.get_long().unwrap_or(arg.get_id().as_str()).to_uppercase().replace('-', "_");
    if arg.is_positional() && !arg.is_required_set() { format!("[{name}]") } else { name }
}
