//! What is done with the tree of a template before it runs: checks, and the guards around printing.
//!
//! [`check`] finds unknown names without running anything. [`watched`] never changes what a template prints,
//! only what it refuses to print.

use std::collections::BTreeSet;
use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, DefineNode, Expr, ListNode, Node, Number, PipeNode, Pos, SmolStr,
};
use vigo_base::text::nearest;

use super::{TemplateError, line_column};

/// Notes the position of the action that follows. No operator can write these names.
pub(super) const AT: &str = "\u{1}at";
/// Refuses what must not be printed.
pub(super) const PRINTED: &str = "\u{1}printed";
/// Refuses a format that asks for too many digits.
pub(super) const FORMAT: &str = "\u{1}format";

/// The functions of the language.
const FUNCTIONS: [&str; 22] = [
    "and", "call", "default", "dict", "eq", "ge", "gt", "html", "index", "js", "le", "len", "list", "lt",
    "ne", "not", "or", "print", "printf", "println", "slice", "urlquery",
];
/// Functions that turn their arguments into text.
const PRINTERS: [&str; 6] = ["print", "println", "printf", "html", "js", "urlquery"];

/// A name that a template prints in every run that reaches it, with no fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The path, like `["Vars", "port"]`.
    pub path: Vec<String>,
    /// Line in the template, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Whether it is inside an `if`, `with` or `range`, and may never be reached.
    pub guarded: bool,
}

/// Checks names; see [`super::check`].
pub(super) fn check(
    text: &str,
    tree: &ListNode,
    defines: &[DefineNode],
    each: bool,
) -> Result<Vec<Printed>, TemplateError> {
    let mut checker = Checker {
        text,
        templates: defines.iter().map(|d| d.name.to_string()).collect(),
        scopes: vec![BTreeSet::from(["$".to_string()])],
        printed: Vec::new(),
        depth: 0,
        in_define: false,
        each,
    };
    checker.list(tree, true)?;
    checker.in_define = true;
    for define in defines {
        // Inside a definition the dot is whatever its caller gives, so namespaces cannot be checked.
        checker.scopes = vec![BTreeSet::from(["$".to_string()])];
        checker.depth = 1;
        checker.list(&define.body, false)?;
    }
    Ok(checker.printed)
}

struct Checker<'a> {
    text: &'a str,
    templates: BTreeSet<String>,
    scopes: Vec<BTreeSet<String>>,
    printed: Vec<Printed>,
    depth: usize,
    in_define: bool,
    /// Whether `.Each` and `.Item` may stand in it.
    each: bool,
}

