//! Trees that recorders stumble over, one for each way of stumbling.

/// Something in a tree.
#[derive(Clone, Debug)]
pub enum Node {
    File(String, String),
    Directory(String),
    /// Where it is, and where it points; `{root}` stands for the directory the tree is in.
    Link(String, String),
    Pipe(String),
    /// A file whose name is not UTF-8.
    NotUtf8,
}

/// A tree, what is asked of the recorders, and what the command does.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub nodes: Vec<Node>,
    /// `{tree}` stands for the absolute path of the tree.
    pub flags: Vec<String>,
    pub command: String,
    pub normalise: bool,
}

impl Case {
    pub fn new(name: &str, nodes: Vec<Node>, flags: &[&str], command: &str) -> Self {
        Case { name: name.into(), nodes, flags: self::flags(flags), command: command.into(), normalise: false }
    }
}

pub fn file(path: &str, content: &str) -> Node {
    Node::File(path.into(), content.into())
}
pub fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}
fn link(path: &str, target: &str) -> Node {
    Node::Link(path.into(), target.into())
}
fn files(paths: &[&str]) -> Vec<Node> {
    paths.iter().map(|path| file(path, path)).collect()
}

pub fn cases() -> Vec<Case> {
    let all: &[&str] = &["-m", ".", "-p", "."];
    let usual = files(&["src/a.c", "src/sub/b.c", "lib/a.c", "top"]);
    let case = Case::new;
    let excluding = |name: &str, paths: &[&str], patterns: &[&str]| {
        Case::new(name, files(paths), &[&["-m", ".", "--exclude"], patterns].concat(), "true")
    };
    vec![
        case("nothing at all", vec![], all, "true"),
        case("plain", usual.clone(), all, "echo x > made; rm top"),
        case("a command that fails", usual.clone(), all, "echo x > made; exit 3"),
        case("a command that is killed", usual.clone(), all, "kill -9 $$"),
        case("no paths", usual.clone(), &[], "true"),
        case("a file twice", usual.clone(), &["-m", "top", "top", "./top"], "true"),
        case("a file below and by name", usual.clone(), &["-m", ".", "src/a.c", "src"], "true"),
        case("paths that are not clean", usual.clone(), &["-m", "./src//", "src/../top", "lib/./a.c"], "true"),
        case("a path outside", usual.clone(), &["-m", "../key.pem.pub", "src/../../key.pem.pub"], "true"),
        case("absolute paths", usual.clone(), &["-m", "{tree}/src", "{tree}//top"], "true"),
        case("absolute paths, stripped", usual.clone(), &["-m", "{tree}/src", "--lstrip-paths", "{tree}/"], "true"),
        case("an empty path", usual.clone(), &["-m", "", "-p", ""], "true"),
        case("missing paths", usual.clone(), &["-m", "nothing", "top/below", "-p", "made"], "echo x > made"),
        case("a scheme that stays", usual.clone(), &["-m", "file:src", "file:./top", "top"], "true"),
        case("a colon is no scheme", files(&["foo:bar", "a/b:c"]), &["-m", "foo:bar", "a"], "true"),
        case("a directory as one", usual.clone(), &["-m", "dir:src", "dir:.", "top"], "true"),
        case("an empty directory as one", vec![Node::Directory("empty".into())], &["-m", "dir:empty"], "true"),
        case("a directory as one, stripped", usual.clone(), &["-m", "dir:src/sub", "--lstrip-paths", "src/"], "true"),
        case("a file as a directory", usual.clone(), &["-m", "dir:top"], "true"),
        case(
            "a commit",
            {
                let commit = "ab".repeat(32);
                let object = format!("objects/ab/{}.commit", &commit[2..]);
                vec![file("refs/heads/main", &format!("{commit}\n")), file(&object, "commit")]
            },
            &["-m", "ostree:main"],
            "true",
        ),
        case("a base path", usual.clone(), &["-m", ".", "--base-path", "src", "-p", "sub/b.c"], "true"),
        case("stripped", usual.clone(), &["-m", "src", "lib/a.c", "--lstrip-paths", "src/sub", "lib/"], "true"),
        case("a prefix is text", files(&["src/a", "srcx/b"]), &["-m", ".", "--lstrip-paths", "src"], "true"),
        case("prefixes of each other", usual.clone(), &["-m", ".", "--lstrip-paths", "src", "src/sub"], "true"),
        case("two under one name", usual.clone(), &["-m", "src", "lib", "--lstrip-paths", "src/", "lib/"], "true"),
        case("one file twice, stripped", usual.clone(), &["-m", "top", "top", "--lstrip-paths", "x"], "true"),
        case("empty directories", vec![Node::Directory("a/b".into()), file("c", "")], all, "true"),
        case("hidden files", files(&[".hidden", ".git/HEAD", "sub/.git/x", ".gitignore", ".config/x"]), all, "true"),
        case(
            "what is left out by itself",
            files(&["a.link", "b.link-unfinished", "c.pyc", "d~", "e.linker"]),
            all,
            "true",
        ),
        case(
            "left out and named",
            files(&["a.link", "x.pyc/in", "keep"]),
            &["-m", "a.link", "x.pyc/in", "keep"],
            "true",
        ),
        case("what Git ignores is recorded", vec![file(".gitignore", "secret\n"), file("secret", "s")], all, "true"),
        case(
            "links to files",
            vec![file("real", "1"), link("link", "real"), link("absolute", "/etc/hostname")],
            all,
            "true",
        ),
        case(
            "links to directories",
            vec![file("real/a", "1"), link("link", "real"), link("x/up", "../real")],
            all,
            "true",
        ),
        case(
            "a link to what lies outside",
            vec![link("out", "../key.pem.pub"), link("dir", "../outside")],
            &["-m", "out", "dir"],
            "true",
        ),
        case(
            "links by name",
            vec![file("real/a", "1"), link("link", "real"), link("f", "real/a")],
            &["-m", "link", "f"],
            "true",
        ),
        case("broken links", vec![link("broken", "nothing"), link("self", "self"), file("a", "1")], all, "true"),
        case(
            "broken links by name",
            vec![link("broken", "nothing"), link("self", "self")],
            &["-m", "broken", "self"],
            "true",
        ),
        case("a link through a file", vec![file("f", "1"), link("through", "f/below")], all, "true"),
        case("a loop", vec![file("dir/a", "1"), link("dir/up", "..")], all, "true"),
        case(
            "a loop that is left out",
            vec![file("dir/a", "1"), link("dir/up", "..")],
            &["-m", ".", "--exclude", "up"],
            "true",
        ),
        case("a pipe", vec![Node::Pipe("pipe".into()), file("a", "1")], &["-m", ".", "pipe"], "true"),
        case(
            "names",
            files(&[
                "a b",
                " lead",
                "trail ",
                "é",
                "e\u{301}",
                "日本/語",
                "a'b\"c",
                "*",
                "[x]",
                "-dash",
                "#hash",
                "!bang",
            ]),
            all,
            "true",
        ),
        case("control characters", files(&["new\nline", "tab\t", "new\n/in", "esc\u{1b}[0m", "\u{7f}"]), all, "true"),
        case("backslashes", files(&["a\\b", "c\\", "\\d"]), all, "true"),
        case("a backslash and a slash", files(&["x/b\\c", "x/b/c"]), all, "true"),
        case("not UTF-8", vec![Node::NotUtf8], all, "true"),
        case("left out with a newline", files(&["x.pyc\n", "new\n/a.pyc", "d~\n/in"]), all, "true"),
        excluding("patterns", &["a.c", "a.h", "sub/a.c", "out/x", "sub/out"], &["*.h", "out/", "/sub/a.c"]),
        excluding("taken back", &["a.c", "a.h", "sub/a.c"], &["*.c", "!a.c", "sub"]),
        excluding("everything but", &["a.c", "sub/b.c"], &["[a-z]*", "!a.c"]),
        excluding("deep patterns", &["a/b", "a/x/b", "a/x/y/b/c", "b", "z/b"], &["a/**/b", "**/z"]),
        excluding("classes", &["a1", "b2", "c]", "d-", "x/y", "xay"], &["[!ab]*1", "?[]]", "[d-d]-", "x[!a]y"]),
        excluding("comments and spaces", &["#x", "a", "b ", " c"], &["#x", "a ", "b\\ ", "", " "]),
        excluding("escaped", &["!a", "#b", "*", "c*"], &["\\!a", "\\#b", "\\*"]),
        excluding("directories by a trailing slash", &["out/a", "x/out/b", "out2", "y/out"], &["out/"]),
        excluding("all of a directory", &["out/a", "out/b/c", "x"], &["out/**"]),
        excluding("a pattern that ends in a backslash", &["a"], &["a\\"]),
        excluding("a bracket that is not closed", &["[a", "b"], &["[a"]),
        excluding("the tree itself", &["a", ".hidden"], &[".*"]),
        excluding("everything", &["a", "b/c"], &["*"]),
        Case {
            normalise: true,
            ..case(
                "line endings",
                vec![
                    file("dos", "a\r\nb\r\n"),
                    file("mac", "a\rb\r"),
                    file("mixed", "\r\r\n\n\r"),
                    file("unix", "a\nb\n"),
                    file("edge", &format!("{}\r\nx", "y".repeat(4095))),
                    file("end", &format!("{}\r", "y".repeat(4095))),
                ],
                all,
                "true",
            )
        },
        case(
            "what the command replaces",
            vec![file("a", "1"), file("b", "2"), link("l", "a")],
            all,
            "printf 9 > a; ln -sf b l; mv b c; mkdir d; cp c d/",
        ),
    ]
}
