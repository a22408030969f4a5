//! XML as GeoWebCache writes it.

use roxmltree::{Document, Node};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn new(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            attributes: Vec::new(),
            text: text.into(),
            children: Vec::new(),
        }
    }

    pub(crate) fn with(name: &str, children: impl IntoIterator<Item = Self>) -> Self {
        let mut element = Self::new(name, "");
        element.children = children.into_iter().collect();
        element
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::of(document.root_element()))
    }

    fn of(node: Node) -> Self {
        let children: Vec<Self> = node
            .children()
            .filter(Node::is_element)
            .map(Self::of)
            .collect();
        let attributes = node.attributes();
        let attributes = attributes.map(|it| (it.name().to_owned(), it.value().to_owned()));
        let text = node.text().filter(|_| children.is_empty());
        Self {
            name: node.tag_name().name().to_owned(),
            attributes: attributes.collect(),
            text: text.unwrap_or_default().to_owned(),
            children,
        }
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(crate) fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        Some(&self.child(name)?.text)
    }

    /// Replaces the child of this name, or adds one.
    pub(crate) fn set(&mut self, child: Self) {
        match self.child_mut(&child.name) {
            Some(old) => *old = child,
            None => self.children.push(child),
        }
    }

    /// The whole document.
    pub(crate) fn document(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let attributes = self.attributes.iter();
        let attributes: Vec<String> = attributes
            .map(|(name, value)| format!(" {name}=\"{}\"", escaped(value)))
            .collect();
        let (name, attributes) = (&self.name, attributes.concat());
        if self.children.is_empty() {
            // An empty list closes itself, an empty text does not.
            let is_text = !self.text.is_empty() || self.name == "defaultValue";
            if is_text {
                let text = escaped(&self.text);
                out.extend([
                    &indent,
                    "<",
                    name,
                    &attributes,
                    ">",
                    &text,
                    "</",
                    name,
                    ">\n",
                ]);
            } else {
                out.extend([&indent, "<", name, &attributes, "/>\n"]);
            }
            return;
        }
        out.extend([&indent, "<", name, &attributes, ">\n"]);
        for child in &self.children {
            child.write(out, depth + 1);
        }
        out.extend([&indent, "</", name, ">\n"]);
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
