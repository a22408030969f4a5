//! The graphics that the body of a style names, and where they are.

use percent_encoding::percent_decode_str;
use roxmltree::{Document, ParsingOptions};
use tracing::debug;
use weir_geoserver::{FilePath, Scope};

/// How many elements and texts the body of a style may have: some hundred for each rule.
const MAX_NODES: u32 = 1_000_000;

/// What the body of a style names, as it does. YSLD and Mapbox styles are not looked into.
pub(super) fn named(media_type: &str, text: &str) -> Vec<String> {
    match media_type {
        "application/vnd.geoserver.geocss+css" => in_css(text),
        "application/vnd.ogc.sld+xml" | "application/vnd.ogc.se+xml" => in_sld(text),
        _ => Vec::new(),
    }
}

fn in_sld(text: &str) -> Vec<String> {
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = match Document::parse_with_options(text, options) {
        Ok(document) => document,
        Err(error) => {
            // GeoServer stores whatever it is given as a style.
            debug!(%error, "the graphics of a style that is no XML are not told");
            return Vec::new();
        }
    };
    let resources = document
        .descendants()
        .filter(|element| element.tag_name().name() == "OnlineResource");
    let hrefs = resources.flat_map(|element| element.attributes());
    hrefs
        .filter(|attribute| attribute.name() == "href")
        .map(|attribute| attribute.value().to_owned())
        .collect()
}

/// `url("icons/pin.svg")`
fn in_css(text: &str) -> Vec<String> {
    let urls = text.split("url(").skip(1);
    let insides = urls.filter_map(|rest| rest.split_once(')').map(|(inside, _)| inside.trim()));
    insides
        .map(|inside| inside.trim_matches(['"', '\'']).to_owned())
        .collect()
}

/// Where a graphic is that a style names: beside the style, or below the data directory where it says
/// `resource:`. `None` for what is elsewhere, or nowhere before a feature is drawn.
pub(super) fn path(scope: &Scope, filename: &str, href: &str) -> Option<FilePath> {
    // `${name}.svg` is as many files as there are names.
    if href.contains("${") {
        return None;
    }
    // The parameters of an SVG.
    let href = href.split(['?', '#']).next()?.trim();
    let decoded = percent_decode_str(href).decode_utf8().ok()?;
    if let Some(path) = decoded.strip_prefix("resource:") {
        return FilePath::new(path.trim_start_matches('/')).ok();
    }
    let is_elsewhere = decoded.starts_with('/') || decoded.contains(':');
    if is_elsewhere {
        return None;
    }
    let beside = decoded.strip_prefix("./").unwrap_or(&decoded);
    let beside = match filename.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{beside}"),
        None => beside.to_owned(),
    };
    // A path that leads out of the data directory is none.
    FilePath::of_style(scope, &beside).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_geoserver::Workspace;

    use super::*;

    fn at(scope: &Scope, href: &str) -> Option<String> {
        path(scope, "a.sld", href).map(|path| path.to_string())
    }

    #[test]
    fn graphics_are_beside_their_style_or_in_the_data_directory() {
        let global = Scope::Global;
        let topp = Scope::Workspace(Workspace::new("topp").unwrap());
        for (href, is) in [
            ("pin.svg", Some("styles/pin.svg")),
            (" ./icons/pin.svg ", Some("styles/icons/pin.svg")),
            ("my%20pin.svg?fill=%23f00", Some("styles/my pin.svg")),
            ("resource:/icons/a.png", Some("icons/a.png")),
            (
                "resource:workspaces/topp/a.png",
                Some("workspaces/topp/a.png"),
            ),
            ("", None),
            ("../../etc/passwd", None),
            ("%2e%2e/%2e%2e/etc/passwd", None),
            ("resource:../x.png", None),
            (r"..\x.png", None),
            ("/etc/passwd", None),
            ("file:/etc/passwd", None),
            ("https://example.org/pin.svg", None),
            ("//example.org/pin.svg", None),
            ("ttf://Webdings#0x0064", None),
            ("${icon}.svg", None),
        ] {
            assert_eq!(at(&global, href).as_deref(), is, "{href}");
        }
        let pin = at(&topp, "pin.svg");
        assert_eq!(pin.as_deref(), Some("workspaces/topp/styles/pin.svg"));
    }

    #[test]
    fn languages_name_them_in_their_ways() {
        let sld = r#"<sld:StyledLayerDescriptor xmlns:sld="http://www.opengis.net/sld" xmlns:x="http://www.w3.org/1999/xlink"><sld:ExternalGraphic><sld:OnlineResource x:type="simple" x:href="a.svg"/></sld:ExternalGraphic><sld:OnlineResource x:href="b.png"/></sld:StyledLayerDescriptor>"#;
        assert_eq!(
            named("application/vnd.ogc.sld+xml", sld),
            ["a.svg", "b.png"]
        );
        let broken = named("application/vnd.ogc.se+xml", "<broken");
        assert_eq!(broken, [] as [&str; 0]);
        let css = "* { mark: url('a.svg'); } [x] { fill: url( \"b.png\" ), url(c.gif) }";
        let found = named("application/vnd.geoserver.geocss+css", css);
        assert_eq!(found, ["a.svg", "b.png", "c.gif"]);
    }

    proptest! {
        #[test]
        fn no_href_leads_out(href in "[a-z./%25\\\\:?#{}$~ -]{0,40}") {
            if let Some(path) = at(&Scope::Global, &href) {
                prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
