//! Reads how a GeoServer is spoken to over its REST interface.

use crate::file::{Reader, Table};
use crate::plan::{LoginPlan, NodePlan, Secret};

/// The keys of a node in `table`, in which there may be others.
pub(super) fn node_plan<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<NodePlan> {
    let url = table.string(reader, "url").and_then(|url| {
        let rest = url
            .value
            .strip_prefix("http://")
            .or_else(|| url.value.strip_prefix("https://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let (message, hint) = match authority {
            // The text may hold a password: it is not repeated.
            Some(authority) if authority.contains('@') => (
                "the URL of a GeoServer has no user and password in it",
                "give them as `user` and `password`",
            ),
            Some(authority) if !authority.is_empty() => return Some(url.value),
            _ => (
                "this is no URL of a GeoServer",
                "such as `https://maps.example/geoserver`",
            ),
        };
        reader.problem(url.span, message, Some(hint.to_owned()));
        None
    });
    let login = login(reader, table);
    let authorities = super::values::path(reader, table, "ca");
    Some(NodePlan {
        url: url?,
        login: login?,
        authorities,
    })
}

fn login<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<LoginPlan> {
    let at = table.at;
    let user = table.optional_string(reader, "user");
    let password = table.optional_string(reader, "password");
    let token = table.optional_string(reader, "token");
    let header = table.optional_string(reader, "header");
    let mut wrong = |message: &str, hint: &str| {
        if reader.is_whole(at) {
            reader.problem(at, message, Some(hint.to_owned()));
        }
        None
    };
    match (user, password, token) {
        (None, None, None) if header.is_some() => wrong(
            "`header` says in which header a `token` is sent, and there is none",
            "add `token`, or remove `header`",
        ),
        (None, None, None) => Some(LoginPlan::None),
        (Some(user), Some(password), None) if header.is_none() => Some(LoginPlan::Basic {
            user: user.value,
            password: Secret::new(password.value),
        }),
        (None, None, Some(token)) => Some(LoginPlan::Header {
            name: header.map_or_else(|| "Authorization".to_owned(), |name| name.value),
            token: Secret::new(token.value),
        }),
        (_, _, None) if header.is_none() => wrong(
            "a login needs both `user` and `password`",
            "add the one that is missing",
        ),
        _ => wrong(
            "a node is logged in at with `user` and `password`, or with a `token`, not both",
            "remove one of them",
        ),
    }
}
