//! The description of the API in the form of OpenAPI 3.1, made from the
//! definitions of the routes.

mod board;
mod document;
mod functions;
pub(crate) mod operation;
pub(crate) mod schema;
mod schemas;
mod watching;

pub(crate) use self::document::serve;
