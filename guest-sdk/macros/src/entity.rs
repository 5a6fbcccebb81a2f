//! What `#[sagahost::entity]` makes of an `impl` block: the block itself, how
//! an operation is run by its name, and the entry in the component's list of
//! functions.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, Type};

use crate::args::Args;
use crate::expand::{doc_text, is_named, option, retry};

/// The attribute as a function of tokens. On an error the block is kept as it
/// is, so that the error is the only one.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    match try_expand(args, item.clone()) {
        Ok(tokens) => tokens,
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #item #error }
        }
    }
}

fn try_expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let args: Args = syn::parse2(args)?;
    if let Some(name) = args.undo.as_ref().or(args.undoes.as_ref()) {
        let message = "an entity has no `undo` and no `undoes`: what an operation did is taken back by another \
                       operation, which the orchestrator calls";
        return Err(Error::new(name.span(), message));
    }
    let block: ItemImpl = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), "#[sagahost::entity] goes on an `impl` block of a type")
    })?;
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new(
            path.span(),
            "#[sagahost::entity] goes on an `impl` block without a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new(block.generics.span(), "an entity's type cannot be generic"));
    }
    let ty = &block.self_ty;
    let name = match (&args.name, &**ty) {
        (Some(name), _) => name.value(),
        (None, Type::Path(path)) => {
            path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
        }
        (None, ty) => return Err(Error::new(ty.span(), "expected the name of a type")),
    };
    let description = match &args.description {
        Some(description) => description.value(),
        None => doc_text(&block.attrs),
    };
    let mut operations = Vec::new();
    for item in &block.items {
        if let ImplItem::Fn(function) = item
            && let Some(operation) = operation(&name, function)?
        {
            operations.push(operation);
        }
    }
    let arms = operations.iter().map(|operation| &operation.arm);
    let descriptions = operations.iter().map(|operation| &operation.description);
    let timeout = option(args.timeout_ms.map(|ms| quote!(#ms)));
    let retry = option(args.retry.as_ref().map(retry));

    Ok(quote! {
        #block

        const _: () = {
            #[allow(unused_imports)]
            use ::sagahost::__private::{PlainOutput as _, PlainOutputType as _};

            impl ::sagahost::Entity for #ty {
                const NAME: &'static str = #name;

                fn operations() -> ::std::vec::Vec<::sagahost::__private::Operation> {
                    ::std::vec![#(#descriptions),*]
                }

                #[allow(unused_variables, clippy::unused_unit, clippy::let_unit_value)]
                fn operate<'a>(
                    &'a mut self,
                    __context: &'a mut ::sagahost::EntityContext,
                    __operation: &'a str,
                    __input: &'a str,
                ) -> ::sagahost::__private::OperationFuture<'a> {
                    ::std::boxed::Box::pin(async move {
                        match __operation {
                            #(#arms)*
                            _ => ::core::result::Result::Err(
                                ::sagahost::__private::unknown_operation::<Self>(__operation),
                            ),
                        }
                    })
                }
            }

            ::sagahost::__private::inventory::submit! {
                ::sagahost::__private::Function {
                    name: #name,
                    description: #description,
                    input: ::core::option::Option::None,
                    output: ::core::option::Option::None,
                    timeout_ms: #timeout,
                    kind: ::sagahost::__private::Kind::Entity(
                        ::sagahost::__private::EntityKind::of::<#ty>(#retry),
                    ),
                }
            }
        };
    })
}

/// An operation: how it is run, and what is told of it.
struct Operation {
    arm: TokenStream,
    description: TokenStream,
}