impl Checker<'_> {
    fn error(&self, pos: Pos, message: String, help: String) -> TemplateError {
        let (line, column) = line_column(self.text, pos.offset);
        TemplateError { line, column, message, help }
    }

    /// `root` says whether the dot is still the outermost data.
    fn list(&mut self, list: &ListNode, root: bool) -> Result<(), TemplateError> {
        for node in &list.nodes {
            match node {
                Node::List(inner) => self.list(inner, root)?,
                Node::Action(action) => {
                    self.pipe(&action.pipe, root)?;
                    self.note_printed(action, root);
                    self.declare(&action.pipe);
                }
                Node::If(branch) => self.branch(branch, root, root)?,
                Node::With(branch) | Node::Range(branch) => self.branch(branch, root, false)?,
                Node::Template(call) => {
                    if !self.templates.contains(call.name.as_str()) {
                        let known = self.templates.iter().map(String::as_str);
                        let help = match nearest(call.name.as_str(), known) {
                            Some(near) => format!("did you mean \"{near}\"?"),
                            None => "define it in the same text with {{ define }}".into(),
                        };
                        let message = format!("no template \"{}\" is defined", call.name);
                        return Err(self.error(call.pos, message, help));
                    }
                    if let Some(pipe) = &call.pipe {
                        self.pipe(pipe, root)?;
                    }
                }
                Node::Define(define) => self.list(&define.body, false)?,
                Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
            }
        }
        Ok(())
    }

    fn branch(&mut self, branch: &BranchNode, root: bool, inner: bool) -> Result<(), TemplateError> {
        self.scopes.push(BTreeSet::new());
        self.pipe(&branch.pipe, root)?;
        self.declare(&branch.pipe);
        self.depth += 1;
        self.list(&branch.body, inner)?;
        if let Some(other) = &branch.else_body {
            self.list(other, root)?;
        }
        self.depth -= 1;
        self.scopes.pop();
        Ok(())
    }

    fn declare(&mut self, pipe: &PipeNode) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.extend(pipe.decl.iter().map(|d| d.to_string()));
        }
    }

    fn pipe(&mut self, pipe: &PipeNode, root: bool) -> Result<(), TemplateError> {
        for command in &pipe.commands {
            for expr in &command.args {
                self.expr(expr, root)?;
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr, root: bool) -> Result<(), TemplateError> {
        match expr {
            Expr::Field(pos, path) if root => self.namespace(*pos, path),
            Expr::Variable(pos, name, path) if name == "$" && !self.in_define => self.namespace(*pos, path),
            Expr::Variable(pos, name, _) => {
                if self.scopes.iter().any(|s| s.contains(name.as_str())) {
                    return Ok(());
                }
                let help = format!("declare it first: {{{{ {name} := … }}}}");
                Err(self.error(*pos, format!("the variable {name} is not declared"), help))
            }
            Expr::Identifier(pos, name) => {
                if FUNCTIONS.contains(&name.as_str()) {
                    return Ok(());
                }
                let help = match nearest(name, FUNCTIONS) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known are {}", FUNCTIONS.join(", ")),
                };
                Err(self.error(*pos, format!("there is no function {name}"), help))
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe, root),
            Expr::Chain(_, inner, _) => self.expr(inner, root),
            _ => Ok(()),
        }
    }

    fn namespace(&self, pos: Pos, path: &[SmolStr]) -> Result<(), TemplateError> {
        let Some(first) = path.first().map(SmolStr::as_str) else {
            return Ok(());
        };
        let (message, help) = match first {
            "Vars" | "Traits" => return Ok(()),
            "Each" | "Item" if self.each => return Ok(()),
            "Each" | "Item" => (
                format!(
                    ".{first} stands for an element of `foreach:`, and is put in when configuration is published"
                ),
                "publish again".to_string(),
            ),
            other => (
                format!("there is no .{other}"),
                match nearest(other, ["Vars", "Traits"]) {
                    Some(near) => format!("did you mean .{near}?"),
                    None => format!("a variable is .Vars.{other}, a trait is .Traits.…"),
                },
            ),
        };
        Err(self.error(pos, message, help))
    }

    fn note_printed(&mut self, action: &ActionNode, root: bool) {
        let [command] = action.pipe.commands.as_slice() else { return };
        if !action.pipe.decl.is_empty() {
            return;
        }
        let path = match command.args.as_slice() {
            [Expr::Field(_, path)] if root => path,
            [Expr::Variable(_, name, path)] if name == "$" && !self.in_define => path,
            _ => return,
        };
        let (line, column) = line_column(self.text, action.pos.offset);
        let path = path.iter().map(SmolStr::to_string).collect();
        self.printed.push(Printed { path, line, column, guarded: self.depth > 0 });
    }
}

/// The tree with positions noted and printing guarded.
pub(super) fn watched(list: ListNode) -> ListNode {
    let mut nodes = Vec::with_capacity(list.nodes.len() * 2);
    for node in list.nodes {
        match node {
            Node::Action(action) => {
                nodes.push(note_position(action.pos));
                nodes.push(Node::Action(watched_action(action)));
            }
            Node::If(branch) => {
                nodes.push(note_position(branch.pos));
                nodes.push(Node::If(watched_branch(branch)));
            }
            Node::With(branch) => {
                nodes.push(note_position(branch.pos));
                nodes.push(Node::With(watched_branch(branch)));
            }
            Node::Range(branch) => {
                nodes.push(note_position(branch.pos));
                nodes.push(Node::Range(watched_branch(branch)));
            }
            Node::Template(mut call) => {
                nodes.push(note_position(call.pos));
                call.pipe = call.pipe.map(watched_pipe);
                nodes.push(Node::Template(call));
            }
            Node::List(inner) => nodes.push(Node::List(watched(inner))),
            other => nodes.push(other),
        }
    }
    ListNode { pos: list.pos, nodes }
}

