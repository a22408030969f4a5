//! Pipelines: from the file that people write, to a plan that cannot be wrong, to what happens to
//! each event.
//!
//! - [`file`]: `weir.toml`, read and checked whole, every problem with its place.
//! - [`plan`]: the checked configuration, names resolved and defaults applied.
//! - [`assembly`]: plugins read, and chains made out of a plan.
//! - [`chain`]: the stages of one pipeline, compiled: a message goes in, outcomes come out.
//! - [`line`]: the machine that decides about each delivery. Pure: a simulation can drive it.
//! - [`run`]: the loop that carries out what the line decides, between a source and a sink.
//! - [`crashes`]: messages that end the process, counted.
//! - [`letter`]: what a dead letter is made of.
//! - [`ends`]: what a source and a sink are. Their implementations live with the binary.
//! - [`hydrate`]: what a hint comes to, where the objects of a master are read.
//! - [`reorder`]: a source whose messages may arrive swapped.
//! - [`walked`]: a source between whose deliveries Weir asks for objects of the master.
//! - [`names`]: what masters learned of the names of objects; [`disk`]: how it is kept.
//! - [`observe`]: what happens to events, for those who count and log it.
//!
//! What a pipeline promises: a delivery is accepted only after every outcome is confirmed; outcomes
//! leave in the order in which deliveries came; a failure that may pass holds the line, one that
//! will not ends in a dead letter with its reason; an event is handled wholly by one chain.
//!
//! Nothing here touches the network or the environment, but for the working directory that relative
//! paths are relative to.

pub mod assembly;
pub mod chain;
pub mod crashes;
pub mod disk;
pub mod ends;
pub mod file;
pub mod hydrate;
pub mod letter;
pub mod line;
pub mod names;
pub mod observe;
pub mod plan;
pub mod reorder;
pub mod run;
pub mod walked;