/// The operation that a function is; none if it takes no `self`.
fn operation(entity: &str, function: &ImplItemFn) -> Result<Option<Operation>> {
    let signature = &function.sig;
    let Some(receiver) = signature.receiver() else { return Ok(None) };
    if receiver.reference.is_none() || receiver.colon_token.is_some() {
        let message = "an operation takes `&self` or `&mut self`: the host keeps the state";
        return Err(Error::new(receiver.span(), message));
    }
    if !signature.generics.params.is_empty() {
        let message = "an operation has one input type and one output type: it cannot be generic; functions that are no \
             operations go into another `impl` block";
        return Err(Error::new(signature.generics.span(), message));
    }
    let mut types: Vec<&Type> = Vec::new();
    for argument in &signature.inputs {
        if let FnArg::Typed(argument) = argument {
            types.push(&argument.ty);
        }
    }
    let takes_context = match types.first() {
        Some(Type::Reference(reference)) => is_named(&reference.elem, "EntityContext"),
        _ => false,
    };
    if takes_context {
        types.remove(0);
    }
    if let Some(second) = types.get(1) {
        let message = "an operation takes a `&mut sagahost::EntityContext` and one input, in this order and both \
                       optional; put more inputs together in a struct or a tuple; functions that are no operations \
                       go into another `impl` block";
        return Err(Error::new(second.span(), message));
    }

    let ident = &signature.ident;
    let text = ident.to_string();
    let name = text.strip_prefix("r#").unwrap_or(&text);
    let full_name = format!("{entity}.{name}");
    let description = doc_text(&function.attrs);
    let output: Type = match &signature.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    let context = takes_context.then(|| quote!(__context,));
    let (decode, argument, input_schema) = match types.first() {
        None => (quote!(), quote!(), quote!(::core::option::Option::None)),
        Some(input) => (
            quote_spanned! {input.span()=>
                let __input: #input = ::sagahost::__private::decode_input(#full_name, __input)?;
            },
            quote!(__input),
            quote_spanned! {input.span()=>
                ::core::option::Option::Some(::sagahost::__private::input_schema::<#input>)
            },
        ),
    };
    let touch = receiver.mutability.map(|_| quote!(__context.touch();));
    let wait = signature.asyncness.map(|_| quote!(.await));
    let finish = quote_spanned! {output.span()=>
        ::sagahost::__private::Output(self.#ident(#context #argument)#wait).finish()
    };
    let output_schema = quote_spanned! {output.span()=>
        || ::sagahost::__private::OutputType::<#output>::NEW.schema()
    };
    Ok(Some(Operation {
        arm: quote! {
            #name => {
                #decode
                #touch
                #finish
            }
        },
        description: quote! {
            ::sagahost::__private::Operation {
                name: #name,
                description: #description,
                input: #input_schema,
                output: #output_schema,
            }
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::expand;
    use quote::quote;

    fn expanded(item: proc_macro2::TokenStream) -> String {
        expand(quote!(), item).to_string()
    }

    #[test]
    fn what_cannot_be_an_entity() {
        let text = expanded(quote!(
            struct S;
        ));
        assert!(text.contains("goes on an `impl` block of a type"), "{text}");
        let text = expanded(quote!(
            impl Clone for S {}
        ));
        assert!(text.contains("without a trait"), "{text}");
        let text = expanded(quote!(
            impl<T> S<T> {}
        ));
        assert!(text.contains("cannot be generic"), "{text}");
        let text = expand(
            quote!(undo = "A"),
            quote!(
                impl S {}
            ),
        );
        assert!(text.to_string().contains("taken back by another"), "{text}");
    }

    #[test]
    fn what_cannot_be_an_operation() {
        let text = expanded(quote! { impl S { fn f(self) {} } });
        assert!(text.contains("takes `&self` or `&mut self`"), "{text}");
        let text = expanded(quote! { impl S { fn f<T>(&self, t: T) {} } });
        assert!(text.contains("one input type"), "{text}");
        let text = expanded(quote! { impl S { fn f(&self, a: u8, b: u8) {} } });
        assert!(text.contains("in a struct or a tuple"), "{text}");
    }

    #[test]
    fn what_is_an_operation() {
        let text = expanded(quote! {
            impl S {
                /// Adds one.
                fn add_one(&mut self, ctx: &mut EntityContext) {}
                async fn r#match(&self, n: u8) -> u8 { n }
                fn helper(n: u8) -> u8 { n }
            }
        });
        assert!(text.contains("\"add_one\" =>") && text.contains("\"Adds one.\""), "{text}");
        assert!(text.contains("\"match\" =>") && !text.contains("\"helper\" =>"), "{text}");
        assert!(!text.contains("compile_error"), "{text}");
    }
}
