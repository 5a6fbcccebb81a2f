//! What an attribute makes of the function under it: the function itself, and
//! its entry in the component's list of functions.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, ItemFn, Lit, Meta, Result, ReturnType, Type};

use crate::args::{Args, Retry};

/// Which attribute it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Activity,
    Orchestrator,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Orchestrator => "orchestrator",
        }
    }

    fn context(self) -> &'static str {
        match self {
            Self::Activity => "ActivityContext",
            Self::Orchestrator => "OrchestratorContext",
        }
    }
}

/// The attribute as a function of tokens. On an error the function is kept as
/// it is, so that the error is the only one.
pub(crate) fn expand(kind: Kind, args: TokenStream, item: TokenStream) -> TokenStream {
    match try_expand(kind, args, item.clone()) {
        Ok(tokens) => tokens,
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #item #error }
        }
    }
}

fn try_expand(kind: Kind, args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let attribute = kind.attribute();
    let args: Args = syn::parse2(args)?;
    if kind == Kind::Orchestrator {
        for_orchestrators(&args)?;
    }
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), format!("#[sagahost::{attribute}] goes on an `async fn`"))
    })?;
    check(attribute, &function)?;
    let (takes_context, input) = parameters(kind, &function)?;

    let ident = &function.sig.ident;
    let name = match &args.name {
        Some(name) => name.value(),
        None => pascal_case(&ident.to_string()),
    };
    let description = match &args.description {
        Some(description) => description.value(),
        None => doc_text(&function.attrs),
    };
    let output: Type = match &function.sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };

    let context_type = match kind {
        Kind::Activity => quote!(::sagahost::ActivityContext),
        Kind::Orchestrator => quote!(::sagahost::OrchestratorContext),
    };
    let context_argument = takes_context.then(|| quote!(__context,));
    let (decode, input_argument, input_schema) = match &input {
        None => (quote!(), quote!(), quote!(::core::option::Option::None)),
        Some(input) => (
            quote_spanned! {input.span()=>
                let __input: #input = ::sagahost::__private::decode_input(__name, &__input)?;
            },
            quote!(__input),
            quote_spanned! {input.span()=>
                ::core::option::Option::Some(::sagahost::__private::input_schema::<#input>)
            },
        ),
    };
    // Whether the output is a `Result` is asked of the type, not of its
    // spelling: an inherent method goes before a trait's of the same name.
    let finish = quote_spanned! {output.span()=>
        ::sagahost::__private::Output(#ident(#context_argument #input_argument).await).finish()
    };
    let output_schema = quote_spanned! {output.span()=>
        ::sagahost::__private::OutputType::<#output>::NEW.schema()
    };
    let kind = match kind {
        Kind::Activity => {
            let retry = option(args.retry.as_ref().map(retry));
            let undo = option(args.undo.map(|name| quote!(#name)));
            let undoes = option(args.undoes.map(|name| quote!(#name)));
            quote!(Activity { run: __run, retry: #retry, undo: #undo, undoes: #undoes })
        }
        Kind::Orchestrator => quote!(Orchestrator { run: __run }),
    };
    let timeout = option(args.timeout_ms.map(|ms| quote!(#ms)));

    Ok(quote! {
        #function

        const _: () = {
            #[allow(unused_imports)]
            use ::sagahost::__private::{PlainOutput as _, PlainOutputType as _};

            #[allow(unused_variables, clippy::unused_unit)]
            fn __run(
                __name: &'static str,
                __context: #context_type,
                __input: ::std::string::String,
            ) -> ::sagahost::__private::RunFuture {
                ::std::boxed::Box::pin(async move {
                    #decode
                    #finish
                })
            }

            fn __output_schema() -> ::sagahost::__private::Schema {
                #output_schema
            }

            ::sagahost::__private::inventory::submit! {
                ::sagahost::__private::Function {
                    name: #name,
                    description: #description,
                    input: #input_schema,
                    output: ::core::option::Option::Some(__output_schema),
                    timeout_ms: #timeout,
                    kind: ::sagahost::__private::Kind::#kind,
                }
            }
        };
    })
}

/// Refuses what only activities have.
fn for_orchestrators(args: &Args) -> Result<()> {
    if args.retry.is_some() {
        let message =
            "an orchestrator has no `retry`: it is not attempted again; its activities have one";
        return Err(Error::new(proc_macro2::Span::call_site(), message));
    }
    if let Some(name) = args.undo.as_ref().or(args.undoes.as_ref()) {
        let message = "an orchestrator has no `undo` and no `undoes`: what its steps did is undone step by step, \
                       each by the activity that the step's own `undo` names";
        return Err(Error::new(name.span(), message));
    }
    Ok(())
}

fn check(attribute: &str, function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        let message =
            format!("#[sagahost::{attribute}] goes on an `async fn`: write `async` before `fn`");
        return Err(Error::new(signature.fn_token.span(), message));
    }
    if !signature.generics.params.is_empty() {
        let message =
            format!("an {attribute} has one input type and one output type: it cannot be generic");
        return Err(Error::new(signature.generics.span(), message));
    }
    Ok(())
}

/// Whether the function takes the context, and the type of its input.
fn parameters(kind: Kind, function: &ItemFn) -> Result<(bool, Option<Type>)> {
    let mut types = Vec::new();
    for argument in &function.sig.inputs {
        match argument {
            FnArg::Typed(argument) => types.push((*argument.ty).clone()),
            FnArg::Receiver(receiver) => {
                let message = format!("an {} is a plain function, not a method", kind.attribute());
                return Err(Error::new(receiver.span(), message));
            }
        }
    }
    let takes_context = types.first().is_some_and(|first| is_named(first, kind.context()));
    if takes_context {
        types.remove(0);
    }
    if types.len() > 1 {
        let message = format!(
            "an {} takes a `sagahost::{}` and one input, in this order and both optional; \
             put more inputs together in a struct or a tuple",
            kind.attribute(),
            kind.context(),
        );
        return Err(Error::new(types[1].span(), message));
    }
    Ok((takes_context, types.pop()))
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        _ => false,
    }
}

/// `order_activity` is `OrderActivity`.
fn pascal_case(ident: &str) -> String {
    let ident = ident.strip_prefix("r#").unwrap_or(ident);
    let mut name = String::with_capacity(ident.len());
    for word in ident.split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    name
}

/// A doc comment as text.
pub(crate) fn doc_text(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        if !meta.path.is_ident("doc") {
            continue;
        }
        if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join("\n").trim().to_owned()
}

pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

pub(crate) fn retry(retry: &Retry) -> TokenStream {
    let Retry {
        max_attempts,
        first_interval_ms,
        backoff,
        max_interval_ms,
        jitter,
        do_not_retry,
        ..
    } = retry;
    let total_time = option(retry.total_time_ms.map(|ms| quote!(#ms)));
    quote! {
        ::sagahost::__private::RetryDefaults {
            max_attempts: #max_attempts,
            first_interval_ms: #first_interval_ms,
            backoff: #backoff,
            max_interval_ms: #max_interval_ms,
            total_time_ms: #total_time,
            jitter: #jitter,
            do_not_retry: &[#(#do_not_retry),*],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, expand, pascal_case};
    use quote::quote;

    #[test]
    fn names() {
        assert_eq!(pascal_case("order_activity"), "OrderActivity");
        assert_eq!(pascal_case("greet"), "Greet");
        assert_eq!(pascal_case("_step_2_"), "Step2");
        assert_eq!(pascal_case("r#match"), "Match");
        assert_eq!(pascal_case("readHTTP"), "ReadHTTP");
    }

    fn expanded(
        kind: Kind,
        args: proc_macro2::TokenStream,
        item: proc_macro2::TokenStream,
    ) -> String {
        expand(kind, args, item).to_string()
    }

    #[test]
    fn what_cannot_be_a_function_of_a_component() {
        let activity = |item| expanded(Kind::Activity, quote!(), item);
        assert!(
            activity(quote!(
                fn f() {}
            ))
            .contains("write `async` before `fn`")
        );
        assert!(
            activity(quote!(
                async fn f<T>(input: T) {}
            ))
            .contains("cannot be generic")
        );
        assert!(
            activity(quote!(
                async fn f(a: u8, b: u8) {}
            ))
            .contains("one input")
        );
        assert!(
            activity(quote!(
                async fn f(self) {}
            ))
            .contains("not a method")
        );
        assert!(
            activity(quote!(
                struct S;
            ))
            .contains("goes on an `async fn`")
        );
    }

    #[test]
    fn what_only_activities_have() {
        let orchestrator = |args| {
            expanded(
                Kind::Orchestrator,
                args,
                quote!(
                    async fn f() {}
                ),
            )
        };
        assert!(orchestrator(quote!(retry())).contains("it is not attempted again"));
        assert!(orchestrator(quote!(undo = "A")).contains("undone step by step"));
        assert!(orchestrator(quote!(undoes = "A")).contains("undone step by step"));
        assert!(!orchestrator(quote!(timeout = "1s")).contains("compile_error"));
    }

    #[test]
    fn the_function_is_kept_and_described() {
        let text = expanded(
            Kind::Activity,
            quote!(),
            quote! {
                /// Adds one.
                /// Nothing more.
                async fn add_one(n: u8) -> u8 { n + 1 }
            },
        );
        assert!(text.contains("async fn add_one (n : u8) -> u8"));
        assert!(text.contains("\"AddOne\""));
        assert!(text.contains("\"Adds one.\\nNothing more.\""));
    }
}
