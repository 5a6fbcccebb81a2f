//! The APIs over HTTP: the one of Durable Functions to the letter, and beside
//! it, under paths of its own, what is ours.
//!
//! A request passes `service` (spelling, panics), `routes` (which say what
//! there is and who may use it), and one handler, which reads the body (`body`)
//! and the query (`query`), asks the engine, and answers. What an answer says of
//! a journal is made by pure functions (`history`, `events`), what a refusal
//! says by `error`. `openapi` describes the routes from the same definitions.
//!
//! What holds: nothing is acknowledged that the engine has not made durable;
//! everything a client controls is limited (size, time, connections); a key is
//! in no log, no error and no answer.

mod admin;
mod app;
mod auth;
mod board;
mod body;
mod clock;
mod dashboard;
mod early;
mod entities;
mod error;
mod events;
mod health;
mod history;
mod instances;
mod keys;
mod live;
mod log;
mod metrics;
mod openapi;
mod otlp;
mod overview;
mod pages;
mod pause;
mod query;
mod routes;
mod saga;
mod server;
mod service;
mod start;
mod stuck;
mod text;
mod time;
mod token;
mod trigger;
mod urls;
mod webhook;

pub use events::{JournalEnd, JournalLine};
pub use keys::{Key, KeyKind, Keys, KeysError};
pub use log::LogLevels;
pub use otlp::{Traces, TracesError};
pub use server::{HttpError, Server, ServerConfig};
pub use trigger::{IdFrom, LONGEST_WAIT, Trigger, TriggerInput, TriggerKey};
pub use webhook::{Webhook, WebhookError};