fn note_position(pos: Pos) -> Node {
    let offset = Expr::Number(pos, Number::Int(i64::try_from(pos.offset).unwrap_or(0)));
    let args = vec![Expr::Identifier(pos, AT.into()), offset];
    let pipe =
        PipeNode { pos, decl: Vec::new(), commands: vec![CommandNode { pos, args }], is_assign: false };
    Node::Action(ActionNode { pos, pipe })
}

fn watched_branch(branch: BranchNode) -> BranchNode {
    BranchNode {
        pos: branch.pos,
        pipe: watched_pipe(branch.pipe),
        body: watched(branch.body),
        else_body: branch.else_body.map(watched),
    }
}

fn watched_action(action: ActionNode) -> ActionNode {
    let name = pipe_name(&action.pipe);
    let mut pipe = watched_pipe(action.pipe);
    if pipe.decl.is_empty() {
        pipe.commands.push(guard(action.pos, &name));
    }
    ActionNode { pos: action.pos, pipe }
}

/// Guards what the printing functions are given, by argument or by pipe.
fn watched_pipe(pipe: PipeNode) -> PipeNode {
    let mut commands = Vec::with_capacity(pipe.commands.len());
    for command in pipe.commands {
        let function = match command.args.first() {
            Some(Expr::Identifier(_, name)) => name.clone(),
            _ => SmolStr::default(),
        };
        let prints = PRINTERS.contains(&function.as_str());
        if prints && !commands.is_empty() {
            commands.push(guard(command.pos, "the value"));
        }
        let mut args: Vec<Expr> = command.args.into_iter().map(|arg| watched_argument(arg, prints)).collect();
        // A format that comes by pipe has nothing to print.
        if function == "printf" && args.len() > 1 {
            let format = args.remove(1);
            let pos = format.pos();
            let name = CommandNode { pos, args: vec![Expr::Identifier(pos, FORMAT.into())] };
            args.insert(1, piped(format, name));
        }
        commands.push(CommandNode { pos: command.pos, args });
    }
    PipeNode { commands, ..pipe }
}

fn watched_argument(arg: Expr, printed: bool) -> Expr {
    let name = expr_name(&arg);
    let arg = match arg {
        Expr::Pipe(pos, pipe) => Expr::Pipe(pos, watched_pipe(pipe)),
        Expr::Chain(pos, inner, path) => Expr::Chain(pos, Box::new(watched_argument(*inner, false)), path),
        other => other,
    };
    let value =
        matches!(arg, Expr::Field(..) | Expr::Variable(..) | Expr::Pipe(..) | Expr::Chain(..) | Expr::Dot(_));
    if !printed || !value {
        return arg;
    }
    let guard = guard(arg.pos(), &name);
    piped(arg, guard)
}

/// `(arg | command)`.
fn piped(arg: Expr, command: CommandNode) -> Expr {
    let pos = arg.pos();
    let first = CommandNode { pos, args: vec![arg] };
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands: vec![first, command], is_assign: false })
}

fn guard(pos: Pos, name: &str) -> CommandNode {
    let args = vec![Expr::Identifier(pos, PRINTED.into()), Expr::String(pos, Arc::from(name))];
    CommandNode { pos, args }
}

fn pipe_name(pipe: &PipeNode) -> String {
    match pipe.commands.last().map(|c| c.args.as_slice()) {
        Some([expr]) if pipe.commands.len() == 1 => expr_name(expr),
        _ => "the result".into(),
    }
}

fn expr_name(expr: &Expr) -> String {
    let path = |path: &[SmolStr]| path.iter().map(|p| format!(".{p}")).collect::<String>();
    match expr {
        Expr::Field(_, fields) => path(fields),
        Expr::Variable(_, name, fields) => format!("{name}{}", path(fields)),
        Expr::Dot(_) => "the element".into(),
        _ => "the result".into(),
    }
}
