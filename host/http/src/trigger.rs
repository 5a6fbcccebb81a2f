//! Routes of the manifest: an orchestrator that is started at a path of its
//! own.

mod start;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, Method};
use axum::routing::{MethodFilter, on};

use crate::app::{Params, Shared};
use crate::auth::{Access, MANAGE, USE};
use crate::openapi::operation::Operation;
use crate::openapi::schema;

/// What the host has for itself, below which no route of the manifest is.
const TAKEN: [&str; 16] = [
    "runtime",
    "admin",
    "healthz",
    "readyz",
    "openapi.json",
    "metrics",
    "api/orchestrators",
    "api/instances",
    "api/entities",
    "api/events",
    "api/session",
    "api/overview",
    "api/functions",
    "sagas",
    "functions",
    "dashboard",
];

/// The longest that an answer may wait for an orchestration's end.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Where a request has the id of the instance that it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdFrom {
    /// In its path: `path:orderId`.
    Path(String),
    /// In a header: `header:x-order-id`.
    Header(HeaderName),
    /// In its body, at this JSON pointer: `body:/order/id`.
    Body(String),
}

impl FromStr for IdFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} does not say where the id is; write it like \"path:orderId\", \"header:x-order-id\" or \"body:/order/id\""
            )
        };
        match text.split_once(':').ok_or_else(wrong)? {
            ("path", name) if is_name(name) => Ok(IdFrom::Path(name.to_owned())),
            ("header", name) => name.parse().map(IdFrom::Header).map_err(|_| wrong()),
            ("body", pointer) if pointer.starts_with('/') => Ok(IdFrom::Body(pointer.to_owned())),
            _ => Err(wrong()),
        }
    }
}

/// What the orchestrator is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TriggerInput {
    /// The body.
    #[default]
    Body,
    /// `{"body": …, "path": {…}, "query": {…}}`.
    Request,
}

/// Which key a request needs, where the host has keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TriggerKey {
    /// None.
    None,
    /// One that may use what is there.
    #[default]
    Use,
    /// One that may manage.
    Manage,
}

/// An orchestrator's own route.
#[derive(Clone, Debug)]
pub struct Trigger {
    orchestrator: String,
    method: Method,
    path: String,
    id: Option<IdFrom>,
    wait: Option<Duration>,
    input: TriggerInput,
    key: TriggerKey,
}

impl Trigger {
    /// Starts `orchestrator` when a request with this method comes to this
    /// path, in which `{name}` stands for one segment.
    ///
    /// # Errors
    /// What is wrong with the method or the path, and what would be right.
    pub fn new(orchestrator: &str, method: &str, path: &str) -> Result<Self, String> {
        let method = match method {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => {
                return Err(format!(
                    "`method` is {method:?}; a request that starts something is a POST, PUT, PATCH or DELETE"
                ));
            }
        };
        check_path(path)?;
        Ok(Trigger {
            orchestrator: orchestrator.to_owned(),
            method,
            path: path.to_owned(),
            id: None,
            wait: None,
            input: TriggerInput::default(),
            key: TriggerKey::default(),
        })
    }

    /// Takes the instance's id from there; without this the host makes one.
    ///
    /// # Errors
    /// When the path has no such part.
    pub fn with_id(mut self, id: IdFrom) -> Result<Self, String> {
        if let IdFrom::Path(name) = &id
            && !self.parameters().any(|known| known == name)
        {
            return Err(format!(
                "`instance-id` is \"path:{name}\", and the path {} has no {{{name}}}; put it there",
                self.path
            ));
        }
        self.id = Some(id);
        Ok(self)
    }

    /// Waits for the end so long before it answers.
    ///
    /// # Errors
    /// When that is nothing or too long.
    pub fn with_wait(mut self, wait: Duration) -> Result<Self, String> {
        if wait.is_zero() || wait > LONGEST_WAIT {
            return Err("`wait` must be longer than 0 and at most 1h".to_owned());
        }
        self.wait = Some(wait);
        Ok(self)
    }

    /// Gives the orchestrator this.
    #[must_use]
    pub fn with_input(self, input: TriggerInput) -> Self {
        Trigger { input, ..self }
    }

    /// Asks for this key.
    #[must_use]
    pub fn with_key(self, key: TriggerKey) -> Self {
        Trigger { key, ..self }
    }

    /// What it starts.
    pub fn orchestrator(&self) -> &str {
        &self.orchestrator
    }

