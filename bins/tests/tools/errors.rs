//! Every error of the workspace says its cause once: in its text, or as its source.

use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, Item, Meta};

/// All sources of libraries and programs.
fn sources() -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let source = entry.unwrap().path().join("src");
        if source.is_dir() {
            collect(&source, &mut files);
        }
    }
    files
}

/// The text of an `#[error("...", ...)]`, with what follows it; nothing for a transparent one.
fn message(attributes: &[Attribute]) -> Option<String> {
    let error = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("error"))?;
    let Meta::List(list) = &error.meta else {
        return None;
    };
    let text = list.tokens.to_string();
    (text != "transparent").then_some(text)
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident(name))
}

/// The fields that `source()` returns, as the text of the error may name them.
fn source_fields(fields: &Fields) -> Vec<String> {
    (0..)
        .zip(fields)
        .filter(|(_, field)| {
            let is_named_source = field.ident.as_ref().is_some_and(|name| name == "source");
            is_named_source || has(&field.attrs, "source") || has(&field.attrs, "from")
        })
        .map(|(number, field): (usize, _)| match &field.ident {
            Some(name) => name.to_string(),
            None => number.to_string(),
        })
        .collect()
}

/// Whether a message shows a field: in braces, or among the arguments behind the text.
fn shows(message: &str, field: &str) -> bool {
    let in_braces = [format!("{{{field}}}"), format!("{{{field}:")];
    if in_braces.iter().any(|shown| message.contains(shown)) {
        return true;
    }
    let arguments = message.rsplit('"').next().unwrap_or_default();
    let mut words = arguments.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| word == field)
}

/// Names of errors that say their cause twice, and how many messages were looked at.
fn twice(items: &[Item], found: &mut Vec<String>, looked_at: &mut usize) {
    let mut check = |name: String, attributes: &[Attribute], fields: &Fields| {
        let Some(message) = message(attributes) else {
            return;
        };
        *looked_at += 1;
        if source_fields(fields)
            .iter()
            .any(|field| shows(&message, field))
        {
            found.push(name);
        }
    };
    for item in items {
        match item {
            Item::Enum(error) => {
                for variant in &error.variants {
                    let name = format!("{}::{}", error.ident, variant.ident);
                    check(name, &variant.attrs, &variant.fields);
                }
            }
            Item::Struct(error) => check(error.ident.to_string(), &error.attrs, &error.fields),
            _ => {}
        }
    }
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &module.content
        {
            twice(items, found, looked_at);
        }
    }
}

#[test]
fn no_error_says_its_cause_twice() {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let before = found.len();
        twice(&parsed.items, &mut found, &mut looked_at);
        for name in &mut found[before..] {
            *name = format!("{}: {name}", file.display());
        }
    }
    assert!(looked_at > 150, "{looked_at}");
    assert!(
        found.is_empty(),
        "the text shows what source() returns as well: {found:#?}"
    );
}

/// The test above finds what it is for.
#[test]
fn causes_that_are_said_twice_are_found() {
    let text = r#"
        enum E {
            #[error("a: {0}")] A(#[from] io::Error),
            #[error("b: {source}")] B { source: io::Error },
            #[error("c: {cause}")] C { #[source] cause: io::Error },
            #[error("{}: {source}", path.display())] D { path: PathBuf, source: io::Error },
            #[error("e: {}", .0)] E(#[source] io::Error),
            #[error("f: {}", text(source))] F { source: io::Error },
            #[error("g: {0:?}")] G(#[source] io::Error),
            #[error("h: {0}")] H(io::Error),
            #[error("i")] I(#[from] io::Error),
            #[error(transparent)] J(#[from] io::Error),
            #[error("the source: {error}")] K { error: io::Error },
            #[error("l: {0}")] L(u32, #[source] io::Error),
        }
        #[error("m: {source}")] struct M { source: io::Error }
        mod inside { #[error("n: {0}")] struct N(#[source] io::Error); }
    "#;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    twice(
        &syn::parse_file(text).unwrap().items,
        &mut found,
        &mut looked_at,
    );
    let names = [
        "E::A", "E::B", "E::C", "E::D", "E::E", "E::F", "E::G", "M", "N",
    ];
    assert_eq!(found, names);
}
