//! What a backup leaves out because it would open the rest, or is nobody's but this host's: said, so that it is kept elsewhere.

use chartgate_audit::backup::Place;

use super::elsewhere::fixed;
use super::{below, parts};
use crate::config::{Config, MasterKeySource};

/// What has to be kept elsewhere, or put in place after a restore: a line each.
pub(super) fn needs(config: &Config) -> Vec<String> {
    let mut needs = vec![master_key(&config.master_key)];
    for (key, path) in &config.paths {
        let is_master = matches!(&config.master_key, MasterKeySource::File(file) if file == path);
        if path.is_file() && !is_master {
            needs.push(format!("`{key}`: the file {}", path.display()));
        }
    }
    let variables = config.variables.iter().map(|name| format!("the environment variable `{name}`"));
    needs.extend(variables);
    let fixed = fixed(&config.file);
    for (place, path, elsewhere) in parts(config) {
        let own = below(config, path);
        let place_of_old = match &own {
            Err(_) if place != Place::Config => Some(elsewhere),
            Ok(own) if fixed.contains(&place) => Some(own.as_str()),
            Ok(_) | Err(_) => None,
        };
        if let Some(new) = place_of_old {
            needs.push(format!(
                "another place in the configuration: it names {}, which is restored as {new}",
                path.display()
            ));
        }
    }
    // A note's line takes no control characters, which a path may have.
    needs.into_iter().map(|need| need.replace(char::is_control, "\u{fffd}")).collect()
}

fn master_key(source: &MasterKeySource) -> String {
    let place = match source {
        MasterKeySource::File(path) => format!("the file {}", path.display()),
        MasterKeySource::Environment(variable) => format!("the environment variable `{variable}`"),
        MasterKeySource::Command(words) => {
            format!("what `{}` prints", words.first().map(String::as_str).unwrap_or_default())
        }
    };
    format!("the master key, without which nothing in it opens: {place}")
}
