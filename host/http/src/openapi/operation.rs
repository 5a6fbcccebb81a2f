//! One route, whole: how it is asked, who may, what it takes, what it answers,
//! and who does it. The router, the access decision and the document are made
//! from a list of these and from nothing else.

use std::borrow::Cow;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::Value;

use super::schema;
use crate::app::Shared;
use crate::auth::Access;

/// A method at a path.
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// As the router takes it: `/api/instances/{id}`.
    pub(crate) path: String,
    pub(crate) access: Access,
    /// What generated clients call it.
    pub(crate) id: Cow<'static, str>,
    /// A sentence.
    pub(crate) summary: Cow<'static, str>,
    pub(crate) tag: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) route: MethodRouter<Shared>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// Something that a request says beside its body.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) place: Place,
    pub(crate) name: Cow<'static, str>,
    pub(crate) schema: Value,
    pub(crate) about: &'static str,
    pub(crate) required: bool,
}

/// What a request brings.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) media_type: &'static str,
    pub(crate) schema: Value,
    pub(crate) required: bool,
}

/// What may come back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) content: Content,
    /// Name, schema, meaning.
    pub(crate) headers: Vec<(&'static str, Value, &'static str)>,
    /// Whether the id in it leads to the operations on that instance.
    pub(crate) linked: bool,
}

/// What is in an answer's body.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Nothing,
    Json(Value),
    /// Text of one of these media types.
    Text(Vec<&'static str>),
    Events,
}

/// `GET`, and with it `HEAD`.
pub(crate) fn get<H: Handler<T, Shared>, T: 'static>(
    path: impl Into<String>,
    access: Access,
    id: &'static str,
    handler: H,
) -> Operation {
    Operation::new(Method::GET, path.into(), access, id.into(), on(MethodFilter::GET, handler))
}

/// `POST`.
pub(crate) fn post<H: Handler<T, Shared>, T: 'static>(
    path: impl Into<String>,
    access: Access,
    id: &'static str,
    handler: H,
) -> Operation {
    Operation::new(Method::POST, path.into(), access, id.into(), on(MethodFilter::POST, handler))
}

/// `PUT`.
pub(crate) fn put<H: Handler<T, Shared>, T: 'static>(
    path: impl Into<String>,
    access: Access,
    id: &'static str,
    handler: H,
) -> Operation {
    Operation::new(Method::PUT, path.into(), access, id.into(), on(MethodFilter::PUT, handler))
}

/// `DELETE`.
pub(crate) fn delete<H: Handler<T, Shared>, T: 'static>(
    path: impl Into<String>,
    access: Access,
    id: &'static str,
    handler: H,
) -> Operation {
    Operation::new(
        Method::DELETE,
        path.into(),
        access,
        id.into(),
        on(MethodFilter::DELETE, handler),
    )
}

impl Operation {
    pub(crate) fn new(
        method: Method,
        path: String,
        access: Access,
        id: Cow<'static, str>,
        route: MethodRouter<Shared>,
    ) -> Self {
        Operation {
            method,
            path,
            access,
            id,
            summary: Cow::Borrowed(""),
            tag: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            route,
        }
    }

    /// What it does, in a sentence.
    pub(crate) fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary.into();
        self
    }

    fn parameter(
        mut self,
        place: Place,
        name: Cow<'static, str>,
        schema: Value,
        about: &'static str,
    ) -> Self {
        let required = place == Place::Path;
        self.parameters.push(Parameter { place, name, schema, about, required });
        self
    }

    /// A part of the path, in the order in which it stands there.
    pub(crate) fn path(
        self,
        name: impl Into<Cow<'static, str>>,
        schema: Value,
        about: &'static str,
    ) -> Self {
        self.parameter(Place::Path, name.into(), schema, about)
    }

    /// A query parameter.
    pub(crate) fn query(
        self,
        name: impl Into<Cow<'static, str>>,
        schema: Value,
        about: &'static str,
    ) -> Self {
        self.parameter(Place::Query, name.into(), schema, about)
    }

    /// A header of the request.
    pub(crate) fn header(
        self,
        name: impl Into<Cow<'static, str>>,
        schema: Value,
        about: &'static str,
    ) -> Self {
        self.parameter(Place::Header, name.into(), schema, about)
    }

    /// The parameter that was said last has to be there.
    pub(crate) fn required(mut self) -> Self {
        if let Some(last) = self.parameters.last_mut() {
            last.required = true;
        }
        self
    }

    /// A body in JSON that has to be there.
    pub(crate) fn body(mut self, schema: Value) -> Self {
        self.body = Some(Body { media_type: "application/json", schema, required: true });
        self
    }

    /// A body in JSON that may be left out.
    pub(crate) fn body_or_none(mut self, schema: Value) -> Self {
        self.body = Some(Body { media_type: "application/json", schema, required: false });
        self
    }

    /// A body of bytes.
    pub(crate) fn bytes(mut self, media_type: &'static str) -> Self {
        self.body = Some(Body { media_type, schema: schema::any(), required: true });
        self
    }

    fn answer(mut self, status: u16, content: Content, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, content, headers: Vec::new(), linked: false });
        self
    }

    /// An answer in JSON.
    pub(crate) fn json(self, status: u16, schema: Value, about: &'static str) -> Self {
        self.answer(status, Content::Json(schema), about)
    }

    /// An answer without a body.
    pub(crate) fn empty(self, status: u16, about: &'static str) -> Self {
        self.answer(status, Content::Nothing, about)
    }

    /// An answer in text of some kind.
    pub(crate) fn text(self, status: u16, media_type: &'static str, about: &'static str) -> Self {
        self.answer(status, Content::Text(vec![media_type]), about)
    }

    /// The text of the answer that was said last may be of this kind, too.
    pub(crate) fn or_text(mut self, media_type: &'static str) -> Self {
        let last = self.answers.last_mut().map(|last| &mut last.content);
        if let Some(Content::Text(media_types)) = last {
            media_types.push(media_type);
        }
        self
    }

    /// A stream of server-sent events.
    pub(crate) fn events(self, status: u16, about: &'static str) -> Self {
        self.answer(status, Content::Events, about)
    }

    /// A refusal, with the error body.
    pub(crate) fn refusal(self, status: u16, about: &'static str) -> Self {
        self.json(status, schema::of("Error"), about)
    }

    /// 202 and the check-status payload.
    pub(crate) fn check_status(self) -> Self {
        let mut this = self
            .json(202, schema::of("CheckStatus"), "It is started.")
            .with("Location", schema::url(), "Where its status is.")
            .with("Retry-After", schema::whole(), "When to look, in seconds.");
        if let Some(last) = this.answers.last_mut() {
            last.linked = true;
        }
        this
    }

    /// A header of the answer that was said last.
    pub(crate) fn with(mut self, name: &'static str, schema: Value, about: &'static str) -> Self {
        if let Some(last) = self.answers.last_mut() {
            last.headers.push((name, schema, about));
        }
        self
    }

    /// The heading that it is under.
    pub(crate) fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }
}
