//! The binary `chartgate`: sockets, disk, threads, pages.

mod account;
mod admin;
mod app;
mod audit_index;
mod authorization_response;
mod authorization_server;
mod backup;
mod cli;
mod clock;
mod config;
mod crypto_module;
mod demo;
mod directory;
mod entropy;
mod front_door;
mod idle;
mod in_place;
mod install;
mod journal_fs;
mod letters;
mod live;
mod log;
mod log_tiles;
mod login;
mod mirror;
mod net;
mod notices;
mod outward;
mod pages;
mod passwords;
mod pep;
mod private_file;
mod registration;
mod secrets;
mod serve;
mod spool;
mod store;
mod telemetry;
mod tongue;
mod watch;
mod witness;
mod witnesses;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run()
}
