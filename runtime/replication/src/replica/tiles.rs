//! What GeoWebCache has, whose documents are XML.

use roxmltree::{Document, Node as Element};
use weir_geoserver::{Name, Object, Scope, TileObject, Workspace};

use super::{ApplyError, Look, Replica};
use crate::Target;

/// Elements whose children come in any order.
const SETS: [&str; 3] = ["mimeFormats", "gridSubsets", "parameterFilters"];

impl Replica {
    pub(super) async fn look_at_tile(
        &mut self,
        tile: &TileObject,
        text: &str,
    ) -> Result<Look, ApplyError> {
        let have = match self.node.get(tile).await {
            Ok(have) => have,
            Err(error) if error.is_missing() => return Ok(Look::Missing),
            Err(error) => return Err(error.into()),
        };
        let want = said(text).map_err(|problem| {
            ApplyError::refused(format_args!("the frame's XML cannot be read: {problem}"))
        })?;
        let have = said(&have).map_err(|problem| {
            ApplyError::refused(format_args!("the slave's XML cannot be read: {problem}"))
        })?;
        if want == have {
            return Ok(Look::Same);
        }
        let differing = want.iter().filter(|line| !have.contains(line));
        let differing = differing.chain(have.iter().filter(|line| !want.contains(line)));
        let mut paths: Vec<String> = differing
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        paths.dedup();
        Ok(Look::Differs(paths))
    }

    pub(super) async fn converge_tile(
        &mut self,
        tile: &TileObject,
        text: &str,
    ) -> Result<bool, ApplyError> {
        let look = self.look_at_tile(tile, text).await?;
        if let Look::Same = look {
            return Ok(false);
        }
        let text = sendable(tile, text);
        if let (Look::Missing, TileObject::Layer(name)) = (&look, tile) {
            self.check_cached(name).await?;
        }
        match look {
            // GeoServer creates by the same call, where it can create at all.
            Look::Missing => self.node.create(tile, &text).await?,
            _ => self.node.change(tile, &text).await?,
        }
        Ok(true)
    }

    /// A tile layer waits for what it caches.
    async fn check_cached(&self, name: &Name) -> Result<(), ApplyError> {
        let within = name.as_str().split_once(':').and_then(|(workspace, name)| {
            Some((Workspace::new(workspace).ok()?, Name::new(name).ok()?))
        });
        let layer = within
            .clone()
            .map(|(workspace, name)| Object::Layer { workspace, name });
        let group = match within {
            Some((workspace, name)) => Object::LayerGroup {
                scope: Scope::Workspace(workspace),
                name,
            },
            None => Object::LayerGroup {
                scope: Scope::Global,
                name: name.clone(),
            },
        };
        for object in layer.iter().chain([&group]) {
            if self.is_there(&Target::Object(object.clone())).await? {
                return Ok(());
            }
        }
        let needs = layer.unwrap_or(group);
        Err(ApplyError::needs(
            Target::Object(needs),
            format_args!("the slave has no layer or group `{name}` whose tiles these are"),
        ))
    }
}

/// What a document says: each text with its path, in an order that does not depend on that of sets.
pub(crate) fn said(text: &str) -> Result<Vec<String>, roxmltree::Error> {
    let document = Document::parse(text)?;
    let mut lines = Vec::new();
    let root = document.root_element();
    for child in children(&root) {
        // The id is the node's own. The root of a quota is called otherwise when it is written.
        if !(root.has_tag_name("GeoServerLayer") && child.has_tag_name("id")) {
            say(child, child.tag_name().name(), &mut lines);
        }
    }
    Ok(lines)
}

fn say(element: Element<'_, '_>, path: &str, lines: &mut Vec<String>) {
    let mut below: Vec<Vec<String>> = children(&element)
        .map(|child| {
            let mut lines = Vec::new();
            say(
                child,
                &format!("{path}.{}", child.tag_name().name()),
                &mut lines,
            );
            lines
        })
        .collect();
    if below.is_empty() {
        lines.push(format!(
            "{path} {}",
            element.text().unwrap_or_default().trim()
        ));
    }
    if SETS.contains(&element.tag_name().name()) {
        below.sort();
    }
    lines.extend(below.into_iter().flatten());
}

fn children<'a, 'input: 'a>(
    element: &Element<'a, 'input>,
) -> impl Iterator<Item = Element<'a, 'input>> {
    element.children().filter(Element::is_element)
}

/// What GeoWebCache takes: a layer without the id, which is another one at each node, and a quota
/// under the root that it is read by.
fn sendable(tile: &TileObject, text: &str) -> String {
    let cut = |range: std::ops::Range<usize>, with: &str| {
        [&text[..range.start], with, &text[range.end..]].concat()
    };
    let Ok(document) = Document::parse(text) else {
        return text.to_owned();
    };
    let root = document.root_element();
    match tile {
        TileObject::Layer(_) => {
            let id = children(&root).find(|child| child.has_tag_name("id"));
            id.map_or_else(|| text.to_owned(), |id| cut(id.range(), ""))
        }
        TileObject::DiskQuota => {
            let inner = children(&root).map(|child| child.range());
            let inside = inner.reduce(|first, last| first.start..last.end);
            let inside = inside.map_or("", |range| &text[range]);
            format!("<gwcQuotaConfiguration>{inside}</gwcQuotaConfiguration>")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: &str = "<GeoServerLayer><id>LayerInfoImpl-1</id><name>a:b</name><mimeFormats>\
        <string>image/png</string><string>image/jpeg</string></mimeFormats>\
        <gridSubsets><gridSubset><gridSetName>A</gridSetName><zoomStart>1</zoomStart></gridSubset>\
        <gridSubset><gridSetName>B</gridSetName></gridSubset></gridSubsets></GeoServerLayer>";

    #[test]
    fn the_order_of_sets_and_the_id_do_not_count() {
        let other = "<GeoServerLayer> <id>other</id>\n <name>a:b</name><mimeFormats>\
            <string>image/jpeg</string><string>image/png</string></mimeFormats>\
            <gridSubsets><gridSubset><gridSetName>B</gridSetName></gridSubset><gridSubset>\
            <gridSetName>A</gridSetName><zoomStart>1</zoomStart></gridSubset></gridSubsets>\
            </GeoServerLayer>";
        assert_eq!(said(LAYER).unwrap(), said(other).unwrap());
        let swapped = other.replace("B</gridSetName>", "C</gridSetName>");
        assert_ne!(said(LAYER).unwrap(), said(&swapped).unwrap());
    }

    #[test]
    fn what_is_sent_has_no_id_and_the_root_of_a_quota() {
        let name = Name::new("a:b").unwrap();
        let sent = sendable(&TileObject::Layer(name), LAYER);
        assert!(!sent.contains("LayerInfoImpl") && sent.contains("<name>a:b</name>"));
        let quota = "<org.geowebcache.diskquota.DiskQuotaConfig>\n<enabled>true</enabled>\
            <limit>1</limit></org.geowebcache.diskquota.DiskQuotaConfig>";
        assert_eq!(
            sendable(&TileObject::DiskQuota, quota),
            "<gwcQuotaConfiguration><enabled>true</enabled><limit>1</limit></gwcQuotaConfiguration>"
        );
    }
}
