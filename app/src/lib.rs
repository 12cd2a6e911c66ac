//! Maskroom's two faces over one library: the command line (`cli`, one file per subcommand) and the window (`studio`).

pub mod cli;
mod guesses;
mod report;
pub mod studio;
