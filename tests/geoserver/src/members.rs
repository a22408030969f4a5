//! What layer groups hold.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::json::{items, listed, says_nothing, sides};
use crate::state::{Group, Members, Published, State};
use crate::table::{GLOBAL, Id};

impl State {
    pub(crate) fn show_members(&self, members: &Members) -> (Value, Value) {
        let nothing = Value::from("");
        let published = members.0.iter().map(|(published, _)| {
            let (class, mut shown) = match published {
                Some(Published::Layer(id)) => ("layer", self.layer_reference(*id)),
                Some(Published::Group(id)) => ("layerGroup", self.group_reference(*id)),
                None => return nothing.clone(),
            };
            shown["@type"] = class.into();
            shown
        });
        let styles = members.0.iter().map(|(_, style)| match style {
            Some(id) => self.style_of_group(*id),
            None => nothing.clone(),
        });
        let of = |key: &str, elements: Vec<Value>| match listed(elements) {
            Some(list) => json!({ key: list }),
            None => nothing.clone(),
        };
        (
            of("published", published.collect()),
            of("style", styles.collect()),
        )
    }

    /// Who is not there is left out silently, with its style.
    pub(crate) fn members(
        &self,
        published: &Value,
        styles: &Value,
        place: Id,
    ) -> Result<Members, Reply> {
        let published = items(published, "published");
        let mut styles = items(styles, "style").into_iter();
        let mut members = Vec::new();
        for reference in published {
            let style = styles.next().filter(|style| !says_nothing(style));
            let style = style.and_then(|style| self.style_meant(&style));
            if says_nothing(&reference) {
                members.push((None, style));
            } else if let Some(published) = self.published(&reference) {
                members.push((Some(published), style));
            }
        }
        if place != GLOBAL {
            self.are_of(place, &members)?;
        }
        Ok(Members(members))
    }

    fn are_of(&self, place: Id, members: &[(Option<Published>, Option<Id>)]) -> Result<(), Reply> {
        let own = &self.workspaces[place].name;
        let cannot = format!("Layer group within a workspace ({own}) can not contain");
        let places = members
            .iter()
            .filter_map(|(published, _)| match (*published)? {
                Published::Layer(id) => Some(self.layers[id].place),
                Published::Group(id) => Some(self.groups[id].place),
            });
        let is_other = |other: &Id| *other != place && *other != GLOBAL;
        if let Some(other) = places.into_iter().find(is_other) {
            let other = &self.workspaces[other].name;
            let words = format!("{cannot} resources from other workspace: {other}");
            return Err(Reply::text(500, words));
        }
        let places = members
            .iter()
            .filter_map(|(_, style)| Some(self.styles[(*style)?].place));
        if let Some(other) = places.into_iter().find(is_other) {
            let other = &self.workspaces[other].name;
            let words = format!("{cannot} styles from other workspace: WorkspaceInfoImpl[{other}]");
            return Err(Reply::text(500, words));
        }
        Ok(())
    }

    /// What its layers cover together.
    pub(crate) fn add_bounds(&self, group: &mut Group) {
        let mut layers = Vec::from_iter(group.root);
        self.add_layers(&group.members, &mut layers);
        let all = layers
            .into_iter()
            .filter_map(|id| sides(self.resources[id].it.body.get("latLonBoundingBox")?));
        let whole = all.reduce(|a, b| {
            [
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[2].max(b[2]),
                a[3].max(b[3]),
            ]
        });
        if let Some([minx, miny, maxx, maxy]) = whole {
            let bounds =
                json!({"minx": minx, "maxx": maxx, "miny": miny, "maxy": maxy, "crs": "EPSG:4326"});
            group.body.insert("bounds".into(), bounds);
        }
    }

    /// The layers of a group and of those in it. Groups are in no circle.
    fn add_layers(&self, members: &Members, layers: &mut Vec<Id>) {
        for (published, _) in &members.0 {
            match published {
                Some(Published::Layer(id)) => layers.push(*id),
                Some(Published::Group(id)) => self.add_layers(&self.groups[*id].it.members, layers),
                None => {}
            }
        }
    }

    pub(crate) fn holds(&self, members: &Members, group: Id) -> bool {
        members.0.iter().any(|(published, _)| match published {
            Some(Published::Group(id)) => {
                *id == group || self.holds(&self.groups[*id].it.members, group)
            }
            _ => false,
        })
    }

    /// A group that has nothing any more goes as well.
    pub(crate) fn drop_from_groups(&mut self, published: Published) {
        for id in self.groups_with(published) {
            let group = &mut self.groups[id].it;
            let more = group.styles.iter_mut().map(|(_, members)| members);
            for members in more.chain([&mut group.members]) {
                members.0.retain(|(it, _)| *it != Some(published));
            }
            if group.members.0.is_empty() {
                self.drop_group(id);
            }
        }
        if let Published::Layer(layer) = published {
            for (_, row) in self.groups.iter_mut() {
                row.it.root.take_if(|root| *root == layer);
            }
        }
    }
}