    /// The method of its requests.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the body is what the orchestrator is given, as it is.
    pub(crate) fn takes_body(&self) -> bool {
        self.input == TriggerInput::Body
    }

    /// Why the two cannot both be there, if they cannot.
    pub fn conflict(&self, other: &Trigger) -> Option<String> {
        let shape = |path: &str| -> Vec<String> {
            let segments = path.split('/');
            segments.map(|it| if it.starts_with('{') { "{}".into() } else { it.into() }).collect()
        };
        if shape(&self.path) != shape(&other.path) {
            return None;
        }
        if self.path != other.path {
            return Some(format!(
                "{} and {} are the same path with other names in it; use the same names",
                other.path, self.path
            ));
        }
        (self.method == other.method)
            .then(|| format!("{} {} is there twice; take one out", self.method, self.path))
    }

    fn parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    fn access(&self) -> Access {
        match self.key {
            TriggerKey::None => Access::Open,
            TriggerKey::Use => USE,
            TriggerKey::Manage => MANAGE,
        }
    }

    /// As a route among the host's own.
    fn operation(self: Arc<Self>) -> Operation {
        let filter = match self.method {
            Method::PUT => MethodFilter::PUT,
            Method::PATCH => MethodFilter::PATCH,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        };
        let trigger = self.clone();
        let handler = move |State(app): State<Shared>,
                            Params(path): Params<Vec<(String, String)>>,
                            request: Request| {
            start::start(app, trigger.clone(), path, request)
        };
        let id = format!("{}.{}.{}", self.method.as_str().to_lowercase(), self.orchestrator, {
            self.path.trim_start_matches('/').replace(['/', '{', '}'], "-")
        });
        let summary = format!("Starts {}, as the manifest says.", self.orchestrator);
        let mut operation = Operation::new(
            self.method.clone(),
            self.path.clone(),
            self.access(),
            Cow::from(id),
            on(filter, handler),
        )
        .tagged("Manifest");
        operation.summary = Cow::from(summary);
        for name in self.parameters() {
            let is_id = self.id.as_ref().is_some_and(|id| *id == IdFrom::Path(name.to_owned()));
            operation = match is_id {
                true => operation.path(
                    name.to_owned(),
                    schema::instance_id(),
                    "The id of the new instance.",
                ),
                false => operation.path(name.to_owned(), schema::segment(), "A part of the path."),
            };
        }
        if let Some(IdFrom::Header(name)) = &self.id {
            let about = "The id of the new instance.";
            operation = operation.header(name.to_string(), schema::instance_id(), about).required();
        }
        operation = operation.body_or_none(schema::any()).check_status();
        if self.wait.is_some() {
            operation = operation.json(200, schema::any(), "It completed; its output.");
        }
        let operation = operation
            .refusal(400, "No id or one that is not allowed, or an input that does not fit.");
        match self.id {
            Some(_) => operation.refusal(409, "An instance of this id has not ended."),
            None => operation,
        }
    }
}

/// The routes of these.
pub(crate) fn operations(triggers: &[Trigger]) -> Vec<Operation> {
    triggers.iter().map(|trigger| Arc::new(trigger.clone()).operation()).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn check_path(path: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        Err(format!("{path:?} cannot be a route: {why}; write it like \"/orders/{{orderId}}\""))
    };
    let Some(rest) = path.strip_prefix('/') else {
        return wrong("it has to begin with a slash");
    };
    let mut names = Vec::new();
    for (place, segment) in rest.split('/').enumerate() {
        if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            if !is_name(name) {
                return wrong("a name in braces has letters, digits, - and _");
            }
            if place == 0 || (place == 1 && rest.starts_with("api/")) {
                return wrong(
                    "it would stand for paths of the host's own, so it has to begin with a word",
                );
            }
            if names.contains(&name) {
                return wrong("a name is in it twice");
            }
            names.push(name);
        } else if segment.is_empty() {
            return wrong("between its slashes and at its end there has to be something");
        } else if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            || matches!(segment, "." | "..")
        {
            return wrong("outside of braces it has letters, digits, - . _ and ~");
        }
    }
    let lower = rest.to_ascii_lowercase();
    let below = |taken: &&&str| {
        lower.strip_prefix(**taken).is_some_and(|more| more.is_empty() || more.starts_with('/'))
    };
    match TAKEN.iter().find(below) {
        Some(taken) => Err(format!(
            "{path:?} cannot be a route: the host has /{taken} and all below it for itself; choose another"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
